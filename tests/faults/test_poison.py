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
from tests.support.stage import recipients_of

pytestmark = pytest.mark.process
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
