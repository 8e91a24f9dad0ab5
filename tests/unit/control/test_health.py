"""What status and health say of a snapshot."""

import pytest

from multiconnect.control.health import ClusterState, describe
from multiconnect.model.cluster import NodeState, Role, Slot
from tests.unit.control.views import master, node, slots, snapshot

DEAD = NodeState.DEAD
NO_OWNER = "16 slots have no live owner, 1 CoreApps are ready"


def states(shown):
    return {n.name: n.state for n in describe(shown).nodes}


@pytest.mark.parametrize(
    ("one", "rows", "state"),
    [
        (node("x"), slots("x", "a"), "owner"),
        (node("x"), slots("a"), "spare"),
        (node("x"), slots("x", s0=Slot(0, 1, "x", "a")), "draining"),
        (node("x", state=NodeState.LEAVING), slots("x"), "draining"),
        (node("x", state=NodeState.LEAVING), slots("a"), "leaving"),
        (node("x", state=NodeState.JOINING), slots("a"), "joining"),
        (node("x", state=DEAD), slots("x"), "dead"),
        (node("x", Role.WEB), slots("a"), "ready"),
        (node("x", Role.SUPERVISOR), slots("a"), "ready"),
        (master("x"), slots("a"), "secondary"),
        (master("x", NodeState.LEAVING), slots("a"), "leaving"),
    ],
)
def test_the_state_of_a_node(one, rows, state):
    assert states(snapshot([one, node("a")], rows))["x"] == state


def test_the_holder_of_the_term_is_primary():
    seen = describe(snapshot([master("m2")]))
    assert {n.name: n.state for n in seen.nodes} == {"m1": "primary", "m2": "secondary"}
    assert (seen.master, seen.term) == ("m1", 3)


@pytest.mark.parametrize("holder", [None, "unknown", "gone"])
def test_a_dead_holder_is_no_master(holder):
    assert describe(snapshot([master("gone", DEAD)], master=holder)).master is None


def test_shards_and_epochs_are_those_of_the_count_in_force():
    rows = slots("a", "b", s2=Slot(2, 9, "a"), s3=Slot(3, 4, "a"))
    seen = describe(snapshot([node("a"), node("b")], rows))
    a, b = (n for n in seen.nodes if n.role is Role.COREAPP)
    assert (a.shards, a.epochs) == ((0, 1), {0: 9, 1: 4})
    assert (b.shards, b.epochs) == ((1,), {1: 1})
    assert a.slots == (0, 2, 3, *range(4, 32, 2))


@pytest.mark.parametrize(
    ("nodes", "rows", "fields", "state", "detail"),
    [
        ("a b", slots("a", "b"), {}, "ok", "2 shards, 2 CoreApps are ready"),
        ("a", slots("a"), {}, "degraded", "1 ready CoreApps share 2 shards"),
        ("a", slots("a", None), {}, "no-owner", NO_OWNER),
        ("a", slots("a", "z"), {}, "no-owner", NO_OWNER),
        (
            "a b c", slots("a", "b", s0=Slot(0, 1, "a", "c")), {},
            "moving", "1 slots are being handed over",
        ),
        (
            "a b", slots("a", "b"), {"target_shards": 4, "generation": 2},
            "moving", "2 -> 4 shards: generation 2 has 0 of 32 slots and 0 ready CoreApps",
        ),
        # 4 -> 2: two are enough already
        ("a b", slots("a", "b"), {"shards": 4, "target_shards": 2}, "moving", None),
        ("a", slots("a"), {"shards": 4, "target_shards": 2}, "degraded", None),
    ],
)  # fmt: skip
def test_the_state_of_the_cluster(nodes, rows, fields, state, detail):
    dead = node("z", state=DEAD)
    seen = describe(snapshot([*(node(name) for name in nodes.split()), dead], rows, **fields))
    assert seen.state == state == ClusterState(state)
    assert detail in (seen.detail, None)


def test_the_dead_are_listed_and_not_live():
    seen = describe(snapshot([node("a"), node("z", state=DEAD, reason="signal 9")], slots("a")))
    assert [n.name for n in seen.nodes] == ["a", "z", "m1"]
    assert [n.name for n in seen.live] == ["a", "m1"]
    assert seen.nodes[1].reason == "signal 9"
