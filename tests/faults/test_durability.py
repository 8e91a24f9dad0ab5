"""The ledger on a disk that fails and on a machine that loses its power [21, 22, 23].

A run of commits is written down call by call; the power is cut at every write and every sync of
it, in three ways. After each cut the ledger is opened with SQLite's own VFS: everything whose
commit had returned is there, and of the commit under way either all or nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import RETAIN_BODIES_S
from multiconnect.model.log import (
    Answer,
    Failure,
    LogWrite,
    Mark,
    Progress,
    Retry,
    SlotTail,
    StoredBatch,
    UpstreamId,
)
from multiconnect.store.port import LogStore
from multiconnect.store.sqlite import segments
from multiconnect.store.sqlite.files import Files, files_of
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.recent import put_in_place
from multiconnect.store.sqlite.segment_file import segment_path
from multiconnect.store.sqlite.segment_reader import Place, SegmentReader, place_of
from tests.contract.cluster import OUT, SENT, START_MS, Cluster, Stores, append, key_row
from tests.support.disk import Disk, contents
from tests.support.disk_ops import Delete, Returned, Sync, Write
from tests.support.power import MODES, Surface

SLOTS = (0, 1, 2)
#: A checkpoint every few commits, where the product has one every few hundred.
CHECKPOINT_PAGES = 24


@dataclass
class Run:
    """One owner's ledger on a watched disk."""

    cluster: Cluster
    log: LogStore
    disk: Disk
    path: Path

    @classmethod
    async def begin(cls, disk: Disk, cluster: Cluster, files: Files) -> Run:
        await cluster.own("a", *SLOTS)
        run = cls(cluster, await cluster.log("a"), disk, files.ledger("a"))
        disk.watched = str(run.path)
        run.often_checkpointed()
        return run

    def often_checkpointed(self) -> None:
        self.log._ledgers.own.open().wal_autocheckpoint(CHECKPOINT_PAGES)  # type: ignore[attr-defined]

    async def tails(self) -> list[SlotTail]:
        found = [await self.log.open_slot(slot, 1) for slot in SLOTS]
        return [tail for tail in found if tail is not None]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    stores = Stores("sqlite", tmp_path)
    yield stores
    await stores.aclose()


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.disarm()
    disk.unregister()


@pytest.fixture
async def run(disk: Disk, stores: Stores) -> Run:
    return await Run.begin(disk, await Cluster.start(stores), files_of(stores.url))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder whose syncs cost nothing: what a power cut left is only looked at."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def write_of(step: int) -> LogWrite:
    """Return the group that a busy owner writes at this step: some of everything."""
    base = 4 * step
    # Small commits wait for their place (recent.py), every seventh is too large for that.
    size = 1 + step * 37 % 200 if step % 7 else 400
    body = hashlib.sha256(f"{step}".encode()).digest() * size
    key = key_row(f"key {step}", base)
    appends = tuple(
        append(slot, base, body=body, answers=(Answer(step + 1, base),), keys=(key,))
        for slot in SLOTS
    )
    before = base - 4
    return LogWrite(
        dict.fromkeys(SLOTS, 1),
        appends,
        progress=tuple(
            Progress(OUT, slot, before, SENT * 4, settled=True, at_ms=START_MS)
            for slot in SLOTS
            if step
        ),
        marks=tuple(Mark(OUT, slot, base + 3, before) for slot in SLOTS if step),
        retries=(Retry(OUT, 1, base, 1, START_MS, None, f"try {step}"),),
        retries_done=((OUT, 1, before),) if step else (),
        failures=(Failure(OUT, 2, base, 1, START_MS, 131026, f"no {step}"),),
        upstream_ids=(UpstreamId(OUT, 0, base, f"wamid.{step}"),),
    )


def digest(ledger: Ledger) -> str:
    """Return a digest of every row of the ledger, as they are once nothing waits for its place."""
    db = ledger.open()
    db.execute("BEGIN IMMEDIATE")
    try:
        put_in_place(db)
        return digest_of_tables(db)
    finally:
        db.execute("ROLLBACK")


def digest_of_tables(db: apsw.Connection) -> str:
    """Return a digest of all rows."""
    tables = [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        )
    ]
    rows = [list(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")) for table in tables]
    with SegmentReader() as reader:
        rows.append([reader.read(db.filename, place) for place in places(db)])
    tables.append("bodies in segments")
    return hashlib.sha256(repr(list(zip(tables, rows, strict=True))).encode()).hexdigest()


def places(db: apsw.Connection) -> list[Place]:
    """Return where the bodies lie that are not in the ledger itself."""
    found = [place_of(body) for (body,) in db.execute("SELECT body FROM batch ORDER BY id")]
    return [place for place in found if place is not None]


def look(path: Path) -> str:
    """Open a ledger as the product does, check it whole, show that it can be written."""
    ledger = Ledger(path)
    try:
        found = digest(ledger)
        with ledger.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with ledger.write() as db:
            db.execute("UPDATE position SET watermark = watermark + 1")
    finally:
        ledger.close()
    return found


def put(folder: Path, ledger: Path, files: dict[str, bytes]) -> Path:
    """Lay out what a power cut left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / Path(name).name).write_bytes(data)
    return folder / ledger.name


async def recorded(run: Run, steps: int) -> tuple[Surface, list[str]]:
    """Make the run; return the disk's state before it, and what the ledger held after each step."""
    begin = Surface(contents(run.path), seed=steps)
    own = run.log._ledgers.own  # type: ignore[attr-defined]
    run.disk.ops.clear()
    held = []
    held.append(digest(own))
    for step in range(steps):
        assert await run.log.commit(write_of(step)) == frozenset()
        run.disk.ops.append(Returned(step + 1))
        held.append(digest(own))
    return begin, held


async def cut_everywhere(run: Run, folder: Path, steps: int, every: int) -> dict[str, int]:
    """Cut the power behind every `every`-th write and sync; return how often each way."""
    surface, held = await recorded(run, steps)
    cuts = dict.fromkeys(MODES, 0)
    run.disk.unregister()
    for at, op in enumerate(run.disk.ops):
        surface.apply(op)
        if isinstance(op, Returned) or at % every:
            continue
        for mode in MODES:
            if mode != "synced" and isinstance(op, Sync):
                continue
            files = surface.left(mode)
            found = look(put(folder, run.path, files))
            known = held[surface.returned : surface.returned + 2]
            assert found in known, (at, op.__class__.__name__, mode, surface.returned)
            cuts[mode] += 1
    return cuts


#: Of the operations of a run, every so many-th is looked at. The slow test looks at each.
SAMPLED = 53


@pytest.mark.parametrize("every", [SAMPLED, pytest.param(1, marks=pytest.mark.slow, id="all")])
async def test_a_power_cut_at_any_moment_loses_nothing_that_was_promised(
    run: Run, memory: Path, every: int
) -> None:
    cuts = await cut_everywhere(run, memory / "cut", steps=200, every=every)
    assert sum(cuts.values()) > 10_000 / every
    written = {op.path for op in run.disk.ops if isinstance(op, Write)}
    assert str(run.path) in written, "the WAL was copied back on the way"
    assert str(segment_path(run.path, 1)) in written, "large commits leave their bodies beside it"


def large_write(step: int) -> LogWrite:
    """Return a group whose bodies go to a segment; it settles the one before it."""
    body = hashlib.sha256(f"{step}".encode()).digest() * 400
    return LogWrite(
        dict.fromkeys(SLOTS, 1),
        tuple(append(slot, 4 * step, body=body) for slot in SLOTS),
        progress=tuple(
            Progress(OUT, slot, 4 * step - 4, SENT * 4, settled=True, at_ms=START_MS)
            for slot in SLOTS
            if step
        ),
    )


async def test_a_power_cut_while_segments_go_takes_no_body_that_is_needed(
    run: Run, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each commit has a segment of its own, which is deleted once the next one settled it."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 1)
    surface = Surface(contents(run.path))
    run.disk.ops.clear()
    for step in range(12):
        assert await run.log.commit(large_write(step)) == frozenset()
        run.disk.ops.append(Returned(step + 1))
        while await run.log.collect_garbage(START_MS + int(RETAIN_BODIES_S * 1000) + 1):
            pass
    run.disk.unregister()
    assert sum(isinstance(op, Delete) for op in run.disk.ops) == 11
    for at, op in enumerate(run.disk.ops):
        surface.apply(op)
        for mode in MODES if at % 5 == 0 else ():
            path = put(memory / "cut", run.path, surface.left(mode))
            newest = newest_with_all_bodies(path)
            assert newest + 1 in {surface.returned, surface.returned + 1}, (at, op, mode)


def newest_with_all_bodies(path: Path) -> int:
    """Return the newest step in a ledger; every body that a row has a place for must be there."""
    ledger = Ledger(path)
    newest, place = -1, None
    with ledger.write() as db, SegmentReader() as reader:
        for row_id, body in db.execute("SELECT id, body FROM batch ORDER BY id & 0xffffffffffff"):
            newest, place = (row_id & 0xFFFF_FFFF_FFFF) // 4, place_of(body)
            if place is not None:
                assert reader.read(db.filename, place) == large_write(newest).appends[0].body
        assert newest < 0 or place is not None, "the newest is pending"
    ledger.close()
    return newest


async def commit_until_stored(run: Run, step: int) -> None:
    """Commit a group as an owner does: after "don't know" it reads the tails and asks again."""
    while True:
        try:
            assert await run.log.commit(write_of(step)) == frozenset()
        except StoreUnavailable:
            stored = await read_tails(run)
            ends = {tail.streams[OUT].next_seq for tail in stored}
            assert ends in ({4 * step}, {4 * step + 4}), "all slots of the group, or none"
            if ends == {4 * step}:
                continue
        run.disk.ops.append(Returned(step + 1))
        return


async def read_tails(run: Run) -> list[SlotTail]:
    """Read until the store answers; what failed once works the next time."""
    while True:
        try:
            tails = await run.tails()
            run.often_checkpointed()
        except StoreUnavailable:
            continue
        return tails


async def read_unsettled(run: Run) -> list[StoredBatch]:
    """Read what is left of a slot until the store answers; what waits is put in place for that."""
    while True:
        try:
            return list(await run.log.read_batches(OUT, 0, 0, 2**40))
        except StoreUnavailable:
            continue


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError])
async def test_any_call_may_fail_once_and_nothing_is_lost_or_half(
    run: Run, error: type[apsw.Error]
) -> None:
    """[22, 23] Each call in turn, opening and checkpoints included, fails with EIO, then FULL."""
    failed: set[str] = set()
    step = call = 0
    while call == 0 or run.disk.failed_call:
        run.log._ledgers.own.close()  # type: ignore[attr-defined]
        run.disk.fail(call, error)
        await read_tails(run)
        for _ in range(3):
            await commit_until_stored(run, step)
            step += 1
        found = await read_unsettled(run)
        assert [batch.base_seq for batch in found] == [4 * (step - 1)], "the others are settled"
        failed.add(run.disk.failed_call)
        call += 1
    run.disk.disarm()
    assert {"xOpen", "xRead", "xWrite", "xSync", "xFileSize"} < failed
    assert {tail.streams[OUT].next_seq for tail in await run.tails()} == {4 * step}


@pytest.mark.parametrize("visited", [False, True], ids=["alone", "visited"])
async def test_a_sync_that_failed_once_is_not_believed_afterwards(
    run: Run, memory: Path, visited: bool
) -> None:
    """[23] The kernel drops what a failed sync should have written, and says so only once.

    `visited`: another owner has the ledger open for reading, as after a hand-over.
    """
    visitor = Ledger(run.path, visitor=True)
    if visited:
        visitor.open()
    surface = Surface(contents(run.path))
    run.disk.ops.clear()
    own = run.log._ledgers.own  # type: ignore[attr-defined]
    lost_at: list[int] = []
    failures = 0
    for step in range(40):
        if step % 3 == 2:
            # The sync of the commit, or one of those of the checkpoint behind it.
            run.disk.fail(step // 3 % 3, apsw.IOError, only=("xSync",))
        await commit_until_stored(run, step)
        failures += run.disk.failed_call == "xSync"
        run.disk.disarm()
        held = digest(own)
        follow(surface, run.disk)
        # The power goes now, and comes back.
        found = look(put(memory / "cut", run.path, surface.left("synced")))
        if found != held:
            lost_at.append(step)
    visitor.close()
    assert failures > 3
    assert lost_at == []


def follow(surface: Surface, disk: Disk) -> None:
    """Let the surface know of what happened since it was last told."""
    for op in disk.ops:
        surface.apply(op)
    disk.ops.clear()
