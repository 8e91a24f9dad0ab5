"""`./run bench`: run the benchmarks, compare with the targets, keep the results."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.docs_tables import RESULTS, ROOT, write_docs
from bench.environment import environment, stored_at
from bench.plots import draw
from bench.report import changes, figures_of, others, rows_of, table
from bench.sampling import PROFILES, profile

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
    where = environment(quick=options.quick)
    code = _run(options)
    if not RAW.is_file():
        return code or 1
    figures = figures_of(json.loads(RAW.read_text("utf-8")))
    result = {
        "command": shlex.join(["./run", "bench", *arguments]),
        "environment": where,
        "rows": rows_of(figures),
        "figures": figures,
    }
    _keep(result, options)
    _show(result, options)
    return code


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds: < 2 minutes")
    parser.add_argument("-k", metavar="EXPRESSION", help="only benchmarks that match, as in pytest")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the rows to FILE")
    parser.add_argument("--compare", metavar="REV", help="show the change since REV's results")
    parser.add_argument("--profile", choices=(*PROFILES, "all"), help="show where the time goes")
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
    command += ["-k", options.k] if options.k else []
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _keep(result: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the result; only a whole run becomes the one that the documents show."""
    name = "partial" if options.k else "quick" if options.quick else "latest"
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps({"rows": result["rows"]}, indent=1) + "\n", "utf-8")
    if name == "latest":
        try:
            draw(result["figures"], RESULTS)
        except ImportError:
            print("no plots: matplotlib is not installed (pip install multiconnect[bench])")


def _show(result: dict[str, Any], options: argparse.Namespace) -> None:
    print(f"\n{others(result['figures'])}\n\n{table(result['rows'])}")
    if options.compare:
        before = stored_at(options.compare, "bench/results/latest.json")
        if before:
            print(f"\n{changes(json.loads(before)['figures'], result['figures'])}")
        else:
            print(f"\nnothing to compare with: {options.compare} has no bench/results/latest.json")
    missed = [row for row in result["rows"] if not row["met"]]
    print(f"\n{len(result['rows']) - len(missed)} of {len(result['rows'])} lines met")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
