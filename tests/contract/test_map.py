"""Terms, grants, drains and the shard count: compare-and-set, all or nothing, audited."""

import asyncio
import itertools

import pytest

from multiconnect.errors import InvalidShards
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move, NodeState, Slot
from multiconnect.model.log import LogWrite
from tests.contract.cluster import append, node


async def test_a_new_cluster(stores):
    snapshot = await (await stores.open()).control.snapshot()
    cluster = snapshot.cluster
    assert 0 <= cluster.cluster < 2**32
    assert (cluster.shards, cluster.target_shards, cluster.generation) == (1, 1, 0)
    assert (cluster.term, cluster.master) == (0, None)
    assert snapshot.slots == tuple(Slot(slot, 0, None) for slot in range(SLOTS))
    assert snapshot.nodes == ()


async def test_handles_see_one_cluster(stores):
    first, second = [(await stores.open()).control for _ in range(2)]
    assert (await first.snapshot()).cluster == (await second.snapshot()).cluster


# --- terms ---------------------------------------------------------------------------------------


async def test_a_term_is_taken_once(cluster):
    control = cluster.control
    assert await control.take_term("a", 0) is None
    assert await control.take_term("a", 1) == 2
    assert await control.take_term("b", 1) is None
    taken = (await control.snapshot()).cluster
    assert (taken.term, taken.master) == (2, "a")


async def test_of_many_that_race_for_a_term_one_gets_it(cluster):
    handles = [(await cluster.stores.open()).control for _ in range(3)]
    won = await asyncio.gather(
        *(handle.take_term(name, 1) for handle, name in zip(handles, "abc", strict=True))
    )
    assert sorted(won, key=str) == [2, None, None]


async def test_neither_the_dead_nor_strangers_become_master(cluster):
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    assert await cluster.control.take_term("a", 1) is None
    assert await cluster.control.take_term("nobody", 1) is None
    assert (await cluster.control.snapshot()).cluster.master == "master"


# --- grants --------------------------------------------------------------------------------------


async def test_a_grant_moves_all_its_slots_in_one_version_of_the_map(cluster):
    before = (await cluster.control.snapshot()).cluster.map_version
    assert await cluster.control.assign([Move(0, 0, None, "a"), Move(9, 0, None, "b")], 1, "start")
    snapshot = await cluster.control.snapshot()
    assert snapshot.cluster.map_version == before + 1
    assert snapshot.slots[0] == Slot(0, 1, "a")
    assert snapshot.slots[9] == Slot(9, 1, "b")
    assert snapshot.shard_map().slots[9].owner.address == "unix:/b"


@pytest.mark.parametrize(
    "wrong",
    [
        Move(1, 1, None, "b"),
        Move(1, 0, "a", "b"),
        Move(1, 0, None, "nobody"),
        Move(1, 0, None, "dead"),
        Move(0, 0, None, "b"),
        Move(2, 1, "b", "a"),
    ],
    ids=["epoch", "old owner", "unknown", "dead", "slot twice", "not drained"],
)
async def test_a_grant_is_all_or_nothing(cluster, wrong):
    await cluster.control.join(node("dead"))
    await cluster.control.set_node_state("dead", NodeState.DEAD, "exit")
    await cluster.own("b", 2)
    before = await cluster.control.snapshot()
    assert not await cluster.control.assign([Move(0, 0, None, "a"), wrong], 1, "wrong")
    assert await cluster.control.snapshot() == before
    # Neither was any owner fenced: it writes on.
    await cluster.append("b", append(2, 0))


async def test_a_master_of_an_old_term_changes_nothing_and_fences_nobody(cluster):
    await cluster.own("a", 0)
    assert await cluster.control.start_drain(0, 1, "b", 1)
    assert await cluster.control.report_drained(0, 1, "a")
    assert await cluster.control.take_term("b", 1) == 2
    before = await cluster.control.snapshot()
    assert not await cluster.control.assign([Move(0, 1, "a", "b")], 1, "old")
    assert not await cluster.control.assign([], 1, "old", shards=2)
    assert not await cluster.control.start_drain(1, 0, "b", 1)
    assert not await cluster.control.cancel_drain(0, 1, 1)
    assert await cluster.control.snapshot() == before
    await cluster.append("a", append(0, 0))
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 2, "new")


async def test_a_dead_owner_needs_no_drain(cluster):
    await cluster.own("a", 0)
    assert not await cluster.control.assign([Move(0, 1, "a", "b")], 1, "planned")
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "takeover")
    assert (await cluster.control.snapshot()).slots[0] == Slot(0, 2, "b")


async def test_a_grant_fences_every_old_owner(cluster):
    await cluster.own("a", 0, 4)
    await cluster.own("b", 1)
    for slot, owner in ((0, "a"), (1, "b")):
        assert await cluster.control.start_drain(slot, 1, "c", 1)
        assert await cluster.control.report_drained(slot, 1, owner)
    moves = [Move(0, 1, "a", "c"), Move(1, 1, "b", "c")]
    assert await cluster.control.assign(moves, 1, "planned")
    for slot, owner in ((0, "a"), (1, "b")):
        log = await cluster.log(owner)
        assert await log.commit(LogWrite({slot: 1}, (append(slot, 0),))) == {slot}
    await cluster.append("a", append(4, 0))


async def test_of_two_grants_of_one_epoch_one_wins(cluster):
    handles = [(await cluster.stores.open()).control for _ in range(2)]
    won = await asyncio.gather(
        *(h.assign([Move(0, 0, None, n)], 1, n) for h, n in zip(handles, "ab", strict=True))
    )
    assert sorted(won) == [False, True]
    assert await cluster.epoch(0) == 1


async def test_a_slot_may_be_granted_to_its_owner_again(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    assert await cluster.own("a", 0) == {0: 2}
    log = await cluster.log("a")
    assert await log.commit(LogWrite({0: 1}, (append(0, 4),))) == {0}
    await cluster.append("a", append(0, 4))


async def test_a_shard_count_comes_into_force_with_its_moves(cluster):
    before = (await cluster.control.snapshot()).cluster
    assert await cluster.control.assign([Move(0, 0, None, "a")], 1, "resize", shards=4)
    after = (await cluster.control.snapshot()).cluster
    assert (after.shards, after.map_version) == (4, before.map_version + 1)
    assert await cluster.control.assign([], 1, "back", shards=2)
    assert (await cluster.control.snapshot()).cluster.shards == 2
    assert not await cluster.control.assign([Move(0, 9, "a", "b")], 1, "wrong", shards=8)
    assert (await cluster.control.snapshot()).cluster.shards == 2


async def test_a_grant_of_nothing_is_true_and_changes_nothing(cluster):
    before = await cluster.control.snapshot()
    assert await cluster.control.assign([], 1, "nothing")
    assert await cluster.control.snapshot() == before


async def test_every_change_of_the_map_is_audited(cluster):
    cluster.clock.advance(5)
    await cluster.control.assign([Move(0, 0, None, "a"), Move(1, 0, None, "a")], 1, "start")
    await cluster.control.release(0, 1, "a", "leaving")
    await cluster.control.assign([], 1, "resize", shards=2)
    resized, released, *granted = await cluster.control.audit(10)
    assert [(e.slot, e.old_epoch, e.new_epoch, e.old_owner, e.new_owner) for e in granted] == [
        (1, 0, 1, None, "a"),
        (0, 0, 1, None, "a"),
    ]
    assert {(e.term, e.map_version, e.reason, e.at_ms) for e in granted} == {
        (1, 2, "start", cluster.clock.now_ms)
    }
    assert (released.slot, released.old_owner, released.new_owner) == (0, "a", None)
    assert (released.map_version, released.reason) == (3, "leaving")
    assert (resized.slot, resized.map_version) == (None, 4)
    assert "resize" in resized.reason
    assert [entry.slot for entry in await cluster.control.audit(1)] == [None]


# --- drains --------------------------------------------------------------------------------------


async def test_a_planned_move_waits_for_the_owners_word(cluster):
    control = cluster.control
    await cluster.own("a", 0)
    assert not await control.report_drained(0, 1, "a")
    assert await control.start_drain(0, 1, "b", 1)
    assert not await control.start_drain(0, 1, "c", 1)
    assert not await control.assign([Move(0, 1, "a", "b")], 1, "too early")
    assert not await control.report_drained(0, 1, "b")
    assert not await control.report_drained(0, 2, "a")
    assert (await control.snapshot()).slots[0] == Slot(0, 1, "a", drain_to="b")
    assert await control.report_drained(0, 1, "a")
    assert await control.report_drained(0, 1, "a")
    assert (await control.snapshot()).slots[0] == Slot(0, 1, "a", drain_to="b", drained=True)
    assert await control.assign([Move(0, 1, "a", "b")], 1, "now")
    assert (await control.snapshot()).slots[0] == Slot(0, 2, "b")


async def test_a_drain_can_be_taken_back(cluster):
    control = cluster.control
    await cluster.own("a", 0)
    assert not await control.cancel_drain(0, 1, 1)
    await control.start_drain(0, 1, "b", 1)
    await control.report_drained(0, 1, "a")
    assert not await control.cancel_drain(0, 2, 1)
    assert await control.cancel_drain(0, 1, 1)
    assert (await control.snapshot()).slots[0] == Slot(0, 1, "a")
    assert not await control.assign([Move(0, 1, "a", "b")], 1, "no longer drained")


async def test_a_slot_without_owner_has_nobody_to_drain_it(cluster):
    assert not await cluster.control.start_drain(0, 0, "a", 1)


# --- release -------------------------------------------------------------------------------------


async def test_a_released_slot_is_ownerless_and_fenced(cluster):
    await cluster.own("a", 0, 1)
    assert not await cluster.control.release(0, 2, "a", "wrong epoch")
    assert not await cluster.control.release(0, 1, "b", "not mine")
    version = (await cluster.control.snapshot()).cluster.map_version
    assert await cluster.control.release(0, 1, "a", "leaving")
    snapshot = await cluster.control.snapshot()
    assert snapshot.slots[0] == Slot(0, 1, None)
    assert snapshot.cluster.map_version == version + 1
    log = await cluster.log("a")
    assert await log.open_slot(0, 1) is None
    assert await log.commit(LogWrite({0: 1, 1: 1}, (append(0, 0), append(1, 0)))) == {0}
    assert not await cluster.control.release(0, 1, "a", "twice")
    assert await cluster.own("b", 0) == {0: 2}


# --- shard targets -------------------------------------------------------------------------------


async def test_a_target_is_set_under_the_generation_observed(cluster):
    control = cluster.control
    assert await control.set_target(4, 0) == 1
    assert await control.set_target(8, 0) is None
    assert await control.set_target(4, 1) == 2
    wished = (await control.snapshot()).cluster
    assert (wished.shards, wished.target_shards, wished.generation) == (1, 4, 2)


@pytest.mark.parametrize("shards", [0, 3, 64, True, "4"])
async def test_a_count_that_is_none_is_refused(cluster, shards):
    with pytest.raises(InvalidShards):
        await cluster.control.set_target(shards, 0)
    with pytest.raises(InvalidShards):
        await cluster.control.assign([], 1, "wrong", shards=shards)
    assert (await cluster.control.snapshot()).cluster.target_shards == 1


async def test_epochs_never_repeat(cluster):
    owners = itertools.cycle("abc")
    epochs = [(await cluster.own(next(owners), 5))[5] for _ in range(6)]
    assert epochs == [1, 2, 3, 4, 5, 6]


async def test_drains_of_one_turn_are_judged_one_by_one(cluster):
    await cluster.own("a", 0, 4)
    await cluster.own("b", 1)
    control = cluster.control
    begun = await asyncio.gather(
        control.start_drain(4, 1, "c", 1),
        control.start_drain(1, 0, "c", 1),
        control.start_drain(0, 1, "c", 7),
        control.start_drain(2, 0, "c", 1),
        control.start_drain(0, 1, "b", 1),
    )
    assert list(begun) == [True, False, False, False, True]
    reported = await asyncio.gather(
        control.report_drained(1, 1, "b"),
        control.report_drained(4, 1, "a"),
        control.report_drained(0, 1, "b"),
        control.report_drained(0, 0, "a"),
    )
    assert list(reported) == [False, True, False, False]
    slots = (await control.snapshot()).slots
    assert [(slots[n].drain_to, slots[n].drained) for n in (0, 1, 4)] == [
        ("b", False),
        (None, False),
        ("c", True),
    ]
