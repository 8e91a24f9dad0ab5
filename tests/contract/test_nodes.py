"""Nodes: an incarnation joins once, moves forward only, and never comes back."""

import asyncio

import pytest

from multiconnect.limits import DEAD_NODES_KEEP_S
from multiconnect.model.cluster import Beat, NodeState, Role
from tests.contract.cluster import node


async def test_a_node_reads_back_as_it_joined(stores):
    control = (await stores.open()).control
    joined = node("n#1", role=Role.WEB, start_ticks=2**40, boot_id="b", generation=3, reason="r")
    assert await control.join(joined)
    assert (await control.snapshot()).nodes == (joined,)


async def test_an_incarnation_joins_once_even_when_it_is_dead(cluster):
    assert not await cluster.control.join(node("a", name="other"))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    assert not await cluster.control.join(node("a"))
    assert (await cluster.control.snapshot()).node("a").name == "a"


@pytest.mark.parametrize(
    ("before", "after", "is_forward"),
    [
        (NodeState.JOINING, NodeState.READY, True),
        (NodeState.JOINING, NodeState.DEAD, True),
        (NodeState.READY, NodeState.LEAVING, True),
        (NodeState.LEAVING, NodeState.DEAD, True),
        (NodeState.READY, NodeState.READY, False),
        (NodeState.READY, NodeState.JOINING, False),
        (NodeState.LEAVING, NodeState.READY, False),
        (NodeState.DEAD, NodeState.READY, False),
        (NodeState.DEAD, NodeState.DEAD, False),
    ],
)
async def test_states_move_forward_only(cluster, before, after, is_forward):
    control = cluster.control
    if before is not NodeState.JOINING:
        assert await control.set_node_state("a", before, "first")
    assert await control.set_node_state("a", after, "second") is is_forward
    found = (await control.snapshot()).node("a")
    first = "" if before is NodeState.JOINING else "first"
    expected = (after, "second") if is_forward else (before, first)
    assert (found.state, found.reason) == expected


async def test_a_handle_that_has_seen_all_nodes_sees_what_becomes_of_them(cluster):
    other = (await cluster.stores.open()).control
    for step in (
        cluster.control.set_node_state("a", NodeState.READY, "up"),
        cluster.control.set_node_state("a", NodeState.DEAD, "exit 1"),
        cluster.control.join(node("d")),
        cluster.control.set_node_state("d", NodeState.LEAVING, "drain"),
    ):
        await other.snapshot()
        assert await step
        newcomer = (await cluster.stores.open()).control
        assert (await other.snapshot()).nodes == (await newcomer.snapshot()).nodes


async def test_a_node_nobody_knows_has_no_state(cluster):
    assert not await cluster.control.set_node_state("nobody", NodeState.DEAD, "?")


async def test_the_dead_are_forgotten_after_a_day_unless_a_slot_names_them(cluster):
    await cluster.own("a", 0)
    for name in ("a", "b"):
        await cluster.control.beat(Beat(name, 1))
        await cluster.control.set_node_state(name, NodeState.DEAD, "exit")
    cluster.clock.advance(DEAD_NODES_KEEP_S - 1)
    await cluster.control.join(node("d"))
    assert {n.incarnation for n in (await cluster.control.snapshot()).nodes} >= {"a", "b"}
    cluster.clock.advance(2)
    await cluster.control.join(node("e"))
    names = {n.incarnation for n in (await cluster.control.snapshot()).nodes}
    assert names == {"a", "c", "master", "d", "e"}
    assert set(await cluster.control.beats()) == {"a"}
    assert not await cluster.control.beat(Beat("b", 2))


async def test_beats_show_the_last_one_with_its_figures(cluster):
    assert await cluster.control.beat(Beat("a", 1, {"backlog": 3}))
    assert await cluster.control.beat(Beat("a", 2, {"backlog": 4, "rates": [1, 2.5]}))
    assert await cluster.control.beat(Beat("b", 1))
    other = await cluster.stores.open()
    assert await other.control.beats() == {
        "a": Beat("a", 2, {"backlog": 4, "rates": [1, 2.5]}),
        "b": Beat("b", 1),
    }


async def test_who_has_beaten_since_the_look_is_not_declared_dead(cluster):
    control = cluster.control
    assert not await control.declare_dead("nobody", None, "silent")
    await control.beat(Beat("a", 1))
    assert not await control.declare_dead("a", None, "silent")
    await control.beat(Beat("a", 2))
    assert not await control.declare_dead("a", 1, "silent")
    assert (await control.snapshot()).node("a").state is NodeState.JOINING
    assert await control.declare_dead("a", 2, "silent")
    assert not await control.beat(Beat("a", 3))
    assert await control.declare_dead("b", None, "never beat")
    found = (await control.snapshot()).node("b")
    assert (found.state, found.reason) == (NodeState.DEAD, "never beat")
    assert not await control.declare_dead("b", None, "again")


async def test_either_the_verdict_of_silence_or_the_beat_succeeds(cluster):
    others = [(await cluster.stores.open()).control for _ in range(2)]
    for count in range(40):
        name = f"n{count}"
        assert await cluster.control.join(node(name))
        await others[0].beat(Beat(name, 1))
        done = await asyncio.gather(
            others[0].beat(Beat(name, 2)), others[1].declare_dead(name, 1, "silent")
        )
        assert sorted(done) == [False, True], name


async def test_the_dead_and_the_unknown_may_not_beat(cluster):
    await cluster.control.beat(Beat("a", 1))
    await cluster.control.set_node_state("a", NodeState.DEAD, "silent")
    assert not await cluster.control.beat(Beat("a", 2))
    assert not await cluster.control.beat(Beat("nobody", 1))
    assert (await cluster.control.beats())["a"].count == 1
