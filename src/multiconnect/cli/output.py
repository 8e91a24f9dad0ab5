"""How a command speaks: data on stdout, everything else on stderr; colour only where wanted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

_CODES = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}


def say(text: str) -> None:
    """Write progress or a hint."""
    print(text, file=sys.stderr, flush=True)


def emit(text: str) -> None:
    """Write data."""
    print(text, flush=True)


def emit_json(value: Any) -> None:
    """Write data as one line of JSON."""
    emit(json.dumps(value, ensure_ascii=False))


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Colour a text if the stream is a terminal and NO_COLOR is not set."""
    return f"\033[{_CODES[colour]}m{text}\033[0m" if has_colour(stream or sys.stdout) else text


def has_colour(stream: TextIO) -> bool:
    """Return whether colour is wanted there (https://no-color.org)."""
    dumb = os.environ.get("TERM") == "dumb"
    return not os.environ.get("NO_COLOR") and not dumb and stream.isatty()


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under a header, columns aligned, no line wider than it must be."""
    cells = [[*header], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    return "\n".join(lines)


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in short: 0-3,8 (a dash for none)."""
    parts: list[tuple[int, int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "-"
