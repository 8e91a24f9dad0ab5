"""Two pictures: throughput against the size of a `send_many`, and against the shards."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Points = list[tuple[int, float]]


def draw(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the SVG files for which there are figures; return their paths.

    Raises ImportError where matplotlib is not installed (it is an extra: `multiconnect[bench]`).
    """
    sizes = {store: _points(figures, f"scaling.batch.{store}.") for store in ("memory", "sqlite")}
    shards = {"memory": _points(figures, "scaling.shards.")}
    drawn = []
    if any(sizes.values()):
        drawn.append(_plot(sizes, "messages per send_many", folder / "batch-size.svg"))
    if any(shards.values()):
        drawn.append(_plot(shards, "shards, each with a process of its own", folder / "shards.svg"))
    return drawn


def _points(figures: Mapping[str, Any], prefix: str) -> Points:
    found = (
        (int(name.removeprefix(prefix)), float(figure["value"]))
        for name, figure in figures.items()
        if name.startswith(prefix)
    )
    return sorted(found)


def _plot(lines: Mapping[str, Points], label: str, path: Path) -> Path:
    matplotlib = import_module("matplotlib")
    figure = import_module("matplotlib.figure").Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        if points:
            axes.plot([x for x, _ in points], [y / 1e6 for _, y in points], "o-", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks([x for points in lines.values() for x, _ in points])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel(label)
    axes.set_ylabel("million messages acknowledged a second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(title="store")
    # Without a date and with a fixed salt the file changes only when the figures do.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
    return path
