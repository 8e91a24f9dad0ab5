"""Each action against a real (memory) store: what it does, and that a stale one does nothing."""

import pytest

from multiconnect.control.actions import (
    Assign,
    CancelDrain,
    DeclareDead,
    PutInForce,
    StartDrain,
    StepDown,
    TakeTerm,
)
from multiconnect.errors import StoreUnavailable
from multiconnect.master.perform import perform
from multiconnect.model.cluster import Move, NodeState, Role, Slot
from tests.unit.master.faulty_store import row


@pytest.fixture
async def cluster(control):
    """m1 holds term 1; c1 owns slot 0 under epoch 1 and is asked to hand slot 1 to c2."""
    for node in (row("m1", Role.MASTER), row("m2", Role.MASTER), row("c1"), row("c2")):
        await control.join(node)
    assert await control.take_term("m1", 0) == 1
    moves = [Move(slot, 0, None, "c1") for slot in (0, 1)]
    assert await control.assign(moves, 1, "first")
    assert await control.start_drain(1, 1, "c2", 1)
    return control


async def slot(control, number):
    return (await control.snapshot()).slots[number]


async def test_take_term(cluster):
    assert await perform(cluster, "m2", 1, TakeTerm(1, "why"))
    seen = (await cluster.snapshot()).cluster
    assert (seen.term, seen.master) == (2, "m2")


async def test_declare_dead(cluster):
    assert await perform(cluster, "m1", 1, DeclareDead("c2", None, "lease: silent"))
    node = (await cluster.snapshot()).node("c2")
    assert (node.state, node.reason) == (NodeState.DEAD, "lease: silent")


async def test_assign(cluster):
    action = Assign((Move(5, 0, None, "c2"),), 4, "why")
    assert await perform(cluster, "m1", 1, action)
    assert await slot(cluster, 5) == Slot(5, 1, "c2")
    assert (await cluster.snapshot()).cluster.shards == 4
    assert {entry.reason for entry in await cluster.audit(2)} == {"why", "4 shards in force: why"}


async def test_put_in_force(cluster):
    assert await perform(cluster, "m1", 1, PutInForce(8, "why"))
    assert (await cluster.snapshot()).cluster.shards == 8


async def test_start_and_cancel_drain(cluster):
    assert await perform(cluster, "m1", 1, StartDrain(0, 1, "c2", "why"))
    assert (await slot(cluster, 0)).drain_to == "c2"
    assert await perform(cluster, "m1", 1, CancelDrain(0, 1, "why"))
    assert (await slot(cluster, 0)).drain_to is None


STALE = [
    (1, TakeTerm(0, "another was quicker")),
    (1, DeclareDead("nobody", None, "unknown")),
    (1, DeclareDead("c2", 7, "it has beaten since")),
    (0, Assign((Move(5, 0, None, "c2"),), None, "an old term")),
    (1, Assign((Move(5, 3, None, "c2"),), None, "an old epoch")),
    (1, Assign((Move(5, 0, None, "c2"), Move(0, 1, "c1", "c2")), None, "one is not drained")),
    (0, PutInForce(8, "an old term")),
    (0, StartDrain(0, 1, "c2", "an old term")),
    (1, StartDrain(0, 0, "c2", "an old epoch")),
    (1, StartDrain(1, 1, "c2", "under way already")),
    (0, CancelDrain(1, 1, "an old term")),
    (1, CancelDrain(0, 1, "nothing to cancel")),
    (1, StepDown("nothing to do")),
]


@pytest.mark.parametrize(("term", "action"), STALE, ids=lambda value: getattr(value, "reason", ""))
async def test_a_stale_action_is_refused_and_changes_nothing(cluster, term, action):
    before = await cluster.snapshot()
    assert not await perform(cluster, "m1", term, action)
    assert await cluster.snapshot() == before


async def test_in_doubt_is_an_exception(cluster):
    cluster.failing.add("take_term")
    with pytest.raises(StoreUnavailable):
        await perform(cluster, "m2", 1, TakeTerm(1, "why"))
