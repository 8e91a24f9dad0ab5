"""`python -m tests.sim --seeds N [--first S] [--json FILE] [--verbose]`: run that many seeds.

Exit code 1 when an invariant was broken. The last line has the totals.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.sim.run import Verdict, run_seed


def main(arguments: list[str]) -> int:
    """Run the seeds and report."""
    wanted = _parser().parse_args(arguments)
    totals: Counter[str] = Counter()
    failed: list[Verdict] = []
    started = time.monotonic()
    for seed in range(wanted.first, wanted.first + wanted.seeds):
        verdict = run_seed(seed, print if wanted.verbose else None)
        _add(totals, verdict)
        if verdict.violations:
            failed.append(verdict)
            _report(verdict)
    line = _summary(wanted.seeds, totals, len(failed), time.monotonic() - started)
    print(line)
    if wanted.json:
        result = {
            "first": wanted.first, "seeds": wanted.seeds, "violations": len(failed),
            "totals": dict(totals), "failed": {v.seed: v.violations for v in failed},
        }  # fmt: skip
        Path(wanted.json).write_text(json.dumps(result, indent=1) + "\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run simulate")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--json", metavar="FILE", help="write the totals there")
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    return parser


def _add(totals: Counter[str], verdict: Verdict) -> None:
    totals.update(verdict.counts)
    totals.update({f"fault: {name}": count for name, count in verdict.faults.items()})
    totals["faults"] += sum(verdict.faults.values())
    totals["simulated_ms"] += round(verdict.simulated_s * 1000)
    totals["cpu_ms"] += round(verdict.cpu_s * 1000)


def _report(verdict: Verdict) -> None:
    print(f"seed {verdict.seed}: {verdict.violations[0]}")
    print(f"    ./run simulate --seeds 1 --first {verdict.seed} --verbose", flush=True)


def _summary(seeds: int, totals: Counter[str], failed: int, took_s: float) -> str:
    simulated_s = totals["simulated_ms"] / 1000
    speed = simulated_s / max(totals["cpu_ms"] / 1000, 1e-9)
    return (
        f"simulate: {seeds} seeds, {simulated_s / 3600:.2f} simulated hours, "
        f"{totals['faults']} faults, {totals['acknowledged']} acknowledgements, "
        f"{totals['effects']} effects, {failed} seeds broke an invariant; "
        f"{took_s:.0f} s, {speed:.0f} x real time per core"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
