"""A message that kills whoever sends it costs three owners, not all of them [30]."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from multiconnect.model.cluster import NodeState
from multiconnect.model.log import StoredMessage
from multiconnect.model.message import STATE_MASK, State, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.store.open import open_store
from tests.support.faulty_cluster import FaultyCluster, RouterLoad, faulty_cluster
from tests.support.stage import Stage, recipients_of, until
from tests.support.talk import Talk
from tests.support.upstreams import MemoryUpstream

OPTIONS = ("--shards", "2", "--spares", "3", "--webs", "0")


async def stored(cluster: FaultyCluster, message_id: str) -> StoredMessage:
    address = decode_id(message_id)
    assert address is not None
    store = await open_store(str(cluster.ready["store"]))
    try:
        log = await store.log("a reader")
        found = await log.find_message(Stream.OUTBOUND, address.slot, address.sequence)
    finally:
        await store.aclose()
    assert found is not None
    return found


@pytest.mark.process
def test_a_message_that_kills_three_owners_is_given_up_and_its_slot_goes_on(
    tmp_path: Path,
) -> None:
    with faulty_cluster(tmp_path, *OPTIONS) as cluster:
        cluster.tickets.stand("poison", "drink me:7")
        poisoned = recipients_of([0], prefix="1631999")
        with (
            RouterLoad(cluster, recipients_of(range(32))) as load,
            RouterLoad(cluster, poisoned, period_s=0.1, text="drink me") as poisoner,
        ):
            load.wait_for(100)
            poisoner.wait_for(60)
        load.assert_clean()
        verdict = poisoner.verdict(timeout_s=1)
        assert [lost.number for lost in verdict.lost] == [7]
        assert not verdict.out_of_order + verdict.unmarked_repeats
        dead = [n for n in cluster.snapshot().nodes if n.state is NodeState.DEAD]
        assert [n.reason for n in dead] == ["signal 9"] * 3
        found = asyncio.run(stored(cluster, verdict.lost[0].message_id))
        state = found.batch.states[found.sequence - found.batch.base_seq] & STATE_MASK
        assert state == State.UNKNOWN
        assert found.failure is not None
        assert "3 owners" in found.failure.reason


async def test_suspects_are_sent_one_at_a_time_and_only_the_one_under_way_is_given_up(
    tmp_path: Path,
) -> None:
    """Eight messages were under way when two owners ended; a third ends over one of them."""
    async with Stage(tmp_path) as stage:
        upstreams = {name: MemoryUpstream(stage.arrivals) for name in "abcd"}
        for name, upstream in upstreams.items():
            await stage.member(name, upstream=upstream)
            if name != "d":
                upstream.gate.clear()
        await stage.grant("a")
        talk = Talk(await stage.router(), recipients_of(range(8)))
        await talk.send_all(1)
        await until(lambda: len(upstreams["a"].started) == 8, "all are under way at a")
        await stage.take_over("a", "b")
        await until(lambda: len(upstreams["b"].started) == 8, "and again at b")
        await stage.take_over("b", "c")
        await until(lambda: upstreams["c"].started, "one is tried at c")
        # Others may go by meanwhile; suspects may not.
        await talk.send_all(1)
        fresh = recipients_of(range(8), prefix="1631557")
        others = Talk(talk.router, fresh)
        await others.send_all(1)
        await until(lambda: len(upstreams["c"].started) == 9, "eight others are")
        (suspect,) = [m for m in upstreams["c"].started if m.recipient not in fresh]
        await stage.take_over("c", "d")
        await until(lambda: len(stage.arrivals) == 8 - 1 + 8 + 8, "all but one arrive")
        await until(lambda: not stage.members["d"].app.figures()["backlog"], "all are settled")
        assert stage.members["d"].app.figures()["unknown"] == 1
        missing = {a.message_id for a in talk.acknowledged} - {a.message_id for a in stage.arrivals}
        assert missing == {suspect.id}
        await stage.assert_clean(others)
