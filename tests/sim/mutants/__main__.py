"""`python -m tests.sim.mutants [NAME …]`: break the product on purpose and see who notices.

Each mutant runs in a process of its own through the first seeds and its directed scenario. Exit
code 1 when one is caught by neither. `--write docs/simulation.md` puts the table there.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.twins import use_readable_twins

# Compiled classes let nobody replace a method.
use_readable_twins()

from tests.sim.mutants.catalogue import CATALOGUE, Mutant  # noqa: E402
from tests.sim.page import put_between  # noqa: E402
from tests.sim.revision import revision, sources  # noqa: E402
from tests.sim.run import Verdict, run, run_seed  # noqa: E402
from tests.sim.scenarios.catalogue import SCENARIOS  # noqa: E402


@dataclass(frozen=True)
class Hunt:
    """What came of one mutant."""

    name: str
    seeds: int
    caught: int
    #: The first seed that caught it, and by which violation; 0: none.
    first_seed: int
    verdict: str
    scenario: str
    scenario_verdict: str

    @property
    def is_caught(self) -> bool:
        return bool(self.caught or self.scenario_verdict)


def hunt(mutant: Mutant, seeds: int) -> Hunt:
    """Run one mutant, in this process, which is broken afterwards."""
    mutant.apply()
    first_seed, caught, verdict = 0, 0, ""
    for seed in range(1, seeds + 1):
        found = _worst(run_seed(seed))
        if found:
            caught += 1
            if not first_seed:
                first_seed, verdict = seed, found
    directed = ""
    if mutant.scenario:
        scenario = SCENARIOS[mutant.scenario]
        directed = _worst(run(scenario.options, scenario.script))
    return Hunt(mutant.name, seeds, caught, first_seed, verdict, mutant.scenario, directed)


def _worst(verdict: Verdict) -> str:
    return verdict.violations[0] if verdict.violations else ""


def main(arguments: list[str]) -> int:
    """Hunt the mutants named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CATALOGUE))
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this page")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.here:
        print(json.dumps(asdict(hunt(CATALOGUE[wanted.names[0]], wanted.seeds))))
        return 0
    hunts = []
    for name in wanted.names or CATALOGUE:
        hunts.append(_in_child(name, wanted.seeds))
        print(_line(hunts[-1]), flush=True)
    if wanted.write:
        _write(wanted.write, hunts, f"python -m tests.sim.mutants --seeds {wanted.seeds}")
    escaped = [one.name for one in hunts if not one.is_caught]
    print(f"mutants: {len(hunts)} made, {len(hunts) - len(escaped)} caught", *escaped)
    return 1 if escaped else 0


def _in_child(name: str, seeds: int) -> Hunt:
    command = [sys.executable, "-m", "tests.sim.mutants", "--here", name, "--seeds", str(seeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Hunt(**json.loads(done.stdout.splitlines()[-1]))


def _line(one: Hunt) -> str:
    parts = [f"{one.name:26} {one.caught:3}/{one.seeds} seeds"]
    if one.first_seed:
        parts.append(f"seed {one.first_seed}: {one.verdict}")
    if one.scenario:
        parts.append(f"scenario {one.scenario}: {one.scenario_verdict or 'nothing'}")
    return "; ".join(parts if one.is_caught else [*parts, "ESCAPED"])


def _write(page: Path, hunts: list[Hunt], command: str) -> None:
    intro = f"Made by `{command}` from revision {revision()} (sources {sources()})."
    put_between(page, "mutants", [intro, "", *_table(hunts)])


def _table(hunts: list[Hunt]) -> list[str]:
    lines = [
        "| mutant | what it breaks | seeds | first verdict | directed |",
        "|---|---|---|---|---|",
    ]
    for one in hunts:
        directed = f"`{one.scenario}` {'caught' if one.scenario_verdict else 'blind'}"
        cells = (
            one.name, CATALOGUE[one.name].breaks, f"{one.caught} of {one.seeds}",
            _short(one.verdict or one.scenario_verdict), directed if one.scenario else "",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _short(verdict: str) -> str:
    return verdict.replace("|", "/").replace("<", "").replace(">", "")[:100]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
