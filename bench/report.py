"""From the figures of a run to the rows of the table of targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.targets import TARGETS, Reference, Target

#: name → value, low, high, unit, rounds; as `Figure.to_json` wrote it.
Figures = Mapping[str, Mapping[str, Any]]
Row = dict[str, Any]


def figures_of(pytest_benchmark_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of all benchmarks of a run, by name."""
    found: dict[str, Any] = {}
    for one in pytest_benchmark_json["benchmarks"]:
        found |= one["extra_info"].get("figures", {})
    return found


def rows_of(figures: Figures) -> list[Row]:
    """Return a row for every target whose figure was measured."""
    return [_row(target, figures) for target in TARGETS if target.figure in figures]


def _row(target: Target, figures: Figures) -> Row:
    """Judge one figure by all its references; `reference` and `ratio` are those of the closest."""
    value = float(figures[target.figure]["value"])
    compared = [_compared(target, one, value, figures) for one in target.references]
    closest = _closest(compared)
    reached = target.reached(value)
    verdicts = [one["met"] for one in compared if one["met"] is not None]
    return {
        "row": target.row,
        "what": target.what,
        "value": value,
        "unit": target.unit,
        "reference": closest["value"] if closest else None,
        "ratio": closest["ratio"] if closest else None,
        "target": target.target,
        "met": all(verdicts) if verdicts else bool(reached),
        "reference_what": closest["figure"] if closest else None,
        "ratio_target": closest["least"] if closest else None,
        "absolute_met": reached,
        "headline": target.headline,
        "references": compared,
    }


def _compared(target: Target, reference: Reference, value: float, figures: Figures) -> Row:
    """Compare with one reference; `met` is None where it is absent or has no bar."""
    found = figures.get(reference.figure)
    against = float(found["value"]) if found else None
    ratio = target.ratio_of(value, against) if against else None
    judged = ratio is not None and reference.least is not None
    return {
        "figure": reference.figure,
        "value": against,
        "ratio": ratio,
        "least": reference.least,
        "met": ratio >= reference.least if judged else None,  # type: ignore[operator]
    }


def _closest(compared: list[Row]) -> Row | None:
    """Return the measured reference that is hardest to meet, bars before those without."""
    judged = [one for one in compared if one["met"] is not None]
    if judged:
        return min(judged, key=lambda one: float(one["ratio"] / one["least"]))
    return next((one for one in compared if one["ratio"] is not None), None)


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table for people, in Markdown."""
    lines = [
        "| # | what | measured | target | times the references (at least) | met |",
        "|--:|---|--:|--:|---|---|",
    ]
    lines += [
        f"| {row['row']} | {row['what']} | {_amount(row['value'], row['unit'])} "
        f"| {_amount(row['target'], row['unit'])} "
        f"| {', '.join(map(_reference, row['references']))} | {_verdict(row)} |"
        for row in rows
    ]
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Return how many lines are met, and which references are missing."""
    headlines = [row for row in rows if row["headline"]]
    floors = [row for row in rows if not row["headline"]]
    lines = [f"{sum(row['met'] for row in headlines)} of {len(headlines)} lines met"]
    if floors:
        lines[0] += f"; of the floors {sum(row['met'] for row in floors)} of {len(floors)}"
    missing = {one["figure"] for row in rows for one in row["references"] if one["value"] is None}
    lines += [f"not measured: {name}" for name in sorted(missing)]
    return "\n".join(lines)


def _verdict(row: Row) -> str:
    word = "yes" if row["met"] else "no"
    if not row["headline"]:
        return f"({word})"
    return word if row["met"] else f"**{word}**"


def _reference(one: Row) -> str:
    bar = f" (≥ {one['least']:g})" if one["least"] is not None else ""
    if one["ratio"] is None:
        return f"{one['figure']} absent{bar}"
    return f"{one['ratio']:.3g} {one['figure']}{bar}"


def others(figures: Figures) -> str:
    """Return the figures that no row names, but for the peers': references among them."""
    named = {target.figure for target in TARGETS}
    return _spreads({n: f for n, f in figures.items() if n not in named and not _is_peer(n)})


def peers(figures: Figures) -> str:
    """Return the figures of the peers."""
    return _spreads({name: figure for name, figure in figures.items() if _is_peer(name)})


def _is_peer(name: str) -> bool:
    return name.startswith("peer.")


def _spreads(figures: Figures) -> str:
    lines = ["| figure | median | lowest to highest |", "|---|--:|--:|"]
    for name, figure in figures.items():
        unit = figure["unit"]
        spread = f"{_amount(figure['low'], unit)} to {_amount(figure['high'], unit)}"
        lines.append(f"| {name} | {_amount(figure['value'], unit)} | {spread} |")
    return "\n".join(lines)


def changes(before: Figures, after: Figures) -> str:
    """Return how each figure changed: a factor above 1 is faster, smaller or sooner."""
    lower_is_better = {"ns", "ms", "MB"}
    lines = ["| figure | before | now | times better |", "|---|--:|--:|--:|"]
    for name in (name for name in after if name in before):
        old, new, unit = before[name]["value"], after[name]["value"], after[name]["unit"]
        factor = old / new if unit in lower_is_better else new / old
        lines.append(f"| {name} | {_amount(old, unit)} | {_amount(new, unit)} | {factor:.2f} |")
    return "\n".join(lines)


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if value >= 1e6:
        return f"{value / 1e6:.2f}M {unit}"
    if value >= 10_000:
        return f"{value / 1e3:.0f}k {unit}"
    if value >= 1000:
        return f"{value:.0f} {unit}"
    return f"{value:.3g} {unit}"
