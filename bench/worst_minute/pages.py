"""The kept figures of both stores, into docs/faults.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.worst_minute.kinds import KINDS
from bench.worst_minute.results import STORES, file_of, kept_in, sum_of, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- bench:worst_minute -->", "<!-- /bench:worst_minute -->"
#: Asked of all runs of both stores together.
KILLS_MIN, ACKNOWLEDGED_MIN = 2_000, 1_000_000


def write_docs() -> str:
    """Put the tables between the page's markers; return what was written."""
    kept = {store: kept_in(file_of(store)) for store in STORES}
    parts = [_about(kept), _all_messages(kept)]
    for store, entries in kept.items():
        parts += [f"### {store}", table(entries, KINDS), _runs(entries), _missing(store, entries)]
    text = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{PAGE.name} has no part {BEGIN} … {END}")
    filled = "\n\n".join([BEGIN, *(part for part in parts if part), END])
    PAGE.write_text(pattern.sub(lambda _: filled, text), encoding="utf-8")
    return f"docs/{PAGE.name}"


def _about(kept: Mapping[str, Mapping[str, Any]]) -> str:
    entries = [entry for of_store in kept.values() for entry in of_store.values()]
    if not entries:
        return ""
    where = entries[0]["environment"]
    return (
        f"On {where['cores']} cores of {where['cpu']}, kernel {where['kernel']}, shared with other "
        "work. What each kind ran on, the load average before it and the share of all cores that "
        "was busy in calm traffic are below each table."
    )


def _all_messages(kept: Mapping[str, Mapping[str, Any]]) -> str:
    total = sum_of(entry for of_store in kept.values() for entry in of_store.values())
    asked = (
        ("processes killed or frozen", "kills", f"≥ {KILLS_MIN:,}", total["kills"] >= KILLS_MIN),
        ("messages acknowledged", "acknowledged", f"≥ {ACKNOWLEDGED_MIN:,}",
         total["acknowledged"] >= ACKNOWLEDGED_MIN),
        *((what, key, "0", total[key] == 0) for what, key in (
            ("acknowledged and lost", "lost"), ("refused or not answered in time", "failed"),
            ("recipients out of order", "out of order"),
            ("second sends without a mark", "unmarked second sends"),
            ("two messages with one id", "two ids for one message"),
        )),
        ("reported as unknown: three owners ended over it", "given up", "", None),
        ("second sends with a mark", "marked second sends", "", None),
    )  # fmt: skip
    lines = ["| of all messages of all runs | | goal | met |", "|---|---|---|---|"]
    for what, key, goal, met in asked:
        said = {True: "yes", False: "**no**", None: ""}[met]
        lines.append(f"| {what} | {total[key]:,} | {goal} | {said} |")
    return "\n".join(lines)


def _missing(store: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    wanted = [name for name, kind in KINDS.items() if store in kind.stores]
    missing = [name for name in wanted if name not in entries]
    return f"Without kept figures: {', '.join(missing)}." if missing else ""


def _runs(entries: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| kind | cycles | messages a second | on | load before | busy in calm | revision | |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for kind in KINDS:
        if kind not in entries:
            continue
        entry = entries[kind]
        where, calm = entry["environment"], entry["calm_cpu"]
        lines.append(
            f"| {kind} | {entry['cycles']} | {entry['messages_per_s']:,} | {entry['file_system']} "
            f"| {where['load_before']} "
            f"| {calm['busy']:.0%}, with this {calm['busy with this']:.0%} "
            f"| {where['revision']} | {entry.get('note', '')} |"
        )
    return "\n".join(lines)
