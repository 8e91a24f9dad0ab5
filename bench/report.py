"""From the figures of a run to the rows of the table of targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.targets import TARGETS, Target

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
    """Return a row for every target whose figure was measured.

    `met` is the ratio's verdict where the reference was measured, else that of the absolute target.
    """
    return [_row(target, figures) for target in TARGETS if target.figure in figures]


def _row(target: Target, figures: Figures) -> Row:
    value = float(figures[target.figure]["value"])
    against = figures.get(target.reference) if target.reference else None
    reference = float(against["value"]) if against else None
    ratio = target.ratio_of(value, reference) if reference else None
    reached = target.reached(value)
    return {
        "row": target.row,
        "what": target.what,
        "value": value,
        "unit": target.unit,
        "reference": reference,
        "ratio": ratio,
        "target": target.target,
        "met": reached if ratio is None or target.ratio is None else ratio >= target.ratio,
        "reference_what": target.reference if against else None,
        "ratio_target": target.ratio,
        "absolute_met": reached,
    }


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table for people, in Markdown."""
    lines = [
        "| # | what | measured | target | × the reference | at least | met |",
        "|--:|---|--:|--:|--:|--:|---|",
    ]
    lines += [
        f"| {row['row']} | {row['what']} | {_amount(row['value'], row['unit'])} "
        f"| {_amount(row['target'], row['unit'])} | {_ratio(row['ratio'], row['reference_what'])} "
        f"| {_ratio(row['ratio_target'])} | {'yes' if row['met'] else '**no**'} |"
        for row in rows
    ]
    return "\n".join(lines)


def others(figures: Figures) -> str:
    """Return the figures that no row names: references, and what is good to know."""
    named = {target.figure for target in TARGETS}
    lines = ["| figure | median | lowest to highest |", "|---|--:|--:|"]
    for name, figure in figures.items():
        if name not in named:
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


def _amount(value: float, unit: str) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f}M {unit}"
    if value >= 10_000:
        return f"{value / 1e3:.0f}k {unit}"
    if value >= 1000:
        return f"{value:.0f} {unit}"
    return f"{value:.3g} {unit}"


def _ratio(ratio: float | None, of: str | None = None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f} {of}" if of else f"{ratio:g}"
