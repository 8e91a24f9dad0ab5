"""Writes of one turn of the event loop go together, and each has an answer of its own."""

import asyncio

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.store.together import Together
from tests.unit.dataplane.waiting import until


class Runs:
    """What was run together; even numbers succeed."""

    def __init__(self):
        self.runs = []
        self.together = Together(self._run)

    async def _run(self, items):
        self.runs.append(items)
        await asyncio.sleep(0.01)
        if 13 in items:
            raise StoreUnavailable("down")
        return [item % 2 == 0 for item in items]

    async def ask(self, *items):
        return await asyncio.gather(
            *(self.together.ask(item) for item in items), return_exceptions=True
        )


async def test_what_is_asked_for_in_one_turn_is_one_run():
    runs = Runs()
    assert await runs.ask(2, 3, 4) == [True, False, True]
    assert await runs.ask(5) == [False]
    assert runs.runs == [[2, 3, 4], [5]]


async def test_what_is_asked_for_during_a_run_is_another_one():
    runs = Runs()
    first = asyncio.create_task(runs.together.ask(2))
    await until(lambda: runs.runs)
    assert await runs.together.ask(4)
    assert await first
    assert runs.runs == [[2], [4]]


async def test_do_not_know_is_for_all_of_a_run_and_no_other():
    runs = Runs()
    said = await runs.ask(2, 13)
    assert [type(one) for one in said] == [StoreUnavailable] * 2
    assert await runs.ask(2) == [True]


async def test_who_is_cancelled_keeps_nobody_from_an_answer():
    runs = Runs()
    gone = asyncio.create_task(runs.together.ask(3))
    stays = asyncio.create_task(runs.together.ask(4))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert runs.runs == [[3, 4]]
