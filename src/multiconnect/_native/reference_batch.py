"""The twin of batch.pyx: reading batches without believing them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator

from multiconnect._native import refusals
from multiconnect._native.layout import (
    ATTRIBUTES_BYTES_MAX,
    BATCH_BYTES_MAX,
    BATCH_CRC_AT,
    BATCH_HEADER_BYTES,
    BATCH_MAGIC,
    BATCH_RECORDS_MAX,
    BATCH_VERSION,
    FLAGS_KNOWN,
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES_MIN,
    SLOTS,
    STREAM_INBOUND,
    BatchHeader,
)
from multiconnect._native.reference_hash import crc32c
from multiconnect._native.reference_packer import CRC, HEADER, RECORD
from multiconnect._native.reference_values import Readable, flat, signed

Record = tuple[int, int, str, bytes, bytes]


def read_header(data: Readable, offset: int = 0) -> BatchHeader:
    """Return the header of the batch at `offset`; its body is not looked at."""
    offset = signed(offset)
    view = flat(data)
    if not 0 <= offset <= len(view) - BATCH_HEADER_BYTES:
        raise refusals.corrupt("batch header", offset, "the data ends too early")
    magic, version, *fields, reserved = HEADER.unpack_from(view, offset)
    header = BatchHeader(*fields)
    fault = _header_fault(magic, version, header, reserved)
    if fault:
        raise refusals.corrupt("batch header", offset, fault)
    return header


def _header_fault(magic: int, version: int, header: BatchHeader, reserved: int) -> str:
    """Say what is wrong with a header; nothing if it could be one."""
    body_len_min = header.count * RECORD_BYTES_MIN
    checks = {
        "the magic number is wrong": magic == BATCH_MAGIC,
        "the format version is unknown": version == BATCH_VERSION,
        "the stream is unknown": header.stream <= STREAM_INBOUND,
        "the slot is outside 0..31": header.slot < SLOTS,
        "an unknown flag is set": not header.flags & ~FLAGS_KNOWN,
        "the record count is impossible": 1 <= header.count <= BATCH_RECORDS_MAX,
        "the body length is impossible": body_len_min <= header.body_len <= BATCH_BYTES_MAX,
        "a reserved field is not zero": reserved == 0,
    }
    return next((fault for fault, passed in checks.items() if not passed), "")


def split_batches(payload: Readable) -> list[tuple[BatchHeader, memoryview]]:
    """Return (header, view) of each of the batches back to back, all checked completely.

    The views are read-only parts of `payload` and keep it alive: nothing is copied.
    """
    data = flat(payload)
    whole = memoryview(payload).cast("B").toreadonly()
    found = []
    at = 0
    while at < len(data):
        header = read_header(data, at)
        batch = data[at : at + header.size]
        if len(batch) < header.size:
            raise refusals.corrupt("batch", at, "the data ends too early")
        if CRC.unpack_from(batch, BATCH_CRC_AT)[0] != _crc_of(batch):
            raise refusals.corrupt("batch", at, "the checksum does not match")
        for start, _, _, name, *_ in _walk(batch, header, header.count):
            _recipient(name, at + start)
        found.append((header, whole[at : at + header.size]))
        at += header.size
    return found


def records(batch: Readable, first: int = 0, limit: int = -1) -> list[Record]:
    """Return (index, kind, recipient, payload, attributes) of records `first` and following.

    At most `limit` of them unless it is negative. The checksum is not computed again.
    """
    first, limit = signed(first), signed(limit)
    if first < 0:
        raise ValueError(f"first={first} is refused: pass the index of a record, 0 or more")
    data = flat(batch)
    header = read_header(data)
    if len(data) != header.size:
        raise refusals.corrupt("batch", 0, "its length is not what its header says")
    end = header.count if limit < 0 else min(header.count, first + limit)
    return [
        (index, kind, _recipient(name, at), payload, attributes)
        for at, index, kind, name, payload, attributes in _walk(data, header, end)
        if index >= first
    ]


def ranks(slots: Readable) -> array[int]:
    """Return for each slot id its rank among the equal ids before it."""
    seen: Counter[int] = Counter()
    result = array("I")
    for slot in flat(slots):
        result.append(seen[slot])
        seen[slot] += 1
    return result


def slot_counts(slots: Readable) -> list[tuple[int, int]]:
    """Return (slot id, how often it is there) for each id that is there, ascending."""
    return sorted(Counter(flat(slots)).items())


def _crc_of(batch: bytes) -> int:
    return crc32c(batch[:BATCH_CRC_AT] + batch[BATCH_HEADER_BYTES:])


def _walk(
    batch: bytes, header: BatchHeader, end: int
) -> Iterator[tuple[int, int, int, bytes, bytes, bytes]]:
    """Yield (offset, index, kind, recipient, payload, attributes) of the first `end` records.

    After the last record of a batch nothing may follow.
    """
    at = BATCH_HEADER_BYTES
    for index in range(end):
        if at + RECORD.size > header.size:
            raise refusals.corrupt("record", at, "a record reaches past the body")
        payload_len, attributes_len, recipient_len, kind = RECORD.unpack_from(batch, at)
        if payload_len > PAYLOAD_BYTES_MAX or attributes_len > ATTRIBUTES_BYTES_MAX:
            raise refusals.corrupt("record", at, "a record's part is longer than its limit")
        name_at = at + RECORD.size
        attributes_at = name_at + recipient_len
        payload_at = attributes_at + attributes_len
        next_at = payload_at + payload_len
        if recipient_len == 0 or next_at > header.size:
            raise refusals.corrupt("record", at, "a record is empty or reaches past the body")
        name, attributes = batch[name_at:attributes_at], batch[attributes_at:payload_at]
        yield at, index, kind, name, batch[payload_at:next_at], attributes
        at = next_at
    if end == header.count and at != header.size:
        raise refusals.corrupt("batch", at, "bytes follow the last record")


def _recipient(name: bytes, at: int) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise refusals.corrupt("record", at, "its recipient is not UTF-8") from error
