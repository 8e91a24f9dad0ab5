"""Pictures: throughput against what may grow, from the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Points = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Picture:
    """One SVG file: lines by their name, each the figures whose names begin so."""

    file: str
    label: str
    lines: Mapping[str, str]
    #: Of the logarithm along the bottom.
    base: int = 10


PICTURES = (
    Picture(
        "batch-size",
        "messages per send_many",
        {"memory": "scaling.batch.memory.", "SQLite": "scaling.batch.sqlite."},
        base=2,
    ),
    Picture(
        "shards", "shards, each with a process of its own", {"memory": "scaling.shards."}, base=2
    ),
    Picture("payload", "bytes of a payload", {"SQLite": "growth.payload."}),
    Picture(
        "recipients",
        "recipients to draw from",
        {"SQLite, dispatched meanwhile": "growth.recipients."},
    ),
    Picture("backlog", "messages already pending", {"SQLite": "growth.backlog."}),
)


def draw(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the SVG files for which there are figures; return their paths.

    Raises ImportError where matplotlib is not installed (it is an extra: `multiconnect[bench]`).
    """
    drawn = []
    for picture in PICTURES:
        lines = {name: _points(figures, begins) for name, begins in picture.lines.items()}
        if any(lines.values()):
            drawn.append(_plot(picture, lines, folder / f"{picture.file}.svg"))
    return drawn


def _points(figures: Mapping[str, Any], prefix: str) -> Points:
    found = (
        (int(name.removeprefix(prefix)), float(figure["value"]))
        for name, figure in figures.items()
        if name.startswith(prefix)
    )
    return sorted(found)


def _plot(picture: Picture, lines: Mapping[str, Points], path: Path) -> Path:
    matplotlib = import_module("matplotlib")
    figure = import_module("matplotlib.figure").Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        if points:
            axes.plot([x for x, _ in points], [y / 1e6 for _, y in points], "o-", label=name)
    axes.set_xscale("log", base=picture.base)
    axes.set_xticks([x for points in lines.values() for x, _ in points])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(picture.label)
    axes.set_ylabel("million messages acknowledged a second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(title="store")
    # Without a date and with a fixed salt the file changes only when the figures do.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
    return path
