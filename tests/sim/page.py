"""The parts of docs/simulation.md that commands write, between two marks."""

import json
from pathlib import Path
from typing import Any

_ROWS = (
    ("seeds", "seeds"),
    ("simulated_hours", "simulated hours"),
    ("faults_injected", "faults injected"),
    ("violations", "**violations**"),
)
_COUNTS = (
    ("submitted", "messages submitted"),
    ("acknowledged", "acknowledgements"),
    ("effects", "effects upstream"),
    ("second_effects", "of them second ones, each marked"),
    ("commits", "group commits"),
    ("refused_commits", "of them refused to an old owner"),
    ("grants", "grants of slots"),
    ("planned", "of them planned hand-overs"),
    ("lease_deaths", "owners relieved for their silence"),
)


def put_between(page: Path, what: str, lines: list[str]) -> None:
    """Replace what stands between the marks of this name."""
    begin, end = f"<!-- {what}: begin -->", f"<!-- {what}: end -->"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{page} has no marks {begin} and {end}")
    page.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{after}"]), encoding="utf-8")


def put_table(totals: Path, page: Path) -> None:
    """Show the totals of a long run in the page."""
    put_between(page, "long run", _table(json.loads(totals.read_text(encoding="utf-8"))))


def _table(found: dict[str, Any]) -> list[str]:
    seeds = f"--seeds {found['seeds']} --first {found['first']}"
    rows = [(name, _number(found[key])) for key, name in _ROWS]
    rows += [(name, _number(found["counts"][key])) for key, name in _COUNTS]
    kinds = ", ".join(f"`{kind}` {_number(count)}" for kind, count in found["faults"].items())
    return [
        f"`./run simulate {seeds}`, revision {found['revision']} (sources {found['sources']}),",
        f"{found['cpu_s'] / 60:,.0f} minutes of one core:",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {number} |" for name, number in rows),
        "",
        f"Faults by kind: {kinds}.",
    ]


def _number(value: int | float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
