"""Put measured tables into docs/performance.md, between markers; everything else is left alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bench.report import others, peers, table
from bench.sampling import PROFILES, profile_table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results"
#: A load average above this before the run makes its figures a trial.
QUIET_LOAD_MAX = 0.8


def write_docs() -> list[str]:
    """Fill in the page from the committed results; return the names of the parts written."""
    text = PAGE.read_text(encoding="utf-8")
    parts = dict.fromkeys(("targets", "others", "peers", "machine"), "latest.json")
    parts["long"] = "long.json"
    written = []
    for name, file in [*parts.items(), *((p, f"profile-{p}.json") for p in PROFILES)]:
        path = RESULTS / file
        if path.is_file():
            text = _replaced(text, name, _part(name, json.loads(path.read_text("utf-8"))))
            written.append(name)
    PAGE.write_text(text, encoding="utf-8")
    return written


def _part(name: str, result: dict[str, Any]) -> str:
    if name == "targets":
        return table(result["rows"])
    if name == "others":
        return others(result["figures"])
    if name == "peers":
        numbers = result["environment"].get("peers", {})
        named = ", ".join(f"{name} {number}" for name, number in numbers.items())
        return f"{peers(result['figures'])}\n\n{named}."
    if name == "long":
        return f"{_machine(result)}\n\n{table(result['rows'])}\n\n{others(result['figures'])}"
    if name == "machine":
        return _machine(result)
    return profile_table(result)


def _machine(result: dict[str, Any]) -> str:
    where = result["environment"]
    busy = where["load_before"] > QUIET_LOAD_MAX
    warning = "**Trial figures: the machine was busy with other work.** " if busy else ""
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    machine = (
        f"{where['cores']} cores of {where['cpu']}, {where['memory_mb'] / 1024:.0f} GiB, "
        f"kernel {where['kernel']}, {where['store']['file_system']}"
    )
    return (
        f"{warning}Revision {where['revision']}, made with `{result['command']}` on {machine}; "
        f"load before the run {where['load_before']}. Python {where['python']}, "
        f"SQLite {where['store']['sqlite']}, {versions}."
    )


def _replaced(text: str, name: str, content: str) -> str:
    """Return the text with a part replaced; raises ValueError when its markers are missing."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{PAGE.name} has no part {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)
