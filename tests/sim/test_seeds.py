"""The random histories and the directed ones, on the product's own code."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.run import run, run_seed
from tests.sim.scenarios.catalogue import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 500


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=variables or None, capture_output=True, text=True, check=False
    )


def test_no_seed_breaks_an_invariant():
    """In processes of its own: `./run simulate` as anybody would run it."""
    done = python("-m", "tests.sim", "--seeds", str(SEEDS), "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"simulate: {SEEDS} seeds, ")
    assert " 0 seeds broke an invariant" in last


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_directed_history_ends_well(name):
    scenario = SCENARIOS[name]
    verdict = run(scenario.options, scenario.script)
    assert verdict.violations == ()
    assert verdict.counts["effects"] > 0


def test_a_seed_is_one_history():
    """Another process or hash seed, a listener, readable twins: nothing changes what happens."""
    program = "import tests.sim.__main__, tests.sim.run as sim; print(sim.run_seed(7).digest)"
    lines: list[str] = []
    digests = {
        run_seed(7).digest,
        run_seed(7, lines.append).digest,
        *(int(python("-c", program, PYTHONHASHSEED=seed).stdout) for seed in "12"),
        int(python("-c", program, MULTICONNECT_TWINS="readable").stdout),
    }
    assert len(digests) == 1
    assert len(lines) > 100
    assert run_seed(8).digest not in digests
