"""Bodies of large commits beside the ledger: where they lie, when their files come and go."""

import errno
import os
from pathlib import Path

import pytest

from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.limits import (
    RECENT_COMMIT_BYTES_MAX,
    RETAIN_BODIES_S,
    RETAIN_STATES_S,
    SEGMENT_AGE_MAX_S,
)
from multiconnect.model.cluster import NodeState
from multiconnect.model.log import LogWrite
from multiconnect.store.sqlite import segments
from multiconnect.store.sqlite.fence import seal
from multiconnect.store.sqlite.files import files_of
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.segment_file import segment_path, stored_segments
from tests.contract.cluster import OUT, SENT, START_MS, Cluster, Stores, append, progress
from tests.unit.store.sqlite.segment_calls import calls, refuse

__all__ = ["calls"]

LARGE = bytes(range(256)) * (RECENT_COMMIT_BYTES_MAX // 256 + 1)
GONE_MS = START_MS + int(RETAIN_BODIES_S * 1000) + 1


@pytest.fixture
async def cluster(tmp_path):
    stores = Stores("sqlite", tmp_path)
    yield await Cluster.start(stores)
    await stores.aclose()


@pytest.fixture
def path(cluster) -> Path:
    """The ledger of a."""
    return files_of(cluster.stores.url).ledger("a")


def large(slot, base, **fields):
    return append(slot, base, body=LARGE, **fields)


def settled(*places):
    return tuple(progress(slot, base, SENT * 4, settled=True) for slot, base in places)


def counted(path):
    ledger = Ledger(path, visitor=True)
    with ledger.read() as db:
        rows = dict(db.execute("SELECT number, bodies FROM segment"))
    ledger.close()
    return rows


async def body(log, slot, sequence):
    found = await log.find_message(OUT, slot, sequence)
    return found.batch.body


# --- a log -----------------------------------------------------------------------------------


async def test_bodies_of_a_large_commit_lie_beside_the_ledger(cluster, path):
    await cluster.own("a", 0, 1)
    await cluster.append("a", large(0, 0), append(1, 0))
    await cluster.append("a", append(0, 4))
    file = segment_path(path, 1)
    assert file.stat().st_size - len(LARGE) - len(b"1:0:4") in range(4096)
    assert file.stat().st_mode & 0o777 == 0o600
    assert counted(path) == {1: 2}
    log = await cluster.log("a")
    assert [await body(log, *at) for at in ((0, 3), (1, 0), (0, 4))] == [
        LARGE, b"1:0:4", b"0:4:4",
    ]  # fmt: skip
    found = await log.read_batches(OUT, 0, 0, 2**40)
    assert [batch.body for batch in found] == [LARGE, b"0:4:4"]


async def test_reading_stops_at_its_limit_whereever_bodies_lie(cluster):
    await cluster.own("a", 0)
    for base in range(0, 20, 4):
        await cluster.append("a", large(0, base))
    log = await cluster.log("a")
    assert len(await log.read_batches(OUT, 0, 0, len(LARGE) + 1)) == 2


async def test_a_new_owner_reads_what_an_old_one_left(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", large(0, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    await cluster.own("b", 0)
    log = await cluster.log("b")
    assert [batch.body for batch in await log.read_batches(OUT, 0, 0, 9)] == [LARGE]


async def test_a_segment_goes_with_the_last_body_in_it(cluster, path):
    await cluster.own("a", 0, 1)
    await cluster.append("a", large(0, 0), large(1, 0), progress=settled((0, 0)))
    log = await cluster.log("a")
    await log.collect_garbage(GONE_MS)
    assert counted(path) == {1: 1}
    assert await body(log, 0, 0) is None
    assert await body(log, 1, 0) == LARGE, "what is pending keeps its segment"
    await cluster.append("a", progress=settled((1, 0)))
    while await log.collect_garbage(GONE_MS):
        pass
    assert stored_segments(path) == []
    assert counted(path) == {2: 0}, "closed for good"
    await cluster.append("a", large(0, 4))
    assert stored_segments(path) == [3]
    await cluster.append("a", progress=settled((0, 4)))
    while await log.collect_garbage(GONE_MS):
        pass
    assert counted(path) == {4: 0}, "what closed others is not kept"
    await cluster.append("a", large(0, 8))
    assert await body(log, 0, 8) == LARGE


async def test_a_segment_is_closed_when_it_is_large_or_old(cluster, path, monkeypatch):
    await cluster.own("a", 0)
    late_ms = START_MS + int(SEGMENT_AGE_MAX_S * 1000)
    await cluster.append("a", large(0, 0))
    await cluster.append("a", large(0, 4, accepted_at_ms=late_ms - 1))
    assert counted(path) == {1: 2}
    await cluster.append("a", large(0, 8, accepted_at_ms=late_ms))
    assert counted(path) == {1: 2, 2: 1}
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", len(LARGE))
    await cluster.append("a", large(0, 12, accepted_at_ms=late_ms))
    assert counted(path) == {1: 2, 2: 1, 3: 1}
    # An older one goes alone, the newest stays although nothing was written to it for long.
    await cluster.append("a", progress=settled((0, 0), (0, 4)))
    log = await cluster.log("a")
    await log.collect_garbage(GONE_MS)
    assert stored_segments(path) == [2, 3]


async def test_a_refused_slot_counts_for_nothing(cluster, path):
    epochs = await cluster.own("a", 0, 1)
    seal(files_of(cluster.stores.url), "a", [(1, epochs[1])])
    log = await cluster.log("a")
    assert await log.commit(LogWrite(epochs, (large(0, 0), large(1, 0)))) == {1}
    assert counted(path) == {1: 1}


async def test_nobody_refers_to_a_segment_that_was_closed(cluster, path):
    """An owner that was taken for dead writes on: its file may be gone, so nothing is committed."""
    epochs = await cluster.own("a", 0)
    await cluster.append("a", large(0, 0), progress=settled((0, 0)))
    collector = Ledger(path, visitor=True)
    with collector.write() as db:
        db.execute("UPDATE segment SET bodies = 0")
    # Closed, and its file not yet removed.
    with collector.write() as db:
        assert segments.close_empty(db, [1]) == [1]
    log = await cluster.log("a")
    with pytest.raises(StoreUnavailable, match="was closed"):
        await log.commit(LogWrite(epochs, (large(0, 4),)))
    tail = await log.open_slot(0, epochs[0])
    assert tail.streams[OUT].next_seq == 4
    # An owner that lives after all, and is not fenced, begins another.
    await cluster.append("a", large(0, 4))
    assert await body(log, 0, 4) == LARGE
    assert collector.drop_segments() == 1, "the file of the one that was closed"
    assert counted(path) == {3: 1}
    collector.close()


async def test_what_did_not_fit_gives_its_space_back(cluster, path, calls):
    """Outcomes, which need little, would lack what bodies that were never stored had taken."""
    epochs = await cluster.own("a", 0)
    await cluster.append("a", large(0, 0))
    size = segment_path(path, 1).stat().st_size
    written = iter([4096])

    def nearly_full(file, data, offset):
        return os.pwrite(file, data[: next(written, 0)], offset) or refuse(errno.ENOSPC)()

    calls(pwrite=nearly_full)
    log = await cluster.log("a")
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await log.commit(LogWrite(epochs, (large(0, 4),)))
    assert segment_path(path, 1).stat().st_size == size
    calls()
    await cluster.append("a", large(0, 4))
    assert counted(path) == {1: 1, 2: 1}
    assert [await body(log, 0, at) for at in (0, 4)] == [LARGE, LARGE]


@pytest.mark.parametrize("call", ["scandir", "unlink"])
async def test_what_the_system_refuses_is_the_stores_to_say(cluster, path, calls, call):
    await cluster.own("a", 0)
    await cluster.append("a", large(0, 0), progress=settled((0, 0)))
    log = await cluster.log("a")
    calls(**{call: refuse(errno.EIO)})
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        await log.collect_garbage(GONE_MS)
    calls()
    while await log.collect_garbage(GONE_MS):
        pass
    assert stored_segments(path) == []


async def test_files_that_no_commit_refers_to_go(cluster, path):
    await cluster.own("a", 0)
    await cluster.append("a", large(0, 0))
    log = await cluster.log("a")
    log._ledgers.own._segment.close()  # as after a failed sync
    await cluster.append("a", large(0, 4))
    assert stored_segments(path) == [1, 2]
    for orphan in (segment_path(path, 0), segment_path(path, 7)):
        orphan.write_bytes(b"of a commit that failed")
    assert await log.collect_garbage(START_MS) == 1
    assert stored_segments(path) == [1, 2, 7], "one above the newest may be in use"


async def test_a_segment_that_got_lost_is_not_passed_over(cluster, path):
    await cluster.own("a", 0, 1)
    await cluster.append("a", large(0, 0), large(1, 0), progress=settled((1, 0)))
    kept = segment_path(path, 1).rename(path.with_name("kept"))
    log = await cluster.log("a")
    with pytest.raises(CorruptData, match=r"bodies-1 is missing; put it back"):
        await log.read_batches(OUT, 0, 0, 9)
    assert await body(log, 1, 0) is None, "it may just have been collected"
    kept.rename(segment_path(path, 1))
    assert await body(log, 0, 0) == LARGE


async def test_the_segments_of_the_dead_go_with_their_ledger(cluster, path):
    await cluster.own("a", 0)
    await cluster.append("a", large(0, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    await cluster.own("b", 0)
    await cluster.append("b", progress=settled((0, 0)))
    log = await cluster.log("b")
    while await log.collect_garbage(GONE_MS):
        pass
    assert await body(log, 0, 0) is None
    assert stored_segments(path) == []
    segment_path(path, 9).write_bytes(b"of a commit that failed")
    while await log.collect_garbage(START_MS + int(RETAIN_STATES_S * 1000) + 1):
        pass
    assert not path.exists()
    assert stored_segments(path) == []
