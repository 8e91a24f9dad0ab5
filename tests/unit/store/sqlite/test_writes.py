"""Writes to the control file: those of one turn share a commit; whom one concerns is told."""

import asyncio

import pytest

from multiconnect.errors import Bug
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.writes import Writes


class Bell:
    """Notes who was told of each commit."""

    def __init__(self):
        self.rings = []

    def ring(self, concerned):
        self.rings.append(set(concerned))


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
async def writes(tmp_path, bell):
    writes = Writes(Files(tmp_path / "control.db"))
    await writes.start()
    writes.ring_with(bell)
    yield writes
    await writes.aclose()


def set_term(db, term):
    """Raise the term by one, as a compare-and-set."""
    db.execute("UPDATE cluster SET term = term + 1 WHERE term = ?", (term,))
    return db.changes() == 1


def break_it(db):
    db.execute("no such statement")


async def test_writes_of_one_turn_are_one_commit_in_their_order(writes, bell):
    asked = (0, 7, 1, 2, 0)
    answers = await asyncio.gather(*(writes.run_together(set_term, term) for term in asked))
    assert answers == [True, False, True, True, False]
    assert len(bell.rings) == 1
    assert await writes.run_together(set_term, 3)
    assert len(bell.rings) == 2


async def test_a_commit_that_failed_failed_for_all_in_it_and_for_nobody_else(writes):
    both = (writes.run_together(set_term, 0), writes.run_together(break_it))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Bug, Bug]
    assert await writes.run_together(set_term, 0)


async def test_who_is_cancelled_takes_nobody_along(writes):
    first, second = (asyncio.create_task(writes.run_together(set_term, n)) for n in (0, 1))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


def hand_over(db, old, new, drain_to):
    db.execute("UPDATE slot SET owner = ?, drain_to = ? WHERE owner IS ?", (new, drain_to, old))
    return True


async def test_who_had_has_or_gets_a_slot_is_told_and_nobody_else(writes, bell):
    for step in ((None, "a", None), ("a", "a", "b"), ("a", "b", None), ("x", "y", "z")):
        await writes.run_together(hand_over, *step)
    await writes.run(set_term, 0, concerned=["c"])
    assert bell.rings == [{"a"}, {"a", "b"}, {"a", "b"}, set(), {"c"}]


async def test_nobody_is_told_of_what_was_rolled_back(writes, bell):
    with pytest.raises(Bug):
        await writes.run(break_it, concerned=["c"])
    await writes.run(set_term, 0)
    assert bell.rings == [set()]
