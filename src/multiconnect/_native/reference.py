"""The readable twin of the compiled core: the same names, results and exceptions, no speed.

It is the specification that the tests hold the compiled core against, and the place to read what
a function does. The package never falls back on it. Nothing but re-exports belongs here.
"""

from __future__ import annotations

from multiconnect._native.layout import HASH_VERSION, BatchHeader
from multiconnect._native.reference_batch import (
    ranks,
    read_header,
    records,
    slot_counts,
    split_batches,
)
from multiconnect._native.reference_frame import (
    FrameReader,
    decode_answers,
    encode_answers,
    frame_header,
)
from multiconnect._native.reference_hash import (
    canonical,
    crc32c,
    murmur3_32,
    shard_of,
    shards_of,
    shards_of_packed,
    slot_of,
    slots_of,
)
from multiconnect._native.reference_ids import encode_id, encode_ids, id_lines, stored_lines
from multiconnect._native.reference_ingress import (
    array_elements,
    cut_array,
    cut_lines,
    plain_head,
    plain_lines,
    plain_text,
)
from multiconnect._native.reference_packer import Packer

IMPLEMENTATION = "reference"

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
