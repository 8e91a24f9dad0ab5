import threading

import apsw
import pytest

from multiconnect.errors import Bug, StoreUnavailable
from multiconnect.store.sqlite.database import BEATS, CONTROL, LEDGER, Database

PUT = "INSERT OR REPLACE INTO beat VALUES (?, ?, x'')"


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "beats", BEATS)
    yield database
    database.close()


def beats(database):
    with database.read() as db:
        return db.execute("SELECT incarnation, count FROM beat").fetchall()


def test_a_write_is_committed_whole_or_not_at_all(database):
    with database.write() as db:
        db.execute(PUT, ("a", 1))

    def write_and_fail():
        with database.write() as db:
            db.execute(PUT, ("a", 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert beats(database) == [("a", 1)]


def test_a_read_sees_one_moment(database, tmp_path):
    other = Database(tmp_path / "beats", BEATS)
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM beat").fetchone() == (0,)
        with other.write() as writing:
            writing.execute(PUT, ("a", 1))
        assert db.execute("SELECT count(*) FROM beat").fetchone() == (0,)
    assert beats(database) == [("a", 1)]
    other.close()


def test_a_read_inside_a_write_sees_what_was_written(database):
    with database.write() as db:
        db.execute(PUT, ("a", 1))
        assert beats(database) == [("a", 1)]
        db.execute(PUT, ("b", 1))
    assert len(beats(database)) == 2


def test_a_lock_that_is_not_freed_is_unavailable_and_one_that_is_is_waited_for(tmp_path):
    holder = Database(tmp_path / "beats", BEATS)
    waiter = Database(tmp_path / "beats", BEATS, busy_s=0.02)
    with holder.write():
        with pytest.raises(StoreUnavailable, match="locked") as failed, waiter.write():
            pass
        assert isinstance(failed.value.__cause__, apsw.BusyError)
    with waiter.write() as db:
        db.execute(PUT, ("a", 1))
    patient = Database(tmp_path / "beats", BEATS)
    patient.open()
    locked, written = threading.Event(), threading.Event()

    def write_later():
        locked.wait(5)
        with patient.write() as db:
            db.execute(PUT, ("a", 2))
        written.set()
        patient.close()

    thread = threading.Thread(target=write_later)
    thread.start()
    with holder.write():
        locked.set()
        assert not written.wait(0.05)
    thread.join(5)
    assert beats(holder) == [("a", 2)]
    holder.close()
    waiter.close()


def test_wrong_statements_are_bugs(database):
    with pytest.raises(Bug), database.write() as db:
        db.execute("SELECT nothing FROM nowhere")
    with pytest.raises(Bug), database.write() as db:
        db.execute("INSERT INTO beat VALUES ('a', NULL, x'')")
    assert beats(database) == []


def test_a_visitor_makes_no_file(tmp_path):
    visitor = Database(tmp_path / "beats", BEATS, visitor=True)
    assert not visitor.exists()
    with pytest.raises(StoreUnavailable), visitor.read():
        pass
    assert not visitor.exists()


def test_it_opens_again_after_it_was_closed(database):
    with database.write() as db:
        db.execute(PUT, ("a", 1))
    database.close()
    assert beats(database) == [("a", 1)]


@pytest.mark.parametrize(
    ("kind", "synchronous"), [(CONTROL, 2), (LEDGER, 2), (BEATS, 1)], ids=lambda k: str(k)[:20]
)
def test_files_are_kept_as_their_kind_says(tmp_path, kind, synchronous):
    database = Database(tmp_path / "file", kind)
    connection = database.open()
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == synchronous
    assert connection.pragma("page_size") == kind.page_bytes
    pages = connection.pragma("wal_autocheckpoint")
    assert pages * kind.page_bytes == kind.checkpoint_bytes
    database.close()


def test_retired_rows_are_found_by_the_index(tmp_path):
    """A full scan per call would make housekeeping slower the more there is to keep."""
    database = Database(tmp_path / "ledger", LEDGER)
    plan = database.open().execute(
        "EXPLAIN QUERY PLAN SELECT id FROM progress"
        " WHERE settled > 0 AND settled = 1 AND at_ms < 5 ORDER BY at_ms LIMIT 9"
    )
    assert "progress_settled" in str(plan.fetchall())
    database.close()
