"""How the twin takes arguments: as strictly as the C types of the compiled core do."""

from __future__ import annotations

import operator
from array import array
from typing import Any, TypeAlias, TypeGuard

from multiconnect._native import refusals

#: What the buffer protocol offers; collections.abc.Buffer, once 3.11 need not be supported.
Readable: TypeAlias = "bytes | bytearray | memoryview | array[Any]"


def is_readable(value: object) -> TypeGuard[Readable]:
    """Tell whether a value offers its bytes through the buffer protocol."""
    try:
        memoryview(value).release()  # type: ignore[arg-type]  # the question is whether it is one
    except TypeError:
        return False
    return True


def flat(data: Readable) -> bytes:
    """Return the bytes of any contiguous buffer."""
    with memoryview(data) as view:
        if not view.c_contiguous:
            raise BufferError("the underlying buffer is not C-contiguous")
        return bytes(view)


def unsigned(value: object, bits: int) -> int:
    """Return an integer that fits an unsigned field of so many bits."""
    number = operator.index(value)  # type: ignore[arg-type]  # the TypeError is the contract
    if not 0 <= number < 1 << bits:
        raise OverflowError(f"{number} does not fit {bits} unsigned bits")
    return number


def signed(value: object) -> int:
    """Return an integer that fits 64 signed bits."""
    number = operator.index(value)  # type: ignore[arg-type]  # the TypeError is the contract
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{number} does not fit 64 bits")
    return number


def small(name: str, value: object, highest: int) -> int:
    """Return an integer between 0 and `highest`."""
    number = signed(value)
    if not 0 <= number <= highest:
        raise refusals.out_of_range(name, number, highest)
    return number
