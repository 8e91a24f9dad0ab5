"""A slot changes hands: everything that is needed goes with it, and nothing of the old owner."""

import asyncio

from multiconnect.limits import PRODUCER_KEEP_S
from multiconnect.model.cluster import Move, NodeState
from multiconnect.model.log import (
    Answer,
    Failure,
    LogWrite,
    Mark,
    Retry,
    StreamTail,
    UpstreamId,
)
from multiconnect.model.message import State
from tests.contract.cluster import HELD, IN, OUT, SENT, START_MS, append, key_row, progress


async def test_positions_answers_and_retries_travel_with_the_slot(cluster):
    await cluster.own("a", 0, 1)
    answers = (Answer(3, 0), Answer(4, 4, ((1, 1, 0),)))
    retry = Retry(OUT, 0, 2, 5, START_MS, 1, "later")
    await cluster.append(
        "a",
        append(0, 0, producer=1, answers=answers[:1]),
        append(0, 4, producer=1, answers=answers),
        append(0, 0, stream=IN, producer=2),
        append(1, 0, producer=3),
        marks=(Mark(OUT, 0, 67, 2),),
        retries=(retry, Retry(OUT, 1, 0, 1, 0, None, "of another slot")),
    )
    await cluster.own("b", 0)
    tail = await (await cluster.log("b")).open_slot(0, 2)
    assert tail.streams == {OUT: StreamTail(8, 67, 2), IN: StreamTail(4, -1, 0)}
    assert tail.producers == {(OUT, 1): answers, (IN, 2): (Answer(0, 0),)}
    assert tail.retries == (retry,)
    # The other slot stayed where it was.
    assert (await (await cluster.log("a")).open_slot(1, 1)).streams[OUT].next_seq == 4


async def test_slots_opened_together_are_as_if_opened_one_by_one(cluster):
    """What is not granted under the epoch given is missing; the others are open all the same."""
    await cluster.own("a", 0, 1, 2)
    await cluster.append("a", append(0, 0, producer=1), append(2, 0, producer=3))
    await cluster.own("b", 0, 1, 2)
    log = await cluster.log("b")
    tails = await log.open_slots({2: 2, 1: 1, 0: 2, 3: 1})
    assert set(tails) == {0, 2}
    assert tails[0] == await log.open_slot(0, 2)
    assert tails[2] == await log.open_slot(2, 2)
    assert [tails[slot].streams[OUT].next_seq for slot in (0, 2)] == [4, 4]
    assert await log.open_slots({}) == {}
    assert await (await cluster.log("a")).open_slots({0: 1, 2: 1}) == {}
    await cluster.append("b", append(0, 4, producer=1), append(2, 4, producer=3))


async def test_producers_that_fell_silent_stay_behind(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0, producer=1))
    cluster.clock.advance(PRODUCER_KEEP_S / 2)
    recent = append(0, 4, producer=2, accepted_at_ms=cluster.clock.now_ms)
    await cluster.append("a", recent)
    cluster.clock.advance(PRODUCER_KEEP_S / 2 + 1)
    await cluster.own("b", 0)
    tail = await (await cluster.log("b")).open_slot(0, 2)
    assert tail.producers == {(OUT, 2): recent.answers}


async def test_the_past_is_read_wherever_it_was_written(cluster):
    key = key_row("k", 1)
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0, keys=(key,)), upstream_ids=(UpstreamId(OUT, 0, 0, "u"),))
    failure = Failure(OUT, 0, 3, 1, START_MS, 9, "no")
    await cluster.append("a", failures=(failure,))
    await cluster.own("b", 0)
    await cluster.append("b", append(0, 4))
    await cluster.own("c", 0)
    await cluster.append("c", append(0, 8))
    for name in "abc":
        log = await cluster.log(name)
        assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [0, 4, 8]
        assert await log.find_keys(0, [key.key]) == {key.key: key}
        assert (await log.find_message(OUT, 0, 0)).upstream_id == "u"
        assert (await log.find_message(OUT, 0, 3)).failure == failure
        assert (await log.find_message(OUT, 0, 9)).batch.body == b"0:8:4"


async def test_the_newest_owner_has_the_last_word(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0), append(0, 4))
    await cluster.append(
        "a",
        progress=(progress(0, 0, HELD * 4, settled=False),),
        upstream_ids=(UpstreamId(OUT, 0, 1, "first"),),
        failures=(Failure(OUT, 0, 2, 1, START_MS, None, "first"),),
    )
    await cluster.own("b", 0)
    failure = Failure(OUT, 0, 2, 2, START_MS, None, "second")
    await cluster.append(
        "b",
        progress=(progress(0, 0, SENT * 4, settled=True),),
        upstream_ids=(UpstreamId(OUT, 0, 1, "second"),),
        failures=(failure,),
    )
    for name in "ab":
        log = await cluster.log(name)
        found = await log.find_message(OUT, 0, 1)
        assert (found.batch.states, found.upstream_id) == (SENT * 4, "second")
        assert (await log.find_message(OUT, 0, 2)).failure == failure
        assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [4]


async def test_away_and_back_again(cluster):
    """A → B → A: what B wrote is newer than what A wrote under its first epoch."""
    await cluster.own("a", 0)
    early = Retry(OUT, 0, 1, 1, START_MS, None, "early")
    await cluster.append(
        "a",
        append(0, 0, producer=1),
        progress=(progress(0, 0, HELD * 4, settled=False),),
        retries=(early,),
        upstream_ids=(UpstreamId(OUT, 0, 0, "a"),),
        failures=(Failure(OUT, 0, 3, 1, START_MS, None, "a"),),
    )
    await cluster.own("b", 0)
    middle = Retry(OUT, 0, 2, 1, START_MS, None, "middle")
    await cluster.append(
        "b",
        append(0, 4, producer=2),
        progress=(progress(0, 0, SENT * 4, settled=True),),
        marks=(Mark(OUT, 0, 63, 4),),
        retries=(middle,),
        upstream_ids=(UpstreamId(OUT, 0, 0, "b"),),
        failures=(Failure(OUT, 0, 3, 2, START_MS, None, "b"),),
    )
    log_b = await cluster.log("b")
    assert await log_b.commit(LogWrite({0: 2}, retries_done=((OUT, 0, 1),))) == frozenset()
    await cluster.own("a", 0)
    log = await cluster.log("a")
    tail = await log.open_slot(0, 3)
    assert tail.streams[OUT] == StreamTail(8, 63, 4)
    assert tail.producers == {(OUT, 1): (Answer(0, 0),), (OUT, 2): (Answer(4, 4),)}
    assert tail.retries == (middle,)
    found = await log.find_message(OUT, 0, 0)
    assert (found.batch.states, found.upstream_id) == (SENT * 4, "b")
    assert (await log.find_message(OUT, 0, 3)).failure.reason == "b"
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 9_999)] == [4]
    # Neither of the old epochs writes any more, A's own included.
    for name, epoch in (("a", 1), ("b", 2)):
        assert await (await cluster.log(name)).commit(LogWrite({0: epoch}, (append(0, 8),))) == {0}
        assert await (await cluster.log(name)).open_slot(0, epoch) is None
    await cluster.append("a", append(0, 8))
    read = bytes([State.READ])
    await cluster.append("a", progress=(progress(0, 0, read * 4, settled=True),))
    assert (await log_b.find_message(OUT, 0, 0)).batch.states == read * 4
    found = await log_b.read_batches(OUT, 0, 0, 9_999)
    assert [b.base_seq for b in found] == [4, 8]


async def test_batches_of_many_tenures_are_read_in_order_and_by_the_limit(cluster):
    for turn, name in enumerate("abacbaa"):
        await cluster.own(name, 0)
        await cluster.append(name, append(0, turn * 8, body=b"." * 100), append(0, turn * 8 + 4))
    log = await cluster.log("c")
    expected = list(range(0, 56, 4))
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 0, 99_999)] == expected
    assert [b.base_seq for b in await log.read_batches(OUT, 0, 9, 101)] == [8, 12]
    found: list[int] = []
    while batches := await log.read_batches(OUT, 0, found[-1] + 4 if found else 0, 150):
        found += [b.base_seq for b in batches]
    assert found == expected


async def test_an_owner_that_never_opened_its_slot_is_passed_over(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "")
    await cluster.control.set_node_state("b", NodeState.DEAD, "died taking over")
    assert await cluster.control.assign([Move(0, 2, "b", "c")], 1, "")
    tail = await (await cluster.log("c")).open_slot(0, 3)
    assert tail.streams[OUT] == StreamTail(4, -1, 0)
    # The one that was passed over comes too late.
    late = await cluster.log("b")
    assert await late.open_slot(0, 2) is None
    assert await late.commit(LogWrite({0: 2}, (append(0, 4),))) == {0}


async def test_a_grant_fences_an_owner_before_it_opened_the_slot(cluster):
    """Sealed first, opened after: the late opener must not write."""
    late = await cluster.log("a")
    await cluster.control.assign([Move(0, 0, None, "a")], 1, "")
    await cluster.own("b", 0)
    assert await late.open_slot(0, 1) is None
    assert await late.commit(LogWrite({0: 1}, (append(0, 0),))) == {0}
    await cluster.append("b", append(0, 0))


async def test_a_grant_fences_the_old_owner_whatever_the_new_one_does(cluster):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0), append(1, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "believed dead")
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "")
    log = await cluster.log("a")
    assert await log.open_slot(0, 1) is None
    both = LogWrite({0: 1, 1: 1}, (append(0, 4), append(1, 4)))
    assert await log.commit(both) == {0}


async def test_opening_again_reads_the_tail_anew(cluster):
    await cluster.own("a", 0)
    log = await cluster.log("a")
    await cluster.append("a", append(0, 0))
    assert (await log.open_slot(0, 1)).streams[OUT].next_seq == 4
    await cluster.append("a", append(0, 4))
    assert (await log.open_slot(0, 1)).streams[OUT].next_seq == 8


async def test_commits_race_with_a_takeover_and_none_is_lost(cluster):
    """Whatever commits the old owner was told of are in the new owner's tail; no later ones."""
    await cluster.own("a", 0)
    log = await cluster.log("a")
    stored = 0
    warm = asyncio.Event()

    async def write_until_refused():
        nonlocal stored
        while not await log.commit(LogWrite({0: 1}, (append(0, stored),))):
            stored += 4
            if stored == 40:
                warm.set()
            await asyncio.sleep(0)

    async def take_over():
        await warm.wait()
        other = (await cluster.stores.open()).control
        await other.set_node_state("a", NodeState.DEAD, "believed dead")
        assert await other.assign([Move(0, 1, "a", "b")], 1, "")
        return (await (await cluster.log("b")).open_slot(0, 2)).streams[OUT].next_seq

    _, next_seq = await asyncio.gather(write_until_refused(), take_over())
    assert next_seq == stored


async def test_a_takeover_of_all_slots_at_once(cluster):
    slots = range(32)
    await cluster.own("a", *slots)
    await cluster.append("a", *(append(slot, 0) for slot in slots))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    moves = [Move(slot, 1, "a", "b" if slot % 2 else "c") for slot in slots]
    assert await cluster.control.assign(moves, 1, "")
    for slot in slots:
        log = await cluster.log("b" if slot % 2 else "c")
        assert (await log.open_slot(slot, 2)).streams[OUT].next_seq == 4
