"""The layout is written once, in layout.h; every other place must say the same."""

import re

from multiconnect import _native as native
from multiconnect._native import hashing, layout, reference
from multiconnect._native.reference_frame import ANSWER, EXCEPTION, FRAME
from multiconnect._native.reference_packer import CRC, HEADER, RECORD
from tests.twin.twins import NATIVE, ROOT, vectors

HEADER_FILE = NATIVE / "include" / "multiconnect" / "layout.h"
DOCUMENT = ROOT / "docs" / "native.md"


def names_in_header():
    text = re.sub(r"/\*.*?\*/", "", HEADER_FILE.read_text(), flags=re.DOTALL)
    return re.findall(r"^\s+MC_(\w+) =", text, flags=re.MULTILINE)


def test_mirror_equals_what_was_compiled():
    assert hashing.LAYOUT == layout.TABLE


def test_mirror_holds_every_constant_of_the_header():
    assert names_in_header() == list(layout.TABLE)


def test_twin_packs_what_the_layout_says():
    assert HEADER.size == layout.BATCH_CRC_AT
    assert HEADER.size + CRC.size == layout.BATCH_HEADER_BYTES
    assert RECORD.size == layout.RECORD_HEADER_BYTES
    assert FRAME.size == layout.FRAME_HEADER_BYTES
    assert ANSWER.size == layout.ANSWER_BYTES
    assert EXCEPTION.size == layout.EXCEPTION_BYTES


def test_shard_counts_divide_the_slots():
    assert [layout.SLOTS % count for count in layout.SHARD_COUNTS] == [0] * 6


def test_implementations_offer_the_same_names():
    assert set(reference.__all__) == set(native.__all__) - {"layout"}
    assert (native.IMPLEMENTATION, reference.IMPLEMENTATION) == ("native", "reference")
    assert native.HASH_VERSION == reference.HASH_VERSION == 1


def documented(name):
    """Return the number the document gives for a constant, from a row `| NAME | number | …`."""
    found = re.search(rf"^\| `{name}` \| ([0-9]+) \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    return int(found[1]) if found else None


def test_document_tells_every_limit_and_offset():
    told = {name: documented(name) for name in layout.TABLE if not name.endswith("MAGIC")}
    wrong = {name: number for name, number in told.items() if number != layout.TABLE[name]}
    assert not wrong


def test_document_quotes_the_golden_vectors():
    document = DOCUMENT.read_text()
    quoted = [vectors("batch")[0]["batch"], vectors("frame")[1]["header"]]
    quoted += [vectors("answers")[1]["answer"]]
    assert [text for text in quoted if text not in re.sub(r"\s", "", document)] == []
    rows = [row for row in vectors("recipients") if f"| `{row['text']}` |" in document]
    assert len(rows) >= 5
    for row in rows:
        assert f"| {row['hash']:#010x} | {row['slot']} |" in document
