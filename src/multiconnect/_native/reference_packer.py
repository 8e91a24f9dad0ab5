"""The twin of packer.pyx: packing messages into the open batch of their slot."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, final

from multiconnect._native import refusals
from multiconnect._native.layout import (
    ATTRIBUTES_BYTES_MAX,
    BATCH_BYTES_MAX,
    BATCH_HEADER_BYTES,
    BATCH_MAGIC,
    BATCH_RECORDS_MAX,
    BATCH_VERSION,
    FLAG_KEYED,
    PAYLOAD_BYTES_MAX,
    RECIPIENT_BYTES_MAX,
    SLOT_MASK,
    SLOTS,
    STREAM_INBOUND,
)
from multiconnect._native.reference_hash import canonical, crc32c, slot_of
from multiconnect._native.reference_ingress import CUT
from multiconnect._native.reference_values import Readable, is_readable, small, unsigned

#: Magic, version, stream, slot, flags, count, body length, producer, its sequence, time, zero.
HEADER = struct.Struct("<IBBBBIIQQQI")
CRC = struct.Struct("<I")
RECORD = struct.Struct("<IHBB")


@dataclass(slots=True)
class _Open:
    """A batch that has not been taken yet."""

    records: list[bytes] = field(default_factory=list)
    body_len: int = 0
    flags: int = 0

    def has_room(self, record: bytes) -> bool:
        return (
            self.body_len + len(record) <= BATCH_BYTES_MAX and len(self.records) < BATCH_RECORDS_MAX
        )


@final
class Packer:
    """The open batches of all slots of one stream."""

    def __init__(self, stream: int, dumps: Callable[[Any], bytes]) -> None:
        self._stream = small("stream", stream, STREAM_INBOUND)
        self._dumps = dumps
        self._waiting: list[list[_Open]] = [[] for _ in range(SLOTS)]
        self._appended = [0] * SLOTS

    @property
    def pending(self) -> int:
        """One bit for each slot that has something to take."""
        return sum(1 << slot for slot, waiting in enumerate(self._waiting) if waiting)

    @property
    def pending_bytes(self) -> int:
        """Bytes that taking everything now would return."""
        batches = [batch for waiting in self._waiting for batch in waiting]
        return sum(BATCH_HEADER_BYTES + batch.body_len for batch in batches)

    def appended(self, slot: int) -> int:
        """Return how many records this slot was ever given."""
        return self._appended[small("slot", slot, SLOT_MASK)]

    def append(
        self,
        recipient: str,
        payload: object,
        attributes: Readable = b"",
        kind: int = 0,
        keyed: bool = False,
    ) -> int:
        """Append one message to the batch of its recipient's slot; return the slot."""
        record = self._record(recipient, payload, attributes, kind)
        return self._write(slot_of(recipient), record, FLAG_KEYED if keyed else 0)

    def append_at(
        self,
        slot: int,
        recipient: str,
        payload: object,
        attributes: Readable = b"",
        kind: int = 0,
        keyed: bool = False,
    ) -> int:
        """Append one message to the batch of a given slot; return the slot."""
        slot = small("slot", slot, SLOT_MASK)
        record = self._record(recipient, payload, attributes, kind)
        return self._write(slot, record, FLAG_KEYED if keyed else 0)

    def extend(
        self, items: Iterable[tuple[str, object]], attributes: Readable = b"", kind: int = 0
    ) -> bytes:
        """Append many messages or, if one of them is refused, none; return their slots."""
        snapshot = tuple(items)
        shared = _checked_attributes(attributes)
        kind = small("kind", kind, 255)
        prepared = []
        for index, item in enumerate(snapshot):
            try:
                recipient, payload = _pair(item)
                record = self._record(recipient, payload, shared, kind)
                prepared.append((slot_of(recipient), record))
            except ValueError as error:
                raise refusals.at_item(index, error) from error
        return bytes(self._write(slot, record, 0) for slot, record in prepared)

    def extend_cuts(
        self, body: bytes, cuts: bytes, attributes: Readable = b"", kind: int = 0
    ) -> bytes:
        """Append the messages that `cut_lines` or `cut_array` found in a body; return their slots.

        All of them or none, as `extend` does.
        """
        shared = _checked_attributes(attributes)
        small("kind", kind, 255)
        if len(cuts) % CUT.size or not all(_fits(cut, body) for cut in CUT.iter_unpack(cuts)):
            raise ValueError("cuts that do not fit the body; expected those made of it")
        items = [
            (body[name_at : name_at + name_size].decode(), body[at : at + size])
            for name_at, name_size, at, size in CUT.iter_unpack(cuts)
        ]
        return self.extend(items, shared, kind)

    def take(self, slot: int, producer: int, producer_seq: int, created_ms: int) -> bytes | None:
        """Seal and return the oldest batch of a slot, or None if nothing waits."""
        origin = unsigned(producer, 64), unsigned(producer_seq, 64), unsigned(created_ms, 64)
        slot = small("slot", slot, SLOT_MASK)
        if not self._waiting[slot]:
            return None
        batch = self._waiting[slot].pop(0)
        place = BATCH_MAGIC, BATCH_VERSION, self._stream, slot, batch.flags
        header = HEADER.pack(*place, len(batch.records), batch.body_len, *origin, 0)
        body = b"".join(batch.records)
        return header + CRC.pack(crc32c(header + body)) + body

    def _record(self, recipient: str, payload: object, attributes: Readable, kind: int) -> bytes:
        shared = _checked_attributes(attributes)
        kind = small("kind", kind, 255)
        name = canonical(recipient).encode()
        body = self._encoded(payload)
        if len(body) > PAYLOAD_BYTES_MAX:
            raise refusals.payload_size(len(body))
        return RECORD.pack(len(body), len(shared), len(name), kind) + name + shared + body

    def _encoded(self, payload: object) -> bytes:
        """Return the bytes of a payload; runs the caller's encoder unless it is bytes-like."""
        try:
            body = bytes(payload) if is_readable(payload) else self._dumps(payload)
        except MemoryError:
            raise
        except Exception as error:
            raise refusals.payload_encoding(payload, error) from error
        if not isinstance(body, bytes):
            raise refusals.payload_encoder(body)
        return body

    def _write(self, slot: int, record: bytes, flags: int) -> int:
        waiting = self._waiting[slot]
        if not waiting or not waiting[-1].has_room(record):
            waiting.append(_Open())
        batch = waiting[-1]
        batch.records.append(record)
        batch.body_len += len(record)
        batch.flags |= flags
        self._appended[slot] += 1
        return slot


def _fits(cut: tuple[int, ...], body: bytes) -> bool:
    name_at, name_size, at, size = cut
    name = body[name_at : name_at + name_size]
    return (
        max(name_at + name_size, at + size) <= len(body)
        and size <= PAYLOAD_BYTES_MAX
        and len(name) <= RECIPIENT_BYTES_MAX
        and re.fullmatch(rb"[0-9]+", name) is not None
    )


def _pair(item: object) -> tuple[str, object]:
    if not isinstance(item, tuple) or len(item) != 2:
        raise refusals.item_shape(item)
    return item


def _checked_attributes(attributes: Readable) -> bytes:
    copy = attributes if isinstance(attributes, bytes) else bytes(memoryview(attributes))
    if len(copy) > ATTRIBUTES_BYTES_MAX:
        raise refusals.attributes_size(len(copy))
    return copy
