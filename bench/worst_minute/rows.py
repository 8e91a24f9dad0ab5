"""From samples to the lines of the table, against the goals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.worst_minute.cycles import Samples
from bench.worst_minute.gaps import summary
from multiconnect.limits import SHARD_COUNTS
from tests.support.history import Verdict
from tests.support.talk import Talk


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
    Line("host", "gap", "host cut off: longest gap of its slots", goals={"p99": 3.0}),
    Line("host", "gap with the Master", "… when it had the primary Master, too"),
    Line("master", "term", "primary Master SIGKILLed: a new term", goals={"max": 0.3}),
    Line("master", "gap", "… longest gap of any slot"),
    Line("master", "calm gap", "… in as long a time before"),
    Line("masters-down", "seconds", "all Masters down, for", "s"),
    Line("masters-down", "errors", "… errors", "", {"max": 0}),
    Line("masters-down", "gap", "… longest gap of each slot"),
    *(
        Line("resize", f"pause {count}", f"resize to {count}: pause of each moved slot",
             goals={"p99": 0.05})
        for count in SHARD_COUNTS
    ),
    Line("resize", "calm", "… longest wait of each slot in 1 s before a resize"),
    Line("resize", "start", "… CoreApps of the new generation ready after"),
    Line("resize", "moves", "… then all slots moved and the count in force after",
         goals={"max": 3.0}),
    Line("resize", "errors", "… errors per resize", "", {"max": 0}),
    Line("resize", "twice", "… slots that moved more than once in a resize", "", {"max": 0}),
    Line("resize-few", "pause", "resize among 1, 2 and 4, eight CoreApps: pause of each moved slot",
         goals={"p99": 0.05}),
    Line("resize-few", "calm", "… longest wait of each slot in 1 s before a resize"),
    Line("resize-few", "start", "… CoreApps of the new generation ready after"),
    Line("resize-few", "moves", "… then all slots moved and the count in force after",
         goals={"max": 3.0}),
    Line("resize-few", "errors", "… errors per resize", "", {"max": 0}),
    Line("steal", "seconds", "a busy process per core, for", "s"),
    Line("steal", "deaths", "… processes declared dead", "", {"max": 0}),
    Line("steal", "moved", "… slots that changed hands", "", {"max": 0}),
    Line("steal", "errors", "… errors", "", {"max": 0}),
    Line("steal", "gap", "… longest gap of each slot"),
    Line("storm", "repair", "two owners at once SIGKILLed, again and again: all slots granted"),
)  # fmt: skip


#: Of these not one may be.
BROKEN = ("failed", "lost", "out of order", "unmarked second sends", "two ids for one message")


def totals(kills: int, talk: Talk, verdict: Verdict, given_up: int) -> dict[str, int]:
    """Return what became of all messages of all cycles."""
    return {
        "kills": kills,
        "sent": talk.sent,
        "acknowledged": len(talk.acknowledged),
        "failed": len(talk.failures),
        "lost": len(verdict.lost) - given_up,
        "given up": given_up,
        "out of order": len(verdict.out_of_order),
        "unmarked second sends": len(verdict.unmarked_repeats),
        "two ids for one message": len(verdict.two_ids),
        "marked second sends": verdict.marked_repeats,
    }


def rows_of(kind: str, samples: Samples) -> list[dict[str, Any]]:
    """Return the lines of a kind."""
    rows = [_row(line, samples[line.samples]) for line in LINES if line.kind == kind]
    if kind == "kill":
        rows.insert(3, _ratio("… p99 meanwhile over p99 before", 2.0, samples, "others", "calm"))
    if kind == "master":
        rows.append(_ratio("… the one over the other", 1.1, samples, "gap", "calm gap"))
    return rows


def _row(line: Line, values: Sequence[float]) -> dict[str, Any]:
    figures = summary(values)
    met = all(figures[name] <= most for name, most in line.goals.items()) if line.goals else None
    goals = dict(line.goals)
    return {"what": line.what, "unit": line.unit, "goals": goals, "met": met, **figures}


def _ratio(what: str, most: float, samples: Samples, name: str, calm: str) -> dict[str, Any]:
    """Return how many times what it is in calm something is."""
    here, there = summary(samples[name]), summary(samples[calm])
    ratios = {each: round(here[each] / (there[each] or 1.0), 2) for each in ("p50", "p99", "max")}
    return {
        "what": what, "unit": "×", "goals": {"p99": most}, "met": ratios["p99"] <= most,
        "n": here["n"], **ratios,
    }  # fmt: skip
