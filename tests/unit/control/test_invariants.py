"""The checker itself: each thing it must notice is done once, on purpose."""

from dataclasses import replace

import pytest

from multiconnect.control.actions import Assign, CancelDrain, DeclareDead, StartDrain
from multiconnect.control.facts import Unreadable
from multiconnect.control.invariants import (
    check_change,
    check_plan,
    check_snapshot,
    check_step,
    require_none,
)
from multiconnect.errors import Bug
from multiconnect.model.cluster import Move, NodeState, Slot, Snapshot
from tests.unit.control.views import cluster, node, slots, snapshot, view

NODES = (node("a"), node("b"), node("x", state=NodeState.DEAD), node("old", generation=0))
BEFORE = snapshot(NODES, slots("a", s7=Slot(7, 1, "a", "b", drained=True), s8=Slot(8, 1, None)))


def after(row=None, nodes=NODES, **fields):
    rows = slots("a", s7=BEFORE.slots[7], s8=BEFORE.slots[8])
    if row is not None:
        rows = tuple(row if row.slot == old.slot else old for old in rows)
    return snapshot(nodes, rows, **fields)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (after(Slot(3, 0, "a"), map_version=6), "the epoch of slot 3 fell from 1 to 0"),
        (after(Slot(3, 1, "b")), "slot 3 has two owners under epoch 1"),
        (after(Slot(3, 2, None), map_version=6), "slot 3 was taken away and given to nobody"),
        (after(Slot(7, 2, "b")), "map version 5 names two maps"),
        (after(shards=4), "map version 5 names two maps"),
        (after(shards=3, map_version=6), "3 shards are in force"),
        (after(map_version=4), "map version fell from 5 to 4"),
        (after(term=2, master="m2"), "term fell from 3 to 2"),
        (after(generation=0), "generation fell from 1 to 0"),
        (after(master="m2"), "term 3 has two Masters"),
        (after(target_shards=4), "the target changed without a new generation"),
        (after(nodes=NODES[1:]), "a vanished alive"),
        (after(nodes=(*NODES[1:], node("a", state=NodeState.JOINING))), "a went from ready back"),
        (after(nodes=(*NODES, node("a"))), "two nodes have one incarnation"),
        (after(Slot(3, 1, "a", drained=True)), "slot 3 is drained and nobody asked"),
        (after(Slot(3, 1, "a", None)), None),
        (after(Slot(3, 1, None)), None),
        (after(Slot(7, 2, "b"), map_version=6), None),
        (after(Slot(8, 2, "a"), map_version=6), None),
        (after(nodes=(*NODES, node("new"))), None),
        (after(nodes=NODES[:2] + NODES[3:]), None),
        (after(term=4, master="m2"), None),
        (after(target_shards=4, generation=2), None),
    ],
)
def test_a_change(changed, what):
    found = check_change(BEFORE, changed)
    assert bool(found) == (what is not None)
    assert what is None or any(what in text for text in found)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (Slot(3, 2, "b"), "slot 3 was taken from the live a undrained"),
        (Slot(7, 2, "old"), "slot 7 was taken from the live a undrained"),
        (Slot(7, 2, "old"), "slot 7 moved back to generation 0"),
        (Slot(8, 2, "x"), "slot 8 was granted to x, which is not alive"),
        (Slot(8, 2, "ghost"), "slot 8 was granted to ghost, which is not alive"),
        (Slot(7, 2, "b"), None),
        (Slot(8, 2, "b"), None),
        (Slot(3, 1, None), None),
    ],
)
def test_a_step(row, what):
    found = check_step(BEFORE, after(row, map_version=6))
    assert found == [] if what is None else what in found


def test_a_map_without_all_its_slots():
    short = Snapshot(cluster(), (), slots("a")[1:])
    assert check_snapshot(short) == ["the slots are not 0..31, each once"]


def grant(*moves):
    return Assign(moves, None, "why")


@pytest.mark.parametrize(
    ("plan", "what"),
    [
        ([grant(Move(3, 1, "a", "b"))], "slot 3 is taken from the live a undrained"),
        ([grant(Move(7, 1, "a", "old"))], "slot 7 is taken from the live a undrained"),
        ([grant(Move(8, 2, None, "b"))], "slot 8 is granted under an epoch it does not have"),
        ([grant(Move(8, 1, None, "b")), grant()], "more than one commit of grants"),
        (
            [DeclareDead("a", 1, "lease"), StartDrain(3, 1, "b", "why")],
            "planned moves although somebody just died",
        ),
        (
            [StartDrain(slot, 1, "b", "why") for slot in range(4)],
            "1 hand-overs under way and 4 more to begin",
        ),
        ([StartDrain(slot, 1, "b", "why") for slot in range(3)], None),
        ([CancelDrain(7, 1, "w"), *(StartDrain(s, 1, "b", "w") for s in range(4))], None),
        ([grant(Move(7, 1, "a", "b")), *(StartDrain(s, 1, "b", "w") for s in range(4))], None),
        ([DeclareDead("a", 1, "lease"), grant(Move(3, 1, "a", "b"))], None),
        ([], None),
    ],
)
def test_a_plan(plan, what):
    found = check_plan(view(BEFORE), plan)
    assert bool(found) == (what is not None)
    assert what is None or any(what in text for text in found)


def test_no_plan_without_a_snapshot():
    blind = replace(view(BEFORE), snapshot=Unreadable("no answer"))
    assert check_plan(blind, []) == []
    assert check_plan(blind, [grant()]) == ["actions without a snapshot"]


def test_a_violation_is_a_bug():
    require_none([])
    with pytest.raises(Bug, match="one; two"):
        require_none(["one", "two"])
