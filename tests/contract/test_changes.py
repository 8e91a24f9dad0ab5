"""`changed`: wakes on anything but beats, for changes of any handle, never too late."""

import asyncio

import pytest

from multiconnect.model.cluster import Beat, Move, NodeState
from tests.contract.cluster import node

SOON_S = 1.0


@pytest.fixture
async def watcher(cluster):
    """Another handle that has just seen everything."""
    control = (await cluster.stores.open()).control
    await control.snapshot()
    return control


CHANGES = {
    "join": lambda c: c.join(node("d")),
    "state": lambda c: c.set_node_state("a", NodeState.READY, ""),
    "term": lambda c: c.take_term("a", 1),
    "grant": lambda c: c.assign([Move(0, 0, None, "a")], 1, ""),
    "shards": lambda c: c.assign([], 1, "", shards=2),
    "target": lambda c: c.set_target(2, 0),
    "document": lambda c: c.put_document("k", "x", {}, None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_of_another_handle_wakes_a_waiter(cluster, watcher, change):
    waiting = asyncio.create_task(watcher.changed(SOON_S))
    await asyncio.sleep(0)
    assert await change(cluster.control)
    assert await waiting


async def test_drains_wake_a_waiter(cluster, watcher):
    await cluster.own("a", 0)
    for step in (
        lambda: cluster.control.start_drain(0, 1, "b", 1),
        lambda: cluster.control.report_drained(0, 1, "a"),
        lambda: cluster.control.cancel_drain(0, 1, 1),
        lambda: cluster.control.release(0, 1, "a", ""),
    ):
        await watcher.snapshot()
        assert await step()
        assert await watcher.changed(SOON_S)


async def test_a_change_before_the_wait_is_not_missed(cluster, watcher):
    await cluster.control.join(node("d"))
    assert await watcher.changed(0)


async def test_a_handle_that_never_looked_is_told_to(stores):
    assert await (await stores.open()).control.changed(SOON_S)


async def test_beats_and_refusals_are_no_changes(cluster, watcher):
    assert await cluster.control.beat(Beat("a", 1))
    assert not await cluster.control.take_term("a", 7)
    assert not await cluster.control.assign([Move(0, 9, None, "a")], 1, "")
    assert not await watcher.changed(0.05)


async def test_after_a_snapshot_it_waits_again(cluster, watcher):
    await cluster.control.join(node("d"))
    assert await watcher.changed(SOON_S)
    assert await watcher.changed(SOON_S)
    await watcher.snapshot()
    assert not await watcher.changed(0.02)


async def test_many_may_wait_on_one_handle(cluster, watcher):
    waiting = [asyncio.create_task(watcher.changed(SOON_S)) for _ in range(3)]
    await asyncio.sleep(0)
    await cluster.control.join(node("d"))
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_a_waiter_may_be_cancelled(cluster, watcher):
    waiting = asyncio.create_task(watcher.changed(SOON_S))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await cluster.control.join(node("d"))
    assert await watcher.changed(SOON_S)


CONCERNS_A = {
    "a grant": lambda c: c.assign([Move(1, 0, None, "a")], 1, ""),
    "a drain": lambda c: c.start_drain(0, 1, "b", 1),
    "a slot to come": lambda c: c.start_drain(2, 1, "a", 1),
    "a release": lambda c: c.release(0, 1, "a", ""),
    "leaving": lambda c: c.set_node_state("a", NodeState.LEAVING, ""),
    "death": lambda c: c.set_node_state("a", NodeState.DEAD, ""),
}


@pytest.mark.parametrize("change", CONCERNS_A.values(), ids=CONCERNS_A.keys())
async def test_an_owner_is_woken_by_what_concerns_it(cluster, watcher, change):
    await cluster.own("a", 0)
    await cluster.own("b", 2)
    snapshot = await watcher.snapshot()
    waiting = asyncio.create_task(watcher.changed(SOON_S, snapshot, concerning="a"))
    await asyncio.sleep(0.02)
    await cluster.control.join(node("d"))
    assert await change(cluster.control)
    assert await waiting


async def test_an_owner_may_sleep_through_the_rest(cluster, watcher):
    """With 64 CoreApps most wake-ups would be for nothing."""
    await cluster.own("b", 1)
    snapshot = await watcher.snapshot()
    waiting = asyncio.create_task(watcher.changed(0.05, snapshot, concerning="a"))
    await asyncio.sleep(0.02)
    assert await cluster.control.start_drain(1, 1, "c", 1)
    assert await cluster.control.set_node_state("b", NodeState.LEAVING, "")
    assert not await waiting
    assert not await watcher.changed(0, snapshot, concerning="a")
    assert await watcher.changed(0, snapshot)


async def test_who_was_told_of_nothing_is_told_what_came_before_the_wait(cluster, watcher):
    snapshot = await watcher.snapshot()
    await cluster.control.join(node("d"))
    assert await cluster.control.assign([Move(0, 0, None, "a")], 1, "")
    assert await watcher.changed(0, snapshot, concerning="a")


async def test_news_that_name_very_many_reach_all_of_them(cluster, watcher):
    """More names than one notification may carry."""
    old, new = ([f"{side}{slot}".ljust(200, "x") for slot in range(32)] for side in ("old", "new"))
    for name in (*old, *new):
        await cluster.control.join(node(name))
    grants = [Move(slot, 0, None, name) for slot, name in enumerate(old)]
    assert await cluster.control.assign(grants, 1, "")
    for name in old:
        assert await cluster.control.set_node_state(name, NodeState.DEAD, "")
    snapshot = await watcher.snapshot()
    waiting = [
        asyncio.create_task(watcher.changed(SOON_S, snapshot, concerning=name))
        for name in (*old, *new)
    ]
    await asyncio.sleep(0.02)
    moves = [Move(slot, 1, old[slot], new[slot]) for slot in range(32)]
    assert await cluster.control.assign(moves, 1, "")
    assert all(await asyncio.gather(*waiting))
