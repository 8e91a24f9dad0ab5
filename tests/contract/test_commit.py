"""Group commits: stored whole or refused whole, slot by slot, under the epoch that is in force."""

import pytest

from multiconnect.errors import Bug
from multiconnect.model.cluster import Move
from multiconnect.model.log import (
    Answer,
    Failure,
    LogWrite,
    Mark,
    Progress,
    Retry,
    StreamTail,
    UpstreamId,
)
from multiconnect.model.message import State, Stream
from tests.contract.cluster import HELD, IN, OUT, SENT, START_MS, append, key_row, progress


async def test_what_was_committed_is_read_back(cluster):
    await cluster.own("a", 3)
    await cluster.append("a", append(3, 0, 4, body=b"first"), append(3, 4, 2, body=b"second"))
    await cluster.append("a", append(3, 0, 1, stream=IN, body=b"inbound"))
    log = await cluster.log("a")
    first, second = await log.read_batches(OUT, 3, 0, 10_000)
    assert (first.base_seq, first.count, first.body, first.states) == (0, 4, b"first", bytes(4))
    assert (second.base_seq, second.count, second.body, second.states) == (
        4,
        2,
        b"second",
        bytes(2),
    )
    assert (first.stream, first.slot, first.accepted_at_ms) == (OUT, 3, START_MS)
    assert [b.body for b in await log.read_batches(IN, 3, 0, 10_000)] == [b"inbound"]


async def test_a_body_may_be_a_part_of_the_frame_it_came_in(cluster):
    frame = memoryview(b"..first.second..")
    await cluster.own("a", 3)
    await cluster.append("a", append(3, 0, 4, body=frame[2:7]), append(3, 4, 2, body=frame[8:14]))
    log = await cluster.log("a")
    assert [b.body for b in await log.read_batches(OUT, 3, 0, 10_000)] == [b"first", b"second"]
    found = await log.find_message(OUT, 3, 4)
    assert found is not None
    assert found.batch.body == b"second"


async def test_a_group_may_hold_many_batches_of_many_slots(cluster):
    slots = range(32)
    await cluster.own("a", *slots)
    appends = [append(slot, base, 3) for base in (0, 3, 6) for slot in slots]
    await cluster.append("a", *appends)
    log = await cluster.log("a")
    for slot in slots:
        assert [b.base_seq for b in await log.read_batches(OUT, slot, 0, 10_000)] == [0, 3, 6]


async def test_a_stale_epoch_is_refused_wholly_and_the_others_are_stored(cluster):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0), append(1, 0))
    await cluster.own("b", 0)
    log = await cluster.log("a")
    both = LogWrite(
        epochs={0: 1, 1: 1},
        appends=(append(0, 4, keys=(key_row("x", 4),)), append(1, 4)),
        progress=(progress(0, 0, SENT * 4, settled=True), progress(1, 0, SENT * 4, settled=True)),
        marks=(Mark(OUT, 0, 7, 4), Mark(OUT, 1, 7, 4)),
        retries=(Retry(OUT, 0, 4, 1, 5, None, ""), Retry(OUT, 1, 4, 1, 5, None, "")),
        retries_done=((OUT, 0, 1),),
        failures=(Failure(OUT, 0, 1, 1, 5, None, ""),),
        upstream_ids=(UpstreamId(OUT, 0, 1, "no"),),
    )
    assert await log.commit(both) == {0}
    # Slot 1 has all of it, and of slot 0 nothing was written.
    tail = await log.open_slot(1, 1)
    assert tail.streams[OUT] == StreamTail(8, 7, 4)
    assert [r.sequence for r in tail.retries] == [4]
    newer = await cluster.log("b")
    tail = await newer.open_slot(0, 2)
    assert tail.streams[OUT] == StreamTail(4, -1, 0)
    assert tail.retries == ()
    assert await newer.find_keys(0, [key_row("x", 4).key]) == {}
    found = await newer.find_message(OUT, 0, 1)
    assert (found.batch.states, found.failure, found.upstream_id) == (bytes(4), None, None)
    assert [b.base_seq for b in await newer.read_batches(OUT, 0, 0, 10_000)] == [0]


async def test_a_slot_must_be_opened_before_it_is_written(cluster):
    await cluster.control.assign([Move(0, 0, None, "a")], 1, "")
    log = await cluster.log("a")
    assert await log.commit(LogWrite({0: 1}, (append(0, 0),))) == {0}
    assert await log.open_slot(0, 2) is None
    assert await (await cluster.log("b")).open_slot(0, 1) is None
    assert await log.open_slot(0, 1) is not None
    assert await log.commit(LogWrite({0: 1}, (append(0, 0),))) == frozenset()


async def test_an_epoch_to_come_is_refused_too(cluster):
    await cluster.own("a", 0)
    assert await (await cluster.log("a")).commit(LogWrite({0: 2}, (append(0, 0),))) == {0}


async def test_a_group_of_nothing_tells_whose_fence_stands(cluster):
    await cluster.own("a", 0)
    assert await (await cluster.log("a")).commit(LogWrite({0: 1, 5: 1})) == {5}


@pytest.mark.parametrize(
    "appends",
    [
        (append(0, 5),),
        (append(0, 0),),
        (append(0, 4), append(0, 9)),
        (append(1, 0), append(0, 3)),
    ],
    ids=["gap", "again", "gap inside", "other slot right"],
)
async def test_an_append_must_continue_its_stream(cluster, appends):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0))
    log = await cluster.log("a")
    with pytest.raises(Bug):
        await log.commit(LogWrite({0: 1, 1: 1}, appends))
    # Nothing of the group was written, and the log works on.
    await cluster.append("a", append(0, 4), append(1, 0))


@pytest.mark.parametrize(
    "rows",
    [
        {"appends": (append(1, 0),)},
        {"progress": (progress(1, 0, SENT, settled=True),)},
        {"marks": (Mark(OUT, 1, 1, 1),)},
        {"retries": (Retry(OUT, 1, 1, 1, 1, None, ""),)},
        {"retries_done": ((OUT, 1, 1),)},
        {"failures": (Failure(OUT, 1, 1, 1, 1, None, ""),)},
        {"upstream_ids": (UpstreamId(OUT, 1, 1, "x"),)},
    ],
    ids=lambda rows: next(iter(rows)),
)
async def test_a_row_without_an_epoch_for_its_slot_is_a_bug(cluster, rows):
    await cluster.own("a", 0, 1)
    with pytest.raises(Bug):
        await (await cluster.log("a")).commit(LogWrite({0: 1}, **rows))


async def test_answers_of_a_producer_are_the_newest(cluster):
    await cluster.own("a", 0)
    big = 2**64 - 1
    answers = (Answer(6, 0), Answer(7, 4, ((0, 1, 3), (3, 2, 2**63))))
    await cluster.append(
        "a",
        append(0, 0, producer=big, answers=answers[:1]),
        append(0, 4, producer=big, answers=answers),
        append(0, 8, producer=0),
        append(0, 0, producer=big, stream=IN),
    )
    tail = await (await cluster.log("a")).open_slot(0, 1)
    assert tail.producers == {
        (OUT, big): answers,
        (OUT, 0): (Answer(8, 8),),
        (IN, big): (Answer(0, 0),),
    }
    assert (tail.slot, tail.epoch) == (0, 1)


async def test_marks_only_grow(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0), marks=(Mark(OUT, 0, 63, 2),))
    await cluster.append("a", marks=(Mark(OUT, 0, 5, 4), Mark(IN, 0, -1, 0)))
    tail = await (await cluster.log("a")).open_slot(0, 1)
    assert tail.streams == {OUT: StreamTail(4, 63, 4), IN: StreamTail(0, -1, 0)}


async def test_progress_replaces_all_states_and_settled_stays(cluster):
    await cluster.own("a", 0)
    mixed = bytes([State.SENT, State.HELD])
    await cluster.append("a", append(0, 0, 2), append(0, 2, 2))
    await cluster.append("a", progress=(progress(0, 0, mixed, settled=False),))
    log = await cluster.log("a")
    assert [b.states for b in await log.read_batches(OUT, 0, 0, 9_999)] == [mixed, bytes(2)]
    await cluster.append("a", progress=(progress(0, 0, SENT * 2, settled=True),))
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [2]
    await cluster.append("a", progress=(progress(0, 0, SENT * 2, settled=False),))
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [2]
    read = bytes([State.READ, State.DELIVERED])
    await cluster.append("a", progress=(progress(0, 0, read, settled=True),))
    assert (await log.find_message(OUT, 0, 1)).batch.states == read


async def test_a_batch_may_be_settled_in_part_or_whole_from_the_start(cluster):
    await cluster.own("a", 0)
    repeated = bytes([State.REPEATED])
    part = repeated + bytes(1)
    await cluster.append(
        "a", append(0, 0, 2, states=part), append(0, 2, 2, states=repeated * 2), append(0, 4, 1)
    )
    log = await cluster.log("a")
    found = await log.read_batches(OUT, 0, 0, 9_999)
    assert [(b.base_seq, b.states) for b in found] == [(0, part), (4, bytes(1))]
    assert (await log.find_message(OUT, 0, 3)).batch.states == repeated * 2


async def test_append_and_progress_of_it_may_share_a_group(cluster):
    await cluster.own("a", 0)
    held = progress(0, 0, HELD * 2, settled=False)
    await cluster.append("a", append(0, 0, 2), progress=(held,))
    found = await (await cluster.log("a")).read_batches(OUT, 0, 0, 9_999)
    assert [b.states for b in found] == [HELD * 2]


async def test_retries_are_replaced_and_done(cluster):
    await cluster.own("a", 0)
    first = Retry(OUT, 0, 1, 1, START_MS + 5, 130429, "too fast")
    again = Retry(OUT, 0, 1, 2, START_MS + 9, None, "again")
    other = Retry(IN, 0, 0, 1, START_MS, 1, "webhook")
    await cluster.append("a", append(0, 0), append(0, 0, stream=IN), retries=(first, other))
    await cluster.append("a", retries=(again,))
    log = await cluster.log("a")
    assert (await log.open_slot(0, 1)).retries == (again, other)
    assert (await log.find_message(OUT, 0, 1)).retry == again
    assert (await log.find_message(IN, 0, 0)).retry == other
    await cluster.append("a", progress=(progress(0, 0, HELD * 4, settled=False),), retries=(again,))
    log = await cluster.log("a")
    await log.commit(LogWrite({0: 1}, retries_done=((OUT, 0, 1), (OUT, 0, 3))))
    assert (await log.open_slot(0, 1)).retries == (other,)
    assert (await log.find_message(OUT, 0, 1)).retry is None


async def test_everything_known_of_a_message(cluster):
    await cluster.own("a", 0)
    failure = Failure(OUT, 0, 2, 3, START_MS, 131026, "undeliverable")
    given = (UpstreamId(OUT, 0, 1, "wamid.1"), UpstreamId(OUT, 0, 1, "wamid.2"))
    await cluster.append("a", append(0, 0), failures=(failure,), upstream_ids=given)
    log = await cluster.log("a")
    sent, failed = [await log.find_message(OUT, 0, seq) for seq in (1, 2)]
    assert (sent.sequence, sent.upstream_id, sent.failure) == (1, "wamid.2", None)
    assert (failed.sequence, failed.upstream_id, failed.failure) == (2, None, failure)
    assert sent.batch == failed.batch
    assert await log.find_message(OUT, 0, 4) is None
    assert await log.find_message(IN, 0, 1) is None
    assert await log.find_message(OUT, 9, 1) is None


async def test_keys_are_found_in_their_slot(cluster):
    await cluster.own("a", 0, 1)
    one, two = key_row("one", 0), key_row("two", 1)
    await cluster.append("a", append(0, 0, keys=(one, two)), append(1, 0))
    log = await cluster.log("a")
    assert await log.find_keys(0, [one.key, two.key, b"?" * 16]) == {one.key: one, two.key: two}
    assert await log.find_keys(1, [one.key]) == {}
    assert await log.find_keys(0, []) == {}


async def test_a_key_used_again_is_the_newer_use(cluster):
    await cluster.own("a", 0)
    old, new = key_row("k", 0), key_row("k", 4, START_MS + 1)
    await cluster.append("a", append(0, 0, keys=(old,)))
    await cluster.append("a", append(0, 4, keys=(new,)))
    assert await (await cluster.log("a")).find_keys(0, [old.key]) == {old.key: new}


# --- reading in pieces ---------------------------------------------------------------------------


async def test_reading_starts_with_the_batch_that_holds_the_sequence(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", *(append(0, base) for base in (0, 4, 8)))
    log = await cluster.log("a")
    for from_seq, expected in ((0, [0, 4, 8]), (3, [0, 4, 8]), (4, [4, 8]), (11, [8]), (12, [])):
        found = await log.read_batches(OUT, 0, from_seq, 9_999)
        assert [b.base_seq for b in found] == expected


async def test_reading_stops_after_the_batch_that_passes_the_limit(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", *(append(0, base, body=b"." * 100) for base in (0, 4, 8)))
    log = await cluster.log("a")
    for limit, expected in ((1, 1), (100, 1), (101, 2), (200, 2), (201, 3), (999, 3)):
        assert len(await log.read_batches(OUT, 0, 0, limit)) == expected


async def test_reading_passes_over_what_is_settled(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", *(append(0, base) for base in (0, 4, 8, 12)))
    done = (progress(0, 4, SENT * 4, settled=True), progress(0, 0, SENT * 4, settled=True))
    await cluster.append("a", progress=done)
    log = await cluster.log("a")
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [8, 12]
    # A reader starts at `settled_below` whatever it asks for.
    await cluster.append("a", marks=(Mark(OUT, 0, -1, 12),))
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [12]


async def test_streams_and_slots_do_not_run_into_each_other(cluster):
    await cluster.own("a", 0, 1, 31)
    for stream in Stream:
        for slot in (0, 1, 31):
            await cluster.append("a", append(slot, 0, 4, stream=stream))
    log = await cluster.log("a")
    for stream in Stream:
        for slot in (0, 1, 31):
            found = await log.read_batches(stream, slot, 0, 9_999)
            assert [(b.stream, b.slot, b.base_seq) for b in found] == [(stream, slot, 0)]
            assert await log.find_message(stream, slot, 4) is None


async def test_progress_for_a_batch_nobody_knows_is_harmless(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", progress=(Progress(OUT, 0, 100, SENT, True, START_MS),))
    log = await cluster.log("a")
    assert await log.read_batches(OUT, 0, 0, 9_999) == []
    assert await log.find_message(OUT, 0, 100) is None
