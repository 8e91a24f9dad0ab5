"""What the twin tests share: both implementations, their outcomes, and inputs to try on both."""

import ctypes
import json
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect._native import reference

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native"
VECTORS = NATIVE / "tests" / "vectors"

#: Repeatable, so that a failure in CI is the failure here.
STEADY = settings(derandomize=True, deadline=None, max_examples=400)

_LIBC = ctypes.CDLL(None, use_errno=True)


def vectors(name: str) -> list[dict[str, Any]]:
    """Return the golden vectors of native/tests/vectors/NAME.json."""
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """Return what a call returns, or the type of what it raises."""
    try:
        return "returned", call(*args, **kwargs)
    except Exception as error:
        return "raised", type(error)


def on_both(name: str, *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """Call a function in both implementations; they must agree on the value or the exception."""
    compiled = outcome(getattr(native, name), *args, **kwargs)
    readable = outcome(getattr(reference, name), *args, **kwargs)
    assert compiled == readable, f"{name}{args}{kwargs}: {compiled} is not {readable}"
    return compiled


@contextmanager
def at_the_edge(data: bytes) -> Iterator[memoryview]:
    """Yield a view of the bytes that ends where readable memory ends: an over-read is a crash."""
    page = mmap.PAGESIZE
    room = -(-len(data) // page) * page
    with mmap.mmap(-1, room + page) as memory:
        first = ctypes.c_char.from_buffer(memory)
        fence = ctypes.addressof(first) + room
        assert _LIBC.mprotect(ctypes.c_void_p(fence), page, 0) == 0
        whole = memoryview(memory)
        view = whole[room - len(data) : room]
        view[:] = data
        try:
            yield view
        finally:
            assert _LIBC.mprotect(ctypes.c_void_p(fence), page, mmap.PROT_READ) == 0
            view.release()
            whole.release()
            del first


digits = st.text("0123456789", min_size=1, max_size=20)
phones = st.text("0123456789 .-()+", max_size=24)
texts = st.text(max_size=300)
spaced = st.builds(
    lambda left, middle, right: left + middle + right,
    st.sampled_from(["", " ", "\t", "\u00a0", "\u3000", "\x1c", "\x85"]),
    st.one_of(digits, phones, st.text(max_size=20)),
    st.sampled_from(["", " ", "\r\n", "\u2009", "\x1f"]),
)
recipients = st.one_of(digits, phones, texts, spaced)
payloads = st.one_of(st.binary(max_size=300), st.dictionaries(st.text(max_size=5), st.integers()))


def dumps(value: object) -> bytes:
    """Encode a payload as orjson would, near enough."""
    return json.dumps(value).encode()


def batch_of(*items: tuple[str, bytes], attributes: bytes = b"", slot: int = 9) -> bytes:
    """Return a sealed batch of these messages."""
    packer = native.Packer(0, dumps)
    for recipient, payload in items:
        packer.append_at(slot, recipient, payload, attributes)
    batch = packer.take(slot, 1, 2, 3)
    assert batch is not None
    return batch


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Return the bytes with some of them replaced: (position, value), the position wrapped."""
    damaged = bytearray(data)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    return bytes(damaged)


changes = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6)
