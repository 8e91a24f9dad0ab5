"""Real children: their deaths are seen, written and made good; the silent are killed."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Role
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.supervisor.supervision import Wanted
from tests.support.supervised import TIMERS, supervised, until

pytestmark = pytest.mark.process

ONE = Wanted(coreapps=1, masters=0, webs=0)


async def test_a_killed_child_is_written_dead_and_replaced(tmp_path):
    async with supervised(tmp_path, ONE) as run:
        child = run.child("coreapp-1")
        incarnation = await run.joined(child)
        os.kill(child.pid, signal.SIGKILL)
        node = await run.dead(incarnation, timeout_s=1.0)
        assert node.reason == "signal 9"
        await until(run.supervisor.is_staffed)
        assert run.child("coreapp-1").settings.incarnation != incarnation


async def test_the_death_is_written_before_the_successor_is_born(tmp_path):
    async with supervised(tmp_path, ONE) as run:
        incarnation = await run.joined(run.child("coreapp-1"))
        os.kill(run.child("coreapp-1").pid, signal.SIGKILL)
        await until(lambda: run.names() == [])
        await until(lambda: run.names() == ["coreapp-1"])
        assert (await run.row(incarnation)).state == "dead"


async def test_a_stopped_child_is_killed_for_its_silence(tmp_path):
    async with supervised(tmp_path, ONE) as run:
        child = run.child("coreapp-1")
        incarnation = await run.joined(child)
        os.kill(child.pid, signal.SIGSTOP)
        node = await run.dead(incarnation)
        word, seconds, unit, how = node.reason.split()
        assert (word, unit, how) == ("silent", "s,", "killed")
        assert float(seconds) > TIMERS.silence_s


async def test_a_blocked_loop_is_silence(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICONNECT_DUMMY", "coreapp-1=block")
    async with supervised(tmp_path, ONE) as run:
        incarnation = await run.joined(run.child("coreapp-1"))
        assert (await run.dead(incarnation)).reason.startswith("silent ")


async def test_a_slow_goodbye_is_no_hang(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICONNECT_DUMMY", "slow")
    async with supervised(tmp_path, ONE) as run:
        child = run.child("coreapp-1")
        incarnation = await run.joined(child)
        child.ask_to_stop()
        assert (await run.dead(incarnation, timeout_s=10.0)).reason == "exit 0"


async def test_a_serving_child_is_left_alone(tmp_path):
    async with supervised(tmp_path, Wanted(coreapps=1, masters=1, webs=1)) as run:
        before = {c.settings.incarnation for c in run.supervisor.seats.children()}
        await asyncio.sleep(2 * TIMERS.silence_s)
        assert {c.settings.incarnation for c in run.supervisor.seats.children()} == before
        assert run.supervisor.reports.exited == {}


async def test_a_child_that_dies_at_once_comes_back_ever_later(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICONNECT_DUMMY", "die")
    async with supervised(tmp_path, ONE, staffed=False) as run:
        await until(lambda: len(run.supervisor.reports.exited) >= 3)
        assert set(run.supervisor.reports.exited.values()) == {"exit 3"}
        (seat,) = run.supervisor.seats
        assert seat.young_deaths >= 3


async def test_each_role_has_its_seats(tmp_path):
    async with supervised(tmp_path, Wanted(coreapps=2, masters=1, webs=1)) as run:
        assert run.names() == ["coreapp-1", "coreapp-2", "master-1", "web-1"]
        assert {run.child("web-1").role, run.child("master-1").role} == {Role.WEB, Role.MASTER}
        sockets = {run.child(f"coreapp-{n}").settings.socket_path for n in (1, 2)}
        assert len(sockets) == 2
        assert run.child("web-1").settings.socket_path == ""


def open_files(pid):
    """Return what a process has open, as the kernel names it, but what says nothing."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        # The listing's own descriptor is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.add(str(path.readlink()))
    return {name for name in found if name.startswith(("socket:", "pipe:", "/"))} - {"/dev/null"}


async def test_children_inherit_nothing_of_the_supervisor(tmp_path):
    async with supervised(tmp_path, Wanted(coreapps=2, masters=0, webs=0)) as run:
        ours = open_files(os.getpid())
        first, second = (open_files(run.child(f"coreapp-{n}").pid) for n in (1, 2))
        assert ours & (first | second) == set()
        assert {name for name in first & second if name.startswith("socket:")} == set()


async def test_an_outage_of_the_store_loses_no_death(tmp_path):
    control = Outage(MemoryStore(MemoryState()).control)
    async with supervised(tmp_path, ONE, control=control) as run:
        child = run.child("coreapp-1")
        incarnation = await run.joined(child)
        control.is_away = True
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child not in run.supervisor.seats.children())
        # Nobody is born before the death is written.
        await asyncio.sleep(0.3)
        assert run.names() == []
        control.is_away = False
        assert (await run.dead(incarnation)).reason == "signal 9"
        await until(run.supervisor.is_staffed)


class Outage:
    """A control store that can be away."""

    def __init__(self, control):
        self._control = control
        self.is_away = False

    def __getattr__(self, name):
        method = getattr(self._control, name)

        async def call(*arguments, **options):
            if self.is_away:
                raise StoreUnavailable("away")
            return await method(*arguments, **options)

        return call


async def test_a_row_written_too_late_is_contradicted(tmp_path):
    async with supervised(tmp_path, ONE) as run:
        child = run.child("coreapp-1")
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child not in run.supervisor.seats.children())
        await run.supervisor.reports.written()
        # The join of the dead child arrives only now.
        assert (await run.dead(await run.joined(child))).reason == "signal 9"
