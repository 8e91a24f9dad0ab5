"""Runs one seed (or one scenario) and returns what came of it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tests.sim.chaos import Chaos
from tests.sim.loop import Stuck
from tests.sim.options import Options, options_of
from tests.sim.seal import overheard, sealed
from tests.sim.world import World

#: After the last fault everything must be at rest within this, and so many take-overs.
CALM_MAX_S, CALM_MAX_TAKEOVERS = 60.0, 3
_TAIL_S = 0.5
_LOOK_S = 0.1

Tell = Callable[[str], None]
Script = Callable[[World, Chaos], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Verdict:
    """What came of one run; two runs with one digest went the same way."""

    seed: int
    violations: tuple[str, ...]
    simulated_s: float
    cpu_s: float
    digest: int
    counts: dict[str, int]
    faults: dict[str, int]


def run_seed(seed: int, tell: Tell | None = None) -> Verdict:
    """Run the random history of a seed."""
    return run(options_of(seed), lambda _world, chaos: chaos.random_faults(), tell)


def run(options: Options, script: Script, tell: Tell | None = None) -> Verdict:
    """Run a script of faults in a world; then calm it and wait until it is at rest."""
    started_s = time.process_time()
    world = World(options, tell)
    chaos = Chaos(world)
    with sealed(options), overheard(world.story):
        _run_until_verdict(world, _play(world, chaos, script))
        world.close()
    return Verdict(
        seed=options.seed,
        violations=tuple(world.violations),
        simulated_s=world.loop.now_s,
        cpu_s=time.process_time() - started_s,
        digest=world.story.digest,
        counts=world.ledger.counts,
        faults=dict(chaos.counts),
    )


def _run_until_verdict(world: World, play: Coroutine[Any, Any, None]) -> None:
    main = world.loop.create_task(play)
    try:
        world.loop.run_until_complete(main)
    except Stuck as error:
        world.found("10", str(error))
    except RuntimeError:
        # A verdict stops the loop before the play is over.
        if not world.violations:
            raise


async def _play(world: World, chaos: Chaos, script: Script) -> None:
    world.story.say("world", "seed %d: %s", world.options.seed, world.options)
    world.boot()
    await script(world, chaos)
    world.story.say("world", "the last fault is over")
    chaos.end()
    await asyncio.sleep(_TAIL_S)
    world.has_traffic = False
    calm_max_s = CALM_MAX_S + CALM_MAX_TAKEOVERS * world.timers.takeover_s
    until_s = world.loop.now_s + calm_max_s
    while why := world.unfinished():
        if world.loop.now_s > until_s:
            world.found("10", f"{calm_max_s:.0f} s after the last fault: {why}")
            return
        await asyncio.sleep(_LOOK_S)
        world.resend_statuses()
    world.bench.rest.check()
    world.story.say("world", "at rest: %s", world.ledger.counts)
