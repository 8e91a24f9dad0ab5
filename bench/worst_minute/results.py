"""The kept figures: one file per store, in it one entry per kind of fault; and their table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
STORES = ("sqlite", "postgresql")


def file_of(store: str) -> Path:
    """Return where the figures of a store are kept."""
    return RESULTS / f"worst_minute-{store}.json"


def kept_in(file: Path) -> dict[str, dict[str, Any]]:
    """Return the kept entries by kind."""
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def keep(file: Path, kind: str, entry: Mapping[str, Any]) -> None:
    """Put one kind's entry in the place of the one before."""
    entries = kept_in(file) | {kind: dict(entry)}
    file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def table(entries: Mapping[str, Mapping[str, Any]], order: Iterable[str]) -> str:
    """Return the figures as Markdown."""
    lines = ["| what | n | p50 | p99 | max | goal | met |", "|---|---|---|---|---|---|---|"]
    for kind in order:
        lines += [_line(row) for row in entries.get(kind, {"rows": []})["rows"]]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    cells = [_shown(row[name], row["unit"]) for name in ("p50", "p99", "max")]
    goal = ", ".join(f"{k} ≤ {_shown(v, row['unit'])}" for k, v in row["goals"].items())
    met = {True: "yes", False: "**no**", None: ""}[row["met"]]
    return f"| {row['what']} | {row['n']:,} | {' | '.join(cells)} | {goal} | {met} |"


def sum_of(entries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Add up what became of all messages."""
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry["totals"])
    return total


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{1000 * value:,.1f} ms"
    return f"{value:g} {unit}".rstrip()
