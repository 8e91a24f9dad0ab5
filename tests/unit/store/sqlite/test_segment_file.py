"""The files of segments, and places in them."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect._native import Packer
from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.model.message import Stream
from multiconnect.store.sqlite.segment_file import SegmentFile, segment_path, stored_segments
from multiconnect.store.sqlite.segment_reader import Place, SegmentReader, place_of
from tests.unit.store.sqlite.segment_calls import calls, refuse

__all__ = ["calls"]

LARGE = bytes(range(256)) * 129


def read_piece(ledger, place):
    with SegmentReader() as reader:
        found = reader.read(str(ledger), place)
        assert reader.read(str(ledger), place) == found
    return found


# --- a place ---------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_a_place_is_read_back(segment, offset, size):
    place = Place(segment, offset, size)
    assert place_of(place.encode()) == place
    assert place_of(memoryview(place.encode())) == place


@given(st.binary(max_size=40))
def test_nothing_else_is_a_place(data):
    assert place_of(data) is None
    assert place_of(None) is None


def test_a_packed_batch_is_none():
    packer = Packer(Stream.OUTBOUND, bytes)
    packer.append_at(3, "1", b"", b"", 1, keyed=False)
    smallest = packer.take(3, 1, 1, 1)
    assert smallest is not None
    assert len(smallest) > len(Place(1, 1, 1).encode())
    assert place_of(smallest) is None


# --- a file ----------------------------------------------------------------------------------


def test_what_is_appended_is_read_in_pieces(tmp_path):
    ledger = tmp_path / "a.db"
    file = SegmentFile(segment_path(ledger, 1))
    parts = [bytes([n % 256]) * (n % 5) for n in range(2500)]
    assert file.append(parts) == 0
    # More than is gathered at a time, and a part of a frame.
    assert file.append([bytes(1_048_575), memoryview(b"0123456789")[3:7]]) == 8192
    file.sync()
    file.close()
    end = sum(map(len, parts))
    assert read_piece(ledger, Place(1, 0, end)) == b"".join(parts)
    assert read_piece(ledger, Place(1, 8192 + 1_048_575, 4)) == b"3456"
    size = file.path.stat().st_size
    assert size == 8192 + 1_048_576 + 4096 == file.size
    assert read_piece(ledger, Place(1, size - 1, 1)) == b"\0", "filled up to a whole block"
    with pytest.raises(CorruptData, match="ends before 2 bytes"):
        read_piece(ledger, Place(1, size - 1, 2))
    assert read_piece(ledger, Place(2, 0, 1)) is None


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def written_and_read(tmp_path):
    file = SegmentFile(segment_path(tmp_path / "a.db", 1))
    file.append([b"body"])
    file.sync()
    file.close()
    return read_piece(tmp_path / "a.db", Place(1, 0, 4))


def test_a_file_system_without_direct_writes_will_do(tmp_path, calls):
    def cached_only(path, flags, *mode):
        return refuse(errno.EINVAL)() if flags & os.O_DIRECT else os.open(path, flags, *mode)

    calls(open=cached_only)
    assert written_and_read(tmp_path) == b"body"


def test_so_will_one_that_says_so_when_it_is_written_to(tmp_path, calls):
    opened = {}

    def noted(path, flags, *mode):
        file = os.open(path, flags, *mode)
        opened[file] = flags
        return file

    def pwrite(file, data, offset):
        if opened[file] & os.O_DIRECT:
            refuse(errno.EINVAL)()
        return os.pwrite(file, data, offset)

    calls(open=noted, pwrite=pwrite)
    before = open_files()
    assert written_and_read(tmp_path) == b"body"
    calls(pwrite=refuse(errno.EINVAL))
    file = SegmentFile(segment_path(tmp_path / "a.db", 2))
    with pytest.raises(StoreUnavailable, match="Invalid argument"):
        file.append([b"body"])
    file.close()
    assert open_files() == before


def test_a_write_that_was_cut_short_is_completed(tmp_path, calls):
    calls(pwrite=lambda file, data, offset: os.pwrite(file, data[:512], offset))
    file = SegmentFile(segment_path(tmp_path / "a.db", 1))
    file.append([LARGE])
    assert file.append([b"rest"]) == len(LARGE) // 4096 * 4096 + 4096
    file.close()
    found = file.path.read_bytes()
    assert found.startswith(LARGE)
    assert found[-4096:] == b"rest" + bytes(4092)


def test_a_read_that_was_cut_short_is_completed(tmp_path, calls):
    segment_path(tmp_path / "a.db", 1).write_bytes(b"0123456789")
    calls(pread=lambda file, size, offset: os.pread(file, min(size, 3), offset))
    assert read_piece(tmp_path / "a.db", Place(1, 1, 8)) == b"12345678"

    def bad_sector(file, size, offset):
        return os.pread(file, size, offset)[: 4 - offset] or refuse(errno.EIO)()

    calls(pread=bad_sector)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        read_piece(tmp_path / "a.db", Place(1, 0, 8))


def test_a_full_disk_says_so(tmp_path, calls):
    calls(pwrite=refuse(errno.ENOSPC))
    file = SegmentFile(segment_path(tmp_path / "a.db", 1))
    with pytest.raises(StoreUnavailable, match="disk is full"):
        file.append([b"body"])
    file.close()


def test_a_name_that_may_not_survive_is_not_written_to(tmp_path, calls):
    before = open_files()
    calls(fsync=refuse(errno.EIO))
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        SegmentFile(segment_path(tmp_path / "a.db", 1))
    assert open_files() == before


def test_a_reader_keeps_one_file_of_each_ledger_open(tmp_path):
    before = open_files()
    places = [(str(tmp_path / name), n) for n in range(1, 5) for name in ("a.db", "b.db")]
    for ledger, number in places:
        segment_path(ledger, number).write_bytes(b"body")
    with SegmentReader() as reader:
        for ledger, number in places:
            assert reader.read(ledger, Place(number, 0, 4)) == b"body"
        assert reader.read(str(tmp_path / "a.db"), Place(9, 0, 4)) is None
        assert open_files() <= before + 2
    assert open_files() == before


def test_files_that_only_look_alike_are_none_of_ours(tmp_path):
    for name in ("7", "12", "3.old", "\u0664", "-1", ""):
        (tmp_path / f"a.db-bodies-{name}").touch()
    (tmp_path / "aa.db-bodies-5").touch()
    assert stored_segments(tmp_path / "a.db") == [7, 12]
