"""Deaths reach the store in order, however long the store is away."""

import asyncio
from typing import cast

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import EXITS_REMEMBERED_MAX
from multiconnect.store.port import ControlStore
from multiconnect.supervisor.reports import DeathReports


class FlakyControl:
    """A store that fails a number of times before each write."""

    def __init__(self, failures):
        self.failures = failures
        self.left = failures
        self.written = []

    async def set_node_state(self, incarnation, state, reason):
        await asyncio.sleep(0)
        if self.left:
            self.left -= 1
            raise StoreUnavailable("away")
        self.left = self.failures
        self.written.append((incarnation, state, reason))
        return True


@pytest.fixture
async def running():
    tasks = []

    def start(reports):
        tasks.append(asyncio.create_task(reports.run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("failures", [0, 3])
async def test_all_deaths_are_written_in_order(running, failures):
    control = FlakyControl(failures)
    reports = DeathReports(cast(ControlStore, control))
    running(reports)
    for name in ("a", "b", "c"):
        reports.add(name, f"why {name}")
    assert reports.is_waiting("c")
    await asyncio.wait_for(reports.written(), 5)
    assert control.written == [(n, "dead", f"why {n}") for n in ("a", "b", "c")]
    assert not reports.is_waiting("c")


async def test_a_death_is_queued_once(running):
    control = FlakyControl(0)
    reports = DeathReports(cast(ControlStore, control))
    reports.add("a", "first")
    reports.add("a", "second")
    running(reports)
    await asyncio.wait_for(reports.written(), 5)
    assert [entry[0] for entry in control.written] == ["a"]


async def test_a_death_may_be_reported_again_later(running):
    control = FlakyControl(0)
    reports = DeathReports(cast(ControlStore, control))
    running(reports)
    for _ in range(2):
        reports.add("a", "signal 9")
        await asyncio.wait_for(reports.written(), 5)
    assert len(control.written) == 2


def test_what_is_remembered_is_bounded():
    reports = DeathReports(cast(ControlStore, FlakyControl(0)))
    for number in range(EXITS_REMEMBERED_MAX + 5):
        reports.add(str(number), "x")
        reports._waiting.clear()
    assert len(reports.exited) == EXITS_REMEMBERED_MAX
    assert "0" not in reports.exited
