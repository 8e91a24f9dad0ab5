"""`python -m tests.sim --seeds N [--first S] [--jobs J] [--json FILE] [--verbose]`.

Runs that many seeds. Exit code 1 when an invariant was broken; then each such seed is named with
the command that tells its story. The last line has the totals.
"""

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim.revision import revision
from tests.sim.run import Verdict, run_seed

#: Between two collections of garbage: worlds are full of cycles, and collecting takes time.
_SEEDS_PER_COLLECTION = 8


@dataclass
class Totals:
    """What all runs together came to."""

    seeds: int = 0
    simulated_s: float = 0.0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[int, tuple[str, ...]] = field(default_factory=dict)

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

    def as_json(self) -> dict[str, object]:
        """Return what is committed of a long run."""
        return {
            "revision": revision(),
            "seeds": self.seeds,
            "simulated_hours": round(self.simulated_s / 3600, 3),
            "cpu_s": round(self.cpu_s, 1),
            "faults_injected": self.faults.total(),
            "violations": len(self.broken),
            "broken_seeds": self.broken,
            "faults": dict(self.faults.most_common()),
            "counts": dict(self.counts),
        }


def main(arguments: list[str]) -> int:
    """Run the seeds and report."""
    wanted = _parser().parse_args(arguments)
    totals, started_s = Totals(), time.monotonic()
    seeds = range(wanted.first, wanted.first + wanted.seeds)
    for verdict in _verdicts(seeds, wanted.jobs, verbose=wanted.verbose):
        totals.add(verdict)
        if verdict.violations:
            print(f"seed {verdict.seed}: {verdict.violations[0]}")
            print(f"    ./run simulate --seeds 1 --first {verdict.seed} --verbose", flush=True)
    if wanted.json:
        text = json.dumps({"first": wanted.first, **totals.as_json()}, indent=1)
        wanted.json.write_text(text + "\n", encoding="utf-8")
    print(totals.line(time.monotonic() - started_s))
    return 1 if totals.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run simulate")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share them (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the totals there")
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    return parser


def _verdicts(seeds: Iterable[int], jobs: int, *, verbose: bool) -> Iterator[Verdict]:
    _collect_seldom()
    if verbose or jobs == 1:
        for seed in seeds:
            yield _one(seed, verbose=verbose)
        return
    with multiprocessing.Pool(jobs, _collect_seldom) as pool:
        yield from pool.imap(_one, seeds, chunksize=20)


def _one(seed: int, *, verbose: bool = False) -> Verdict:
    verdict = run_seed(seed, print if verbose else None)
    if seed % _SEEDS_PER_COLLECTION == 0:
        gc.collect()
    return verdict


def _collect_seldom() -> None:
    gc.collect()
    gc.freeze()
    gc.disable()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
