import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.limits import RECENT_BYTES_MAX, RECENT_COMMIT_BYTES_MAX
from multiconnect.model.log import LogWrite, Mark
from multiconnect.store.sqlite.commit import is_large
from multiconnect.store.sqlite.fence import seal
from multiconnect.store.sqlite.files import files_of
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.recent import (
    BATCH,
    PRODUCER,
    PROGRESS,
    UPSTREAM_ID,
    Rows,
    _decode,
    _encode,
    is_waiting,
    keep,
    put_in_place,
    write_in_place,
)
from tests.contract.cluster import SENT, Cluster, Stores, append, progress

TABLES = (BATCH, PRODUCER, PROGRESS, UPSTREAM_ID)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def rows_of(table):
    numbers = [NUMBERS] * table.numbers
    return st.lists(st.tuples(*numbers, st.binary(max_size=20)), max_size=5)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "a.db")
    yield ledger
    ledger.close()


@pytest.fixture
async def cluster(tmp_path):
    stores = Stores("sqlite", tmp_path)
    yield await Cluster.start(stores)
    await stores.aclose()


def kept(ledger):
    with ledger.read() as db:
        return db.execute("SELECT count(*) FROM recent").get


def content(ledger, table):
    with ledger.read() as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


# --- the row that is kept ----------------------------------------------------------------------


@given(st.tuples(*map(rows_of, TABLES)))
def test_what_is_kept_is_read_back(lists):
    rows = dict(zip(TABLES, lists, strict=True))
    assert _decode(_encode(rows)) == list(lists)
    assert _decode(_encode({table: rows[table] for table in TABLES if rows[table]})) == list(lists)


def test_a_view_is_kept_as_its_bytes():
    body = memoryview(b"0123456789")[2:5]
    assert _decode(_encode({BATCH: [(1, 2, 3, 4, body)]}))[0] == [(1, 2, 3, 4, b"234")]


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_row_is_refused_or_reads_as_rows(at, value):
    data = bytearray(_encode({BATCH: [(1, 2, 3, 4, b"body")], PRODUCER: [(1, 2, 3, b"answers")]}))
    data[at % len(data)] = value
    try:
        found = _decode(bytes(data))
    except CorruptData:
        return
    assert [len(rows) for rows in found] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        struct.pack("<4q", -1, 0, 0, 0),
        struct.pack("<4q", 2**40, 0, 0, 0),
        struct.pack("<4q", 0, 0, 0, 0) + b"more",
        struct.pack("<4q", 0, 0, 0, 1) + struct.pack("<3q", 1, 1, 5) + b"four",
        struct.pack("<4q", 0, 0, 0, 2) + struct.pack("<6q", 1, 2, 1, 1, 9, -5) + b"four",
    ],
)
def test_nonsense_is_refused(data):
    with pytest.raises(CorruptData, match="a row of recent"):
        _decode(data)


# --- waiting, and taking one's place -----------------------------------------------------------


def test_rows_take_their_place_as_if_they_had_been_written_there(ledger, tmp_path):
    commits: list[Rows] = [
        {BATCH: [(8, 1, 2, 7, b"b8"), (1, 1, 1, 7, b"b1")], PRODUCER: [(0, -1, 7, b"old")]},
        {PROGRESS: [(8, 1, 1, 8, b"s")], UPSTREAM_ID: [(8, 1, "wamid.ä".encode())]},
        {PROGRESS: [(8, 1, 0, 9, b"r")], PRODUCER: [(0, -1, 9, b"new")]},
        {UPSTREAM_ID: [(8, 2, b"w")]},
    ]  # fmt: skip
    direct = Ledger(tmp_path / "direct.db")
    for rows in commits:
        with direct.write() as db:
            write_in_place(db, rows)
        with ledger.append():
            ledger.leave(rows)
    assert kept(ledger) == len(commits)
    ledger.settle()
    assert kept(ledger) == 0
    for table in ("batch", "producer", "progress", "upstream_id"):
        assert content(ledger, table) == content(direct, table)
    assert content(ledger, "progress") == [(8, 1, 1, 9, b"r")], "settled stays settled"
    assert content(ledger, "upstream_id") == [(8, 2, "w")]
    direct.close()


def test_any_other_write_puts_in_place_first(ledger):
    with ledger.append():
        ledger.leave({BATCH: [(1, 1, 1, 7, b"b1")]})
    with ledger.write() as db:
        assert not is_waiting(db)
        assert db.execute("SELECT id FROM batch").fetchall() == [(1,)]


def test_nothing_waits_when_the_transaction_fails(ledger):
    def write() -> None:
        with ledger.append():
            ledger.leave({BATCH: [(1, 1, 1, 7, b"b1")]})
            raise StoreUnavailable("the disk is gone")

    with pytest.raises(StoreUnavailable):
        write()
    assert kept(ledger) == 0


def test_who_reads_a_ledger_in_which_nothing_waits_does_not_write_to_it(ledger):
    with ledger.write() as db:
        write_in_place(db, {BATCH: [(1, 1, 1, 7, b"b1")]})
    changes = ledger.open().total_changes()
    ledger.settle()
    assert ledger.open().total_changes() == changes


def test_a_full_heap_is_put_in_place_by_the_next_commit(ledger):
    size = RECENT_COMMIT_BYTES_MAX
    commits = RECENT_BYTES_MAX // size + 2
    for at in range(commits):
        assert kept(ledger) == at
        with ledger.append():
            ledger.leave({BATCH: [(at, 1, 1, 7, bytes(size))]})
        if kept(ledger) == 1 and at:
            break
    assert RECENT_BYTES_MAX // size <= at <= commits
    assert len(content(ledger, "batch")) == at


def test_what_moves_needs_no_sync_and_commits_keep_theirs(ledger):
    with ledger.append():
        ledger.leave({BATCH: [(1, 1, 1, 7, b"b1")]})
    with ledger.unsynced():
        assert ledger.open().pragma("synchronous") == 1
    assert ledger.open().pragma("synchronous") == 2
    ledger.settle()
    assert ledger.open().pragma("synchronous") == 2


def test_two_connections_move_what_waits_once(ledger):
    other = Ledger(ledger.path, visitor=True)
    with ledger.append():
        ledger.leave({BATCH: [(1, 1, 1, 7, b"b1")]})
    other.settle()
    ledger.settle()
    assert [row[0] for row in content(ledger, "batch")] == [1]
    other.close()


def test_a_kept_row_is_smaller_than_its_bytes_and_numbers(ledger):
    """What a commit of one message adds: the numbers of three rows, and what they end with."""
    rows: Rows = {
        BATCH: [(1, 1, 1, 7, bytes(250))],
        PRODUCER: [(1, 2, 3, bytes(192))],
        PROGRESS: [(1, 1, 1, 7, b"s")],
    }
    with ledger.append() as db:
        assert keep(db, rows) == 4 * 8 + (5 + 4 + 5) * 8 + 250 + 192 + 1
        put_in_place(db)


# --- the log ---------------------------------------------------------------------------------


def test_a_group_is_large_by_its_bodies():
    half = append(0, 0, body=bytes(RECENT_COMMIT_BYTES_MAX // 2))
    states = progress(0, 0, SENT * RECENT_COMMIT_BYTES_MAX, settled=True)
    assert not is_large(write_of(appends=(half, half), progress=(states,)))
    assert is_large(write_of(appends=(half, half, append(0, 0, body=b"1"))))


def write_of(**rows):
    return LogWrite({0: 1}, **rows)


async def test_a_seal_puts_in_place_what_the_owner_left_waiting(cluster):
    epoch = (await cluster.own("a", 0))[0]
    await cluster.append("a", append(0, 0))
    files = files_of(cluster.stores.url)
    look = Ledger(files.ledger("a"), visitor=True)
    assert kept(look) == 1
    seal(files, "a", [(0, epoch)])
    assert kept(look) == 0
    assert len(content(look, "batch")) == 1
    look.close()


async def test_a_stranger_sees_what_a_living_owner_left_waiting(cluster):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    stranger = await cluster.log("b")
    assert await stranger.find_message(append(0, 0).stream, 0, 3) is not None


async def test_small_and_large_commits_of_one_lane_keep_their_order(cluster):
    await cluster.own("a", 0)
    large = bytes(RECENT_COMMIT_BYTES_MAX + 1)
    for base in range(0, 40, 4):
        body = large if base % 12 == 0 else str(base).encode()
        await cluster.append("a", append(0, base, body=body))
    log = await cluster.log("a")
    found = await log.read_batches(append(0, 0).stream, 0, 0, 2**40)
    assert [batch.base_seq for batch in found] == list(range(0, 40, 4))
    tail = await log.open_slot(0, await cluster.epoch(0))
    assert tail.producers[append(0, 0).stream, 9] == append(0, 36).answers


async def test_of_several_marks_of_a_lane_the_highest_holds(cluster):
    epochs = await cluster.own("a", 0)
    log = await cluster.log("a")
    stream = append(0, 0).stream
    marks = tuple(Mark(stream, 0, *at) for at in ((5, 3), (9, 1), (7, 2)))
    assert await log.commit(LogWrite(epochs, marks=marks)) == frozenset()
    tail = (await log.open_slot(0, epochs[0])).streams[stream]
    assert (tail.watermark, tail.settled_below) == (9, 3)


async def test_marks_alone_leave_nothing_waiting(cluster):
    """Positions never wait, and an empty row would only have to be taken away again."""
    epochs = await cluster.own("a", 0)
    log = await cluster.log("a")
    mark = Mark(append(0, 0).stream, 0, 7, 0)
    assert await log.commit(LogWrite(epochs, marks=(mark,))) == frozenset()
    look = Ledger(files_of(cluster.stores.url).ledger("a"), visitor=True)
    assert kept(look) == 0
    assert (0, 7) in [(row[0], row[3]) for row in content(look, "position")]
    look.close()
