"""What many runs together came to: the closing line, and the file that is committed."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim.revision import revision, sources
from tests.sim.run import Verdict


@dataclass
class Totals:
    """The sum of all verdicts so far."""

    first: int
    seeds: int = 0
    simulated_s: float = 0.0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[int, tuple[str, ...]] = field(default_factory=dict)
    #: Of the sources as they were imported, not as they are by the end of a long run.
    revision: str = field(default_factory=revision)
    sources: str = field(default_factory=sources)

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        self.simulated_s += verdict.simulated_s
        self.cpu_s += verdict.cpu_s
        self.counts.update(verdict.counts)
        self.faults.update(verdict.faults)
        if verdict.violations:
            self.broken[verdict.seed] = verdict.violations

    def line(self, took_s: float) -> str:
        """Return the closing line."""
        speed = self.simulated_s / max(self.cpu_s, 1e-9)
        return (
            f"simulate: {self.seeds} seeds, {self.simulated_s / 3600:.2f} simulated hours, "
            f"{self.faults.total()} faults, {self.counts['acknowledged']} acknowledgements, "
            f"{self.counts['effects']} effects, {len(self.broken)} seeds broke an invariant; "
            f"{took_s:.0f} s, {speed:.0f} x real time per core"
        )

    def write(self, file: Path) -> None:
        """Put the totals into a file, in one step: a reader never sees half of it."""
        beside = file.with_name(f"{file.name}.new")
        beside.write_text(json.dumps(self._as_json(), indent=1) + "\n", encoding="utf-8")
        beside.replace(file)

    def _as_json(self) -> dict[str, object]:
        return {
            "revision": self.revision,
            "sources": self.sources,
            "first": self.first,
            "seeds": self.seeds,
            "simulated_hours": round(self.simulated_s / 3600, 3),
            "cpu_s": round(self.cpu_s, 1),
            "faults_injected": self.faults.total(),
            "violations": len(self.broken),
            "broken_seeds": self.broken,
            "faults": dict(self.faults.most_common()),
            "counts": dict(self.counts),
        }
