"""When a number of shards is in force."""

from dataclasses import replace

import pytest

from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Cluster, NodeState, Slot, Snapshot
from multiconnect.web.handlers.shards import in_force
from tests.unit.web.serving import node

NODES = (node("a", generation=3), node("b", generation=3))
STEADY = Snapshot(
    Cluster(1, 2, 2, 3, 9, 1, "master-1"),
    NODES,
    tuple(Slot(slot, 5, f"{'ab'[slot % 2]}-1") for slot in range(SLOTS)),
)


def with_cluster(**changes):
    return replace(STEADY, cluster=replace(STEADY.cluster, **changes))


def with_slot(**changes):
    return replace(STEADY, slots=(*STEADY.slots[:-1], replace(STEADY.slots[-1], **changes)))


def with_node(**changes):
    return replace(STEADY, nodes=(NODES[0], replace(NODES[1], **changes)))


def test_a_steady_map_is_in_force():
    assert in_force(STEADY, 2)


@pytest.mark.parametrize(
    "snapshot",
    [
        with_cluster(shards=4, target_shards=4),
        with_cluster(target_shards=4),
        with_cluster(generation=4),
        with_node(generation=2),
        with_node(state=NodeState.DEAD),
        with_slot(owner=None),
        with_slot(owner="unknown"),
        with_slot(drain_to="a-1"),
        with_slot(drain_to="a-1", drained=True),
    ],
    ids=[
        *("another number", "another wish", "a restart begun", "an owner to be replaced"),
        *("a dead owner", "no owner", "an unknown owner", "a slot draining", "a slot drained"),
    ],
)
def test_what_moves_or_has_no_owner_is_not(snapshot):
    assert not in_force(snapshot, 2)
