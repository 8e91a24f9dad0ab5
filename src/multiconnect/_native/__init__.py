"""The compiled core: hashing, packing and framing, at a few nanoseconds a message.

There is no slow path: without the compiled modules this package cannot be imported. The readable
twin, `multiconnect._native.reference`, is for tests and for readers and is never used in its place.
What the functions promise is written in docs/native.md. Nothing but re-exports belongs here.
"""

from __future__ import annotations

from multiconnect._native import layout

_REMEDY = "run `./run setup` in a checkout, or `pip install .`, and try again"

try:
    from multiconnect._native.batch import (
        ranks,
        read_header,
        records,
        slot_counts,
        split_batches,
    )
    from multiconnect._native.frame import (
        FrameReader,
        decode_answers,
        encode_answers,
        frame_header,
    )
    from multiconnect._native.hashing import (
        LAYOUT,
        canonical,
        crc32c,
        murmur3_32,
        shard_of,
        shards_of,
        shards_of_packed,
        slot_of,
        slots_of,
    )
    from multiconnect._native.ids import encode_id, encode_ids, id_lines, stored_lines
    from multiconnect._native.ingress import (
        array_elements,
        cut_array,
        cut_lines,
        plain_head,
        plain_lines,
        plain_text,
    )
    from multiconnect._native.packer import Packer
except ImportError as error:
    raise ImportError(
        f"the compiled core of multiconnect is missing or does not fit this Python: {_REMEDY}"
    ) from error

if LAYOUT != layout.TABLE:
    raise ImportError(f"the compiled core of multiconnect is out of date: {_REMEDY}")

from multiconnect._native.layout import HASH_VERSION, BatchHeader  # noqa: E402

#: Which implementation is in force; shown by `status` and in the line logged at start.
IMPLEMENTATION = "native"

__all__ = [
    "HASH_VERSION",
    "IMPLEMENTATION",
    "BatchHeader",
    "FrameReader",
    "Packer",
    "array_elements",
    "canonical",
    "crc32c",
    "cut_array",
    "cut_lines",
    "decode_answers",
    "encode_answers",
    "encode_id",
    "encode_ids",
    "frame_header",
    "id_lines",
    "layout",
    "murmur3_32",
    "plain_head",
    "plain_lines",
    "plain_text",
    "ranks",
    "read_header",
    "records",
    "shard_of",
    "shards_of",
    "shards_of_packed",
    "slot_counts",
    "slot_of",
    "slots_of",
    "split_batches",
    "stored_lines",
]
