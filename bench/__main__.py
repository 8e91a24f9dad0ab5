"""`./run bench`: run the benchmarks, compare with the targets, keep the results."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

from bench.compare.install import versions
from bench.docs_tables import RESULTS, ROOT, write_docs
from bench.environment import environment, stored_at
from bench.plots import draw
from bench.report import changes, figures_of, others, peers, rows_of, summary, table
from bench.sampling import PROFILES, profile
from tests.counts.counting import Uncountable, record

#: Where --long makes a difference.
LONG = "test_backlog or test_memory_over_many"
RAW = ROOT / ".cache" / "bench" / "pytest-benchmark.json"


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    options = _options(arguments)
    if options.write_docs:
        print("docs/performance.md:", ", ".join(write_docs()))
        return 0
    if options.profile:
        for name in PROFILES if options.profile == "all" else (options.profile,):
            print(profile(name, RESULTS), flush=True)
        return 0
    if options.record_counts:
        return _record_counts()
    where = environment(quick=options.quick)
    started_s = monotonic()
    code = _run(options)
    if not RAW.is_file():
        return code or 1
    figures = figures_of(json.loads(RAW.read_text("utf-8")))
    if any(name.startswith("peer.") for name in figures):
        where["peers"] = versions()
    result = {
        "command": shlex.join(["./run", "bench", *arguments]),
        "seconds": round(monotonic() - started_s),
        "environment": where,
        "rows": rows_of(figures),
        "figures": figures,
    }
    _keep(result, options)
    _show(result, options)
    return code


def _record_counts() -> int:
    try:
        print(record())
    except Uncountable as reason:
        print(f"nothing was recorded: {reason}")
        return 1
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds")
    parser.add_argument(
        "--long", action="store_true", help="only what takes minutes, kept beside the rest"
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="only benchmarks that match, as in pytest")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the rows to FILE")
    parser.add_argument("--compare", metavar="REV", help="show the change since REV's results")
    parser.add_argument("--profile", choices=(*PROFILES, "all"), help="show where the time goes")
    parser.add_argument(
        "--record-counts",
        action="store_true",
        help="expect the instruction counts of now in the tests, run nothing else",
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put the kept results into docs/performance.md, run nothing",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    """Run pytest; its raw data end up in RAW."""
    RAW.parent.mkdir(parents=True, exist_ok=True)
    RAW.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "bench", f"--benchmark-json={RAW}", "-rs"),
        *("--benchmark-columns=median,min,max,rounds", "--benchmark-sort=name"),
        # A benchmark that failed before its clock ran is one failure, not two.
        *("-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"),
    ]
    command += ["--quick"] if options.quick else []
    command += ["--long"] if options.long else []
    only = options.k or (LONG if options.long else "")
    command += ["-k", only] if only else []
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _keep(result: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the result; only a whole run becomes the one that the documents show."""
    name = _name(options)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps({"rows": result["rows"]}, indent=1) + "\n", "utf-8")
    if name in {"latest", "long"}:
        try:
            draw(_kept_figures(), RESULTS)
        except ImportError:
            print("no plots: matplotlib is not installed (pip install multiconnect[bench])")


def _kept_figures() -> dict[str, Any]:
    """Return the figures of the kept whole run; of the growth of a backlog, the longer one's."""
    kept: dict[str, dict[str, Any]] = {}
    for name in ("latest", "long"):
        path = RESULTS / f"{name}.json"
        kept[name] = json.loads(path.read_text("utf-8"))["figures"] if path.is_file() else {}
    return kept["latest"] | {n: f for n, f in kept["long"].items() if ".backlog." in n}


def _name(options: argparse.Namespace) -> str:
    if options.k:
        return "partial"
    return "quick" if options.quick else "long" if options.long else "latest"


def _show(result: dict[str, Any], options: argparse.Namespace) -> None:
    figures = result["figures"]
    print("", others(figures), peers(figures), table(result["rows"]), sep="\n\n")
    if options.compare:
        before = stored_at(options.compare, "bench/results/latest.json")
        if before:
            print(f"\n{changes(json.loads(before)['figures'], result['figures'])}")
        else:
            print(f"\nnothing to compare with: {options.compare} has no bench/results/latest.json")
    print(f"\n{summary(result['rows'])}\nin {result['seconds'] / 60:.1f} minutes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
