"""The checker is checked: what breaks a rule of the product must be noticed.

Here only the mutants that random histories seldom catch, by their directed ones; the whole hunt is
`python -m tests.sim.mutants` (docs/simulation.md has its table).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.mutants.catalogue import CATALOGUE
from tests.sim.scenarios.catalogue import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
DIRECTED = sorted(name for name, mutant in CATALOGUE.items() if mutant.scenario)

#: The rules whose breach must be noticed, whatever else is in the catalogue.
DEMANDED = {
    *("no-fence", "fence-by-owner-only", "fence-before-transaction", "epoch-reuse"),
    *("ack-before-commit", "no-producer-dedupe", "no-contiguity", "no-keys"),
    *("skip-in-doubt", "no-in-doubt-mark", "watermark-not-committed", "no-confirm-cache"),
    *(
        "give-up-in-memory",
        "no-ambiguity-flag",
        "retry-overtakes",
        "resend-out-of-order",
        "map-epoch-falls",
    ),
    *("no-self-fence", "eager-takeover", "takeover-by-written-time", "forced-drain"),
    *("renewal-without-progress", "no-term-check"),
}


def hunt(name, seeds):
    command = [sys.executable, "-m", "tests.sim.mutants", "--here", name, "--seeds", str(seeds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_catalogue_has_every_rule_that_is_demanded():
    assert CATALOGUE.keys() >= DEMANDED
    assert {m.scenario for m in CATALOGUE.values()} - {""} <= SCENARIOS.keys()


@pytest.mark.parametrize("name", DIRECTED)
def test_a_mutant_that_hides_is_caught_by_its_directed_history(name):
    assert hunt(name, 0)["scenario_verdict"]


@pytest.mark.parametrize("name", ["ack-before-commit", "no-keys", "watermark-not-committed"])
def test_a_blunt_mutant_is_caught_by_the_first_seeds(name):
    assert hunt(name, 3)["caught"]
