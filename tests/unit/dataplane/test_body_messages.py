"""Messages in a body are packed, and looked at, as the pairs that they stand for."""

import pytest

from multiconnect._native import Packer, cut_array, cut_lines
from multiconnect.dataplane.body_messages import BodyMessages, extended
from multiconnect.dataplane.encoding import dumps
from multiconnect.errors import InvalidPayload

RAW = [b'{"to":"%d","text":{"body":"hi"}}' % (10**at + 7) for at in range(18)]
PAIRS = [(str(10**at + 7), raw) for at, raw in enumerate(RAW)]


def messages() -> list[BodyMessages]:
    lines, array = b"\n ".join(RAW), b"[" + b" , ".join(RAW) + b"]"
    found, cuts = cut_lines(lines, 0, 100), cut_array(array, 100)
    assert found is not None
    assert cuts is not None
    return [BodyMessages(lines, found[1]), BodyMessages(array, cuts)]


def packed(items: object) -> tuple[bytes, list[bytes | None]]:
    packer = Packer(0, dumps)
    slots = extended(packer, items, b"attributes", 3)  # type: ignore[arg-type]
    return slots, [packer.take(slot, 1, 2, 3) for slot in range(32)]


@pytest.mark.parametrize("found", messages(), ids=["lines", "array"])
def test_they_are_their_pairs(found):
    assert list(found) == PAIRS
    assert len(found) == len(PAIRS)
    assert packed(found) == packed(PAIRS)
    assert packed(found) == packed(iter(found))


def test_anything_else_is_packed_as_ever():
    with pytest.raises(InvalidPayload, match="item 1"):
        packed([("1", b"x"), ("2", object())])
    assert packed([]) == packed(BodyMessages(b"", b""))
