"""SQLite-only: half-done grants, lost and damaged files, full disks, failing reads and syncs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from multiconnect.errors import CorruptData, Refused, StoreUnavailable
from multiconnect.limits import LEDGERS_OPEN_MAX, RECENT_COMMIT_BYTES_MAX, RETAIN_STATES_S
from multiconnect.model.cluster import Move, NodeState, Role
from multiconnect.model.log import LogWrite
from multiconnect.store.open import open_store
from multiconnect.store.port import LogStore
from multiconnect.store.sqlite.fence import seal
from multiconnect.store.sqlite.files import Files, files_of
from tests.contract.cluster import (
    OUT,
    SENT,
    START_MS,
    Cluster,
    Stores,
    append,
    node,
    progress,
)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    stores = Stores("sqlite", tmp_path)
    yield stores
    await stores.aclose()


@pytest.fixture
def files(stores: Stores) -> Files:
    return files_of(stores.url)


# --- a Master that dies between fencing the old owner and granting the slot ----------------------


async def test_a_half_done_grant_is_healed_by_its_owner(cluster, files):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    seal(files, "a", [(0, 1)])
    log = await cluster.log("a")
    assert await log.commit(LogWrite({0: 1}, (append(0, 4),))) == {0}
    assert await log.open_slot(0, 1) is None
    assert (await cluster.control.snapshot()).slots[0].owner == "a"
    assert await cluster.control.release(0, 1, "a", "fenced by a grant that was not finished")
    assert await cluster.own("b", 0) == {0: 2}
    await cluster.append("b", append(0, 4))


async def test_a_half_done_grant_is_completed_by_repeating_it(cluster, files):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    seal(files, "a", [(0, 1)])
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "again")
    assert (await (await cluster.log("b")).open_slot(0, 2)).streams[OUT].next_seq == 4


async def test_an_owner_may_be_fenced_before_it_has_a_ledger(cluster, files):
    await cluster.control.assign([Move(0, 0, None, "a")], 1, "")
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    assert not files.ledger("a").exists()
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "")
    assert await (await cluster.log("b")).open_slot(0, 2) is not None
    assert await (await cluster.log("a")).open_slot(0, 1) is None


# --- files ---------------------------------------------------------------------------------------


async def test_files_are_for_their_user_only(cluster, files):
    await cluster.own("a", 0)
    for folder in (files.control.parent, files.ledgers):
        assert folder.stat().st_mode & 0o777 == 0o700
    for path in (*files.control.parent.glob("mc.db*"), *files.ledgers.iterdir()):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path


async def test_only_owners_have_ledgers(cluster, files):
    await cluster.control.join(node("w", role=Role.WEB))
    for name in ("a", "w", "stranger"):
        log = await cluster.log(name)
        assert await log.find_message(OUT, 0, 0) is None
        assert await log.collect_garbage(START_MS) == 0
    assert files.stored_ledgers() == ["a"]


async def test_names_of_incarnations_may_hold_anything(cluster, files):
    name = "../weird name#1/ü%"
    await cluster.control.join(node(name))
    await cluster.own(name, 0)
    await cluster.append(name, append(0, 0))
    assert files.stored_ledgers() == [name]


async def test_a_ledger_that_got_lost_is_not_passed_over(cluster, files):
    """Going on without it would give its sequence numbers out again."""
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    await cluster.store.aclose()
    lost = files.ledger("a")
    kept = lost.rename(lost.with_suffix(".kept"))
    store = await cluster.stores.open()
    await store.control.set_node_state("a", NodeState.DEAD, "disk")
    # Sealing makes an empty ledger in its place, which is not taken for the real one.
    assert await store.control.assign([Move(0, 1, "a", "b")], 1, "")
    for path in files.ledgers.glob("a.db*"):
        path.unlink()
    log = await store.log("b")
    with pytest.raises(CorruptData, match="ledger of a"):
        await log.open_slot(0, 2)
    kept.rename(lost)
    assert (await log.open_slot(0, 2)).streams[OUT].next_seq == 4


async def test_a_damaged_file_is_named(stores, files):
    files.make_directories()
    files.control.write_bytes(b"this is no database" * 1000)
    with pytest.raises(CorruptData, match="is damaged"):
        await stores.open()


async def test_a_newer_schema_is_refused(cluster, stores, files):
    await stores.aclose()
    connection = apsw.Connection(str(files.control))
    connection.execute("INSERT INTO schema_version VALUES (99, 'of the future')")
    connection.close()
    with pytest.raises(Refused, match="schema version 99"):
        await stores.open()


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        await open_store(f"sqlite:///{tmp_path}/file/m.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await open_store(f"sqlite:///{tmp_path}/folder.db")


# --- ledgers come and go -------------------------------------------------------------------------


async def settle_and_collect(cluster: Cluster, name: str, after_s: float) -> None:
    log = await cluster.log(name)
    for _ in range(12):
        await log.collect_garbage(START_MS + int(after_s * 1000))


async def test_a_dead_owners_ledger_goes_when_nothing_needs_it(cluster, files):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    await cluster.own("b", 0)
    # A batch is pending: it stays for ever.
    await settle_and_collect(cluster, "b", 100 * RETAIN_STATES_S)
    assert files.stored_ledgers() == ["a", "b"]
    await cluster.append("b", progress=(progress(0, 0, SENT * 4, settled=True),))
    await settle_and_collect(cluster, "b", RETAIN_STATES_S)
    assert files.stored_ledgers() == ["a", "b"]
    await settle_and_collect(cluster, "b", RETAIN_STATES_S + 1)
    assert files.stored_ledgers() == ["b"]
    assert not list(files.ledgers.glob("a.db*"))
    # The slot's numbers go on from where they were.
    await cluster.control.set_node_state("b", NodeState.DEAD, "exit")
    await cluster.own("c", 0)
    await cluster.append("c", append(0, 4))


async def test_a_ledger_with_the_only_position_of_a_slot_stays(cluster, files):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0), progress=(progress(0, 0, SENT * 4, settled=True),))
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")

    async def is_kept() -> bool:
        await settle_and_collect(cluster, "c", 2 * RETAIN_STATES_S)
        return "a" in files.stored_ledgers()

    assert await is_kept()
    # Granted on, but not taken up: still only A knows where the slots end.
    moves = [Move(slot, 1, "a", "b") for slot in (0, 1)]
    assert await cluster.control.assign(moves, 1, "")
    assert await is_kept()
    log = await cluster.log("b")
    assert (await log.open_slot(0, 2)).streams[OUT].next_seq == 4
    # Slot 1 was never written to, but A is all that says so.
    assert await is_kept()
    assert (await log.open_slot(1, 2)).streams[OUT].next_seq == 0
    assert not await is_kept()


async def test_a_ledger_stays_while_a_slot_names_its_owner(cluster, files):
    """Its fence was never sealed: a zombie would go on writing to the deleted file."""
    await cluster.log("a")
    await cluster.control.assign([Move(0, 0, None, "a")], 1, "")
    await cluster.control.set_node_state("a", NodeState.DEAD, "believed dead")
    await settle_and_collect(cluster, "c", 2 * RETAIN_STATES_S)
    assert "a" in files.stored_ledgers()
    await cluster.own("b", 0)
    await settle_and_collect(cluster, "c", 2 * RETAIN_STATES_S)
    assert "a" not in files.stored_ledgers()


async def test_the_ledger_of_a_spare_that_died_goes_at_once(cluster, files):
    for name in "ab":
        await cluster.log(name)
    await cluster.control.set_node_state("a", NodeState.DEAD, "exit")
    await settle_and_collect(cluster, "b", 0)
    assert files.stored_ledgers() == ["b"]


async def test_a_chain_may_be_longer_than_what_is_kept_open(cluster):
    names = [f"owner-{number}" for number in range(LEDGERS_OPEN_MAX + 4)]
    for turn, name in enumerate(names):
        await cluster.control.join(node(name))
        await cluster.own(name, 0)
        await cluster.append(name, append(0, 4 * turn))
    log = await cluster.log(names[-1])
    for _ in range(2):
        found = await log.read_batches(OUT, 0, 0, 9_999)
        assert [batch.base_seq for batch in found] == list(range(0, 4 * len(names), 4))
        assert len(log._ledgers._others) == LEDGERS_OPEN_MAX


async def test_only_ledgers_with_something_unsettled_are_opened(cluster):
    """After many failovers the chain is long, and an heir has no time to open all of it."""
    names = [f"owner-{number}" for number in range(9)]
    for turn, name in enumerate(names):
        await cluster.control.join(node(name))
        await cluster.own(name, 0)
        await cluster.append(name, append(0, 4 * turn))
        if turn not in {6, 7}:
            row = progress(0, 4 * turn, SENT * 4, settled=True)
            await (await cluster.log(name)).commit(LogWrite({0: turn + 1}, progress=(row,)))
    heir = await cluster.log(names[-1])
    assert [b.base_seq for b in await heir.read_batches(OUT, 0, 24, 9_999)] == [24, 28]
    assert set(heir._ledgers._others) == {"owner-7", "owner-6", "owner-5"}


async def test_links_of_old_tenures_are_dropped(cluster):
    """A slot that goes to and fro between two owners must not lengthen its chain for ever."""
    for turn in range(10):
        await cluster.own("ab"[turn % 2], 0)
    logs = [await cluster.log(name) for name in "ab"]
    assert len(logs[0]._chain(0)) == 10
    for log in logs:
        await log.collect_garbage(START_MS)
    assert [tuple(tenure) for tenure in logs[0]._chain(0)] == [(10, "b"), (9, "a")]
    await cluster.append("b", append(0, 0))
    assert await cluster.own("a", 0) == {0: 11}
    await cluster.append("a", append(0, 4))


# --- disks ---------------------------------------------------------------------------------------


async def test_a_full_disk_takes_nothing_half_and_recovers(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    log = await cluster.log("a")
    connection = log._ledgers.own.open()
    pages = connection.pragma("page_count")
    connection.pragma("max_page_count", pages + 2)
    big = append(0, 4, body=bytes(RECENT_COMMIT_BYTES_MAX), keys=())
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="disk is full") as failed:
            await log.commit(LogWrite({0: 1}, (big,)))
        assert isinstance(failed.value.__cause__, apsw.FullError)
    assert (await log.open_slot(0, 1)).streams[OUT].next_seq == 4
    await cluster.append("a", append(0, 4))
    connection.pragma("max_page_count", 2**31)
    await cluster.append("a", append(0, 8, body=bytes(200_000)))


class FaultyDisk(apsw.VFS):
    """The default VFS, except that one call in the whole, counted from arming, fails."""

    def __init__(self) -> None:
        self.base = apsw.vfs_names()[0]
        self.calls_left: int | None = None
        self.opened = 0
        super().__init__("faulty", self.base, makedefault=True)

    def fail_after(self, calls: int) -> None:
        self.calls_left = calls

    def xOpen(self, name, flags):  # noqa: N802
        self.opened += 1
        return FaultyFile(self, name, flags)

    def disarm(self) -> bool:
        """Return whether the call that was to fail never came."""
        armed, self.calls_left = self.calls_left is not None, None
        return armed

    def call(self, error: type[apsw.Error]) -> None:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                self.calls_left = None
                raise error


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name, flags) -> None:
        self._disk = disk
        super().__init__(disk.base, name, flags)

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.call(apsw.IOError)
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802
        self._disk.call(apsw.IOError)
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    disk = FaultyDisk()
    yield disk
    disk.unregister()


async def next_seq(log: LogStore, slot: int) -> int:
    tail = await log.open_slot(slot, 1)
    assert tail is not None
    return tail.streams[OUT].next_seq


async def test_every_write_and_sync_of_a_commit_may_fail(disk, stores):
    cluster = await Cluster.start(stores)
    await cluster.own("a", 0, 1)
    log = await cluster.log("a")
    stored = failures = 0
    for calls in range(100):
        group = LogWrite({0: 1, 1: 1}, (append(0, stored, body=bytes(20_000)), append(1, stored)))
        opened = disk.opened
        disk.fail_after(calls)
        try:
            assert await log.commit(group) == frozenset()
        except StoreUnavailable:
            failures += 1
            first, second = [await next_seq(log, slot) for slot in (0, 1)]
            # A connection whose sync failed is never used again.
            assert disk.opened > opened
            assert first == second
            assert first in {stored, stored + 4}
            stored = first
        else:
            stored += 4
        if disk.disarm():
            break
    assert failures >= 3
    found = await log.read_batches(OUT, 0, 0, 2**40)
    assert [batch.base_seq for batch in found] == list(range(0, stored, 4))
    await stores.aclose()
