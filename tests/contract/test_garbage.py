"""Retention: what is past its time goes, and nothing else."""

from multiconnect.limits import (
    PRODUCER_KEEP_S,
    RETAIN_BODIES_S,
    RETAIN_IDEMPOTENCY_S,
    RETAIN_STATES_S,
)
from multiconnect.model.cluster import NodeState
from multiconnect.model.log import Failure, UpstreamId
from multiconnect.store.port import LogStore
from tests.contract.cluster import HELD, OUT, SENT, START_MS, append, key_row, progress


def at(seconds: float) -> int:
    return START_MS + int(seconds * 1000)


async def collect(log: LogStore, now_ms: int) -> int:
    """Collect until there is nothing left, as the owner's housekeeping does."""
    total = 0
    for _ in range(20):
        dropped = await log.collect_garbage(now_ms)
        total += dropped
        if not dropped:
            return total
    raise AssertionError("collecting never ends")


async def test_bodies_go_after_an_hour_and_states_stay(cluster):
    await cluster.own("a", 0)
    settled = progress(0, 0, SENT * 4, settled=True)
    pending = progress(0, 4, HELD * 4, settled=False)
    await cluster.append("a", append(0, 0), append(0, 4), progress=(settled, pending))
    log = await cluster.log("a")
    assert await log.collect_garbage(at(RETAIN_BODIES_S)) == 0
    assert await collect(log, at(RETAIN_BODIES_S + 1)) == 1
    gone, kept = [(await log.find_message(OUT, 0, seq)).batch for seq in (0, 4)]
    assert (gone.body, gone.states, gone.count) == (None, SENT * 4, 4)
    assert (kept.body, kept.states) == (b"0:4:4", HELD * 4)
    # What is pending stays, however old it is.
    await collect(log, at(10 * RETAIN_STATES_S))
    assert [b.body for b in await log.read_batches(OUT, 0, 0, 9_999)] == [b"0:4:4"]


async def test_states_and_what_hangs_on_them_go_after_a_week(cluster):
    await cluster.own("a", 0)
    await cluster.append(
        "a",
        append(0, 0),
        append(0, 4),
        progress=(
            progress(0, 0, SENT * 4, settled=True),
            progress(0, 4, SENT * 4, settled=True, at_ms=at(10)),
        ),
        upstream_ids=(UpstreamId(OUT, 0, 3, "old"), UpstreamId(OUT, 0, 4, "newer")),
        failures=(Failure(OUT, 0, 0, 1, START_MS, None, ""),),
    )
    log = await cluster.log("a")
    await collect(log, at(RETAIN_STATES_S))
    assert (await log.find_message(OUT, 0, 3)).upstream_id == "old"
    await collect(log, at(RETAIN_STATES_S + 5))
    assert await log.find_message(OUT, 0, 3) is None
    assert (await log.find_message(OUT, 0, 4)).upstream_id == "newer"
    # The stream goes on where it was.
    assert (await log.open_slot(0, 1)).streams[OUT].next_seq == 8
    await cluster.append("a", append(0, 8))


async def test_keys_go_after_a_day(cluster):
    await cluster.own("a", 0)
    old, new = key_row("old", 0), key_row("new", 1, at(60))
    await cluster.append("a", append(0, 0, keys=(old, new)))
    log = await cluster.log("a")
    assert await collect(log, at(RETAIN_IDEMPOTENCY_S)) == 0
    await collect(log, at(RETAIN_IDEMPOTENCY_S + 30))
    assert await log.find_keys(0, [old.key, new.key]) == {new.key: new}


async def test_producers_go_after_a_day(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0, producer=1))
    await cluster.append("a", append(0, 4, producer=2, accepted_at_ms=at(60)))
    log = await cluster.log("a")
    await collect(log, at(PRODUCER_KEEP_S + 30))
    tail = await log.open_slot(0, 1)
    assert list(tail.producers) == [(OUT, 2)]


async def test_a_new_owner_collects_what_an_old_one_wrote(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0), upstream_ids=(UpstreamId(OUT, 0, 0, "of a"),))
    await cluster.own("b", 0)
    await cluster.append(
        "b",
        progress=(progress(0, 0, SENT * 4, settled=True),),
        upstream_ids=(UpstreamId(OUT, 0, 1, "of b"),),
    )
    log = await cluster.log("b")
    await collect(log, at(RETAIN_BODIES_S + 1))
    assert (await log.find_message(OUT, 0, 0)).batch.body is None
    assert (await log.find_message(OUT, 0, 0)).upstream_id == "of a"
    await collect(log, at(RETAIN_STATES_S + 1))
    assert await log.find_message(OUT, 0, 0) is None
    await cluster.append("b", append(0, 4))
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [4]


async def test_an_old_owner_does_not_drop_what_a_new_one_still_works_on(cluster):
    """A settled its batch long ago; B saw it change since, so it stays for another week."""
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0), progress=(progress(0, 0, SENT * 4, settled=True),))
    await cluster.own("b", 0)
    later = progress(0, 0, SENT * 4, settled=True, at_ms=at(RETAIN_STATES_S))
    await cluster.append("b", progress=(later,))
    for name in "ab":
        await collect(await cluster.log(name), at(RETAIN_STATES_S + 60))
    assert (await (await cluster.log("b")).find_message(OUT, 0, 0)).batch.states == SENT * 4
    for name in "ab":
        await collect(await cluster.log(name), at(2 * RETAIN_STATES_S + 60))
    assert await (await cluster.log("b")).find_message(OUT, 0, 0) is None


async def test_the_dead_leave_nothing_behind_and_the_slot_goes_on(cluster):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0), append(1, 0), progress=())
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    await cluster.own("b", 0, 1)
    done = tuple(progress(slot, 0, SENT * 4, settled=True) for slot in (0, 1))
    await cluster.append("b", progress=done)
    log = await cluster.log("b")
    await collect(log, at(RETAIN_STATES_S + 1))
    assert await log.find_message(OUT, 0, 0) is None
    await cluster.own("c", 0)
    tail = await (await cluster.log("c")).open_slot(0, 3)
    assert tail.streams[OUT].next_seq == 4
    await cluster.append("c", append(0, 4))
