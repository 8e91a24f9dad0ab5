"""The layout constants as Python sees them, and the header of a batch as a value.

A mirror of native/include/multiconnect/layout.h, which is the authority: `multiconnect._native`
refuses to be imported when the compiled core was built with other numbers. Nothing but constants
and the values they describe belongs here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# --- the hash ---------------------------------------------------------------------------------
HASH_VERSION: Final = 1
SLOTS: Final = 32
SLOT_MASK: Final = SLOTS - 1

# --- limits -----------------------------------------------------------------------------------
RECIPIENT_CHARS_MAX: Final = 1024
RECIPIENT_BYTES_MAX: Final = 255
ATTRIBUTES_BYTES_MAX: Final = 2048
PAYLOAD_BYTES_MAX: Final = 4 * 65536
BATCH_BYTES_MAX: Final = 1 << 20
BATCH_RECORDS_MAX: Final = 65535
FRAME_BYTES_MAX: Final = 16 << 20

# --- batch ------------------------------------------------------------------------------------
BATCH_MAGIC: Final = 0x3142434D
BATCH_VERSION: Final = 1
STREAM_OUTBOUND: Final = 0
STREAM_INBOUND: Final = 1
FLAG_KEYED: Final = 1
FLAGS_KNOWN: Final = FLAG_KEYED
BATCH_MAGIC_AT: Final = 0
BATCH_VERSION_AT: Final = 4
BATCH_STREAM_AT: Final = 5
BATCH_SLOT_AT: Final = 6
BATCH_FLAGS_AT: Final = 7
BATCH_COUNT_AT: Final = 8
BATCH_BODY_LEN_AT: Final = 12
BATCH_PRODUCER_AT: Final = 16
BATCH_PRODUCER_SEQ_AT: Final = 24
BATCH_CREATED_MS_AT: Final = 32
BATCH_RESERVED_AT: Final = 40
BATCH_CRC_AT: Final = 44
BATCH_HEADER_BYTES: Final = 48

# --- record -----------------------------------------------------------------------------------
RECORD_PAYLOAD_LEN_AT: Final = 0
RECORD_ATTRIBUTES_LEN_AT: Final = 4
RECORD_RECIPIENT_LEN_AT: Final = 6
RECORD_KIND_AT: Final = 7
RECORD_HEADER_BYTES: Final = 8
RECORD_BYTES_MIN: Final = 9
RECORD_BYTES_MAX: Final = (
    RECORD_HEADER_BYTES + RECIPIENT_BYTES_MAX + ATTRIBUTES_BYTES_MAX + PAYLOAD_BYTES_MAX
)

# --- frame ------------------------------------------------------------------------------------
FRAME_MAGIC: Final = 0x434D
FRAME_VERSION: Final = 1
FRAME_MAGIC_AT: Final = 0
FRAME_VERSION_AT: Final = 2
FRAME_TYPE_AT: Final = 3
FRAME_PAYLOAD_LEN_AT: Final = 4
FRAME_NUMBER_AT: Final = 8
FRAME_HEADER_BYTES: Final = 16

# --- answer -----------------------------------------------------------------------------------
STATUS_STORED: Final = 0
STATUS_NOT_OWNER: Final = 1
STATUS_GAP: Final = 2
STATUS_BUSY: Final = 3
STATUS_REFUSED: Final = 4
STATUS_MAX: Final = STATUS_REFUSED
EXCEPTION_DUPLICATE: Final = 1
EXCEPTION_CONFLICT: Final = 2
ANSWER_SLOT_AT: Final = 0
ANSWER_STREAM_AT: Final = 1
ANSWER_STATUS_AT: Final = 2
ANSWER_RESERVED_AT: Final = 3
ANSWER_EXCEPTION_COUNT_AT: Final = 4
ANSWER_PRODUCER_AT: Final = 8
ANSWER_PRODUCER_SEQ_AT: Final = 16
ANSWER_VALUE_AT: Final = 24
ANSWER_BYTES: Final = 32
EXCEPTION_INDEX_AT: Final = 0
EXCEPTION_KIND_AT: Final = 4
EXCEPTION_SEQ_AT: Final = 8
EXCEPTION_BYTES: Final = 16

#: Every number above by name, to be compared with what the compiled core was built with.
TABLE: Final[dict[str, int]] = {
    name: value for name, value in list(globals().items()) if name.isupper()
}

#: The legal shard counts: each divides SLOTS, so `hash % shards == slot % shards`.
SHARD_COUNTS: Final = (1, 2, 4, 8, 16, 32)


class BatchHeader(NamedTuple):
    """What the first BATCH_HEADER_BYTES bytes of a batch say."""

    stream: int
    slot: int
    flags: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which is of no use here
    body_len: int
    producer: int
    producer_seq: int
    created_ms: int

    @property
    def size(self) -> int:
        """Length of the whole batch in bytes, header included."""
        return BATCH_HEADER_BYTES + self.body_len
