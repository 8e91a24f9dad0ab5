"""From samples to the lines of the table, against the goals; and into docs/faults.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.worst_minute.cycles import Samples
from bench.worst_minute.gaps import percentile, summary
from tests.support.history import Verdict
from tests.support.talk import Talk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: where its samples are, what is asked of which statistic."""

    kind: str
    samples: str
    what: str
    unit: str = "ms"
    #: statistic → the most it may be, in the unit of the samples (seconds, or a count).
    goals: Mapping[str, float] = field(default_factory=dict)


LINES = (
    Line("kill", "gap", "owner SIGKILLed: longest gap in its slots' acknowledgements",
         goals={"p99": 0.3, "max": 1.0}),
    Line("kill", "others", "… latency of the other shards meanwhile"),
    Line("kill", "calm", "… and before"),
    Line("stop", "gap", "owner SIGSTOPped: longest gap", goals={"p99": 1.2}),
    Line("master", "term", "primary Master SIGKILLed: a new term", goals={"max": 0.3}),
    Line("master", "gap", "… longest gap of any slot"),
    Line("master", "calm gap", "… in as long a time before"),
    Line("masters-down", "gap", "all Masters down: longest gap of each slot"),
    Line("masters-down", "errors", "… errors", "", {"max": 0}),
    Line("resize", "pause", "resize: longest gap of each moved slot", goals={"p99": 0.05}),
    Line("resize", "calm gap", "… of each slot in 0.4 s before"),
    Line("resize", "start", "… CoreApps of the new generation ready after"),
    Line("resize", "moves", "… then all slots moved and the count in force after",
         goals={"max": 3.0}),
    Line("resize", "errors", "… errors per resize", "", {"max": 0}),
    Line("resize", "twice", "… slots that moved more than once in a resize", "", {"max": 0}),
    Line("steal", "deaths", "a busy process per core: processes declared dead", "", {"max": 0}),
    Line("steal", "moved", "… slots that changed hands", "", {"max": 0}),
    Line("steal", "errors", "… errors", "", {"max": 0}),
    Line("steal", "gap", "… longest gap of each slot"),
)  # fmt: skip


@dataclass
class Totals:
    """What became of all messages of all cycles."""

    counts: Counter[str] = field(default_factory=Counter)
    lag_s: float = 0.0
    #: Per kind: shares of all cores before the first fault.
    calm: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, kind: str, cycles: int, talk: Talk, verdict: Verdict) -> None:
        """Take the end of one kind of cycles."""
        self.counts["kills"] += cycles * (kind in {"kill", "stop", "master"})
        self.counts["sent"] += talk.sent
        self.counts["acknowledged"] += len(talk.acknowledged)
        self.counts["failed"] += len(talk.failures)
        self.counts["lost"] += len(verdict.lost)
        self.counts["out of order"] += len(verdict.out_of_order)
        self.counts["unmarked second sends"] += len(verdict.unmarked_repeats)
        self.counts["two ids for one message"] += len(verdict.two_ids)
        self.counts["marked second sends"] += verdict.marked_repeats
        self.lag_s = max(self.lag_s, talk.lag_s)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        bad = ("failed", "lost", "out of order", "unmarked second sends", "two ids for one message")
        return not any(self.counts[name] for name in bad)

    def as_json(self) -> dict[str, float]:
        """Return the counts."""
        return {**self.counts, "the load was late by at most, ms": round(1000 * self.lag_s, 1)}


def rows_of(samples: Mapping[str, Samples]) -> list[dict[str, Any]]:
    """Return the lines for which there are samples."""
    rows = [_row(line, samples[line.kind][line.samples]) for line in LINES if line.kind in samples]
    if "kill" in samples:
        rows.insert(3, _ratio(samples["kill"]))
    return rows


def _row(line: Line, values: Sequence[float]) -> dict[str, Any]:
    figures = summary(values)
    met = all(figures[name] <= most for name, most in line.goals.items()) if line.goals else None
    return {
        "kind": line.kind, "what": line.what, "unit": line.unit, "goals": dict(line.goals),
        "met": met, **figures,
    }  # fmt: skip


def _ratio(samples: Samples) -> dict[str, Any]:
    """Return the other shards' p99 during a failover over their p99 in calm."""
    calm = percentile(samples["calm"], 99)
    ratio = round(percentile(samples["others"], 99) / calm, 2) if calm else 0.0
    return {
        "kind": "kill", "what": "… p99 meanwhile over p99 before", "unit": "×",
        "goals": {"p99": 2.0}, "met": ratio <= 2.0, "n": len(samples["others"]),
        "p50": round(percentile(samples["others"], 50) / (percentile(samples["calm"], 50) or 1), 2),
        "p99": ratio, "max": ratio,
    }  # fmt: skip


def table(result: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["| what | n | p50 | p99 | max | goal | met |", "|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        cells = [_shown(row[name], row["unit"]) for name in ("p50", "p99", "max")]
        goal = ", ".join(f"{k} ≤ {_shown(v, row['unit'])}" for k, v in row["goals"].items())
        met = {True: "yes", False: "**no**", None: ""}[row["met"]]
        lines.append(f"| {row['what']} | {row['n']} | {' | '.join(cells)} | {goal} | {met} |")
    totals = ", ".join(f"{name}: {count:,}" for name, count in result["totals"].items())
    return "\n".join([*lines, "", f"Of all messages of all cycles: {totals}."])


def _busy(result: Mapping[str, Any]) -> str:
    shares = [calm["busy"] for calm in result["calm_cpu"].values()]
    return f"{min(shares):.0%} to {max(shares):.0%}"


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{1000 * value:,.1f} ms"
    return f"{value:g} {unit}".rstrip()


def write_docs(result: Mapping[str, Any]) -> str:
    """Put the table into docs/faults.md, between its markers."""
    where = result["environment"]
    intro = (
        f"Revision {where['revision']}, `{result['command']}`, store {result['store']}, "
        f"{where['cores']} cores of {where['cpu']}, kernel {where['kernel']}, "
        f"{where['store']['file_system']}; load before the run {where['load_before']}; "
        f"{result['messages_per_s']:,} messages a second, which with everything else kept "
        f"{_busy(result)} of the cores busy before the first fault."
    )
    text = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- bench:worst_minute -->", "<!-- /bench:worst_minute -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{PAGE.name} has no part {begin} … {end}")
    filled = f"{begin}\n{intro}\n\n{table(result)}\n{end}"
    PAGE.write_text(pattern.sub(lambda _: filled, text), encoding="utf-8")
    return f"docs/{PAGE.name}"
