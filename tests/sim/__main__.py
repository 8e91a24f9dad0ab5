"""`python -m tests.sim --seeds N [--first S] [--jobs J] [--json FILE] [--verbose]`.

Runs that many seeds. Exit code 1 when an invariant was broken; then each such seed is named with
the command that tells its story. The last line has the totals. `--json` writes them now and then
while it runs, so that a run cut short leaves what it came to. `--table FILE --write PAGE` runs
nothing: it puts such a file into a page as a table.
"""

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.twins import use_what_is_asked_for

use_what_is_asked_for()

from tests.sim.page import put_table  # noqa: E402
from tests.sim.run import Verdict, run_seed  # noqa: E402
from tests.sim.totals import Totals  # noqa: E402

#: Between two writings of the totals.
_SEEDS_PER_WRITING = 500
#: Seeds that one process takes at a time.
_SEEDS_AT_A_TIME = 20


def main(arguments: list[str]) -> int:
    """Run the seeds and report."""
    wanted = _parser().parse_args(arguments)
    if wanted.table:
        put_table(wanted.table, wanted.write)
        return 0
    totals, started_s = Totals(wanted.first), time.monotonic()
    seeds = range(wanted.first, wanted.first + wanted.seeds)
    for verdict in _verdicts(seeds, wanted.jobs, verbose=wanted.verbose):
        totals.add(verdict)
        if verdict.violations:
            print(f"seed {verdict.seed}: {verdict.violations[0]}")
            print(f"    ./run simulate --seeds 1 --first {verdict.seed} --verbose", flush=True)
        if wanted.json and (totals.seeds % _SEEDS_PER_WRITING == 0 or verdict.violations):
            totals.write(wanted.json)
    if wanted.json:
        totals.write(wanted.json)
    print(totals.line(time.monotonic() - started_s))
    return 1 if totals.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run simulate")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share them (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the totals there")
    parser.add_argument("--verbose", action="store_true", help="tell the story of each run")
    parser.add_argument("--table", type=Path, metavar="FILE", help="run nothing, show this file")
    page = Path("docs/simulation.md")
    parser.add_argument("--write", type=Path, metavar="PAGE", default=page, help="in this page")
    return parser


def _verdicts(seeds: Iterable[int], jobs: int, *, verbose: bool) -> Iterator[Verdict]:
    _collect_seldom()
    if verbose or jobs == 1:
        for seed in seeds:
            yield _one(seed, verbose=verbose)
        return
    with multiprocessing.Pool(jobs, _collect_seldom) as pool:
        yield from pool.imap(_one, seeds, chunksize=_SEEDS_AT_A_TIME)


def _one(seed: int, *, verbose: bool = False) -> Verdict:
    verdict = run_seed(seed, print if verbose else None)
    gc.collect()
    return verdict


def _collect_seldom() -> None:
    """Collect garbage between two worlds only: a world is full of cycles that all end with it."""
    gc.collect()
    gc.freeze()
    gc.disable()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
