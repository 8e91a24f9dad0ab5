"""Runs one seed (or one scenario) and returns what came of it."""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from multiconnect.dataplane import router as router_module
from tests.sim.chaos import Chaos
from tests.sim.loop import Stuck
from tests.sim.options import Options, options_of
from tests.sim.process import current
from tests.sim.story import StoryLog
from tests.sim.world import World

#: After the last fault everything must be at rest within this.
CALM_MAX_S = 60.0
_TAIL_S = 0.5
_LOOK_S = 0.1


@dataclass
class Verdict:
    """What came of one run."""

    seed: int
    violations: list[str]
    simulated_s: float
    cpu_s: float
    digest: int
    counts: dict[str, int]
    faults: dict[str, int] = field(default_factory=dict)


Script = Callable[[World, Chaos], Awaitable[None]]


def run_seed(seed: int, tell: Callable[[str], None] | None = None) -> Verdict:
    """Run the random history of a seed."""
    return run(options_of(seed), _random_history, tell)


async def _random_history(world: World, chaos: Chaos) -> None:
    await chaos.random_faults()


def run(options: Options, script: Script, tell: Callable[[str], None] | None = None) -> Verdict:
    """Run a script of faults in a world; then calm it and wait until it is at rest."""
    started = time.process_time()
    world = World(options, tell)
    chaos = Chaos(world)
    with _sealed(options, world):
        main = world.loop.create_task(_play(world, chaos, script))
        try:
            world.loop.run_until_complete(main)
        except Stuck as error:
            world.found("10", str(error))
        except RuntimeError:
            if not world.violations:  # stopped by a verdict
                raise
        finally:
            main.cancel()
        verdict = Verdict(
            options.seed, world.violations, world.loop.now_s, time.process_time() - started,
            world.story.digest, world.ledger.counts, dict(chaos.counts),
        )  # fmt: skip
        world.close()
    return verdict


async def _play(world: World, chaos: Chaos, script: Script) -> None:
    world.story.say("world", "seed %d: %s", world.options.seed, world.options)
    world.boot()
    await script(world, chaos)
    world.story.say("world", "the last fault is over")
    chaos.end()
    await asyncio.sleep(_TAIL_S)
    world.has_traffic = False
    calm_until_s = world.loop.now_s + CALM_MAX_S
    while why := world.unfinished():
        if world.loop.now_s > calm_until_s:
            world.found("10", f"{CALM_MAX_S:.0f} s after the last fault: {why}")
            return
        await asyncio.sleep(_LOOK_S)
        world.resend_statuses()
    world.check_end()
    world.story.say("world", "at rest: %s", world.ledger.counts)


@contextmanager
def _sealed(options: Options, world: World) -> Iterator[None]:
    """Take from the product what would make two runs differ, and listen to its log."""
    log, level = logging.getLogger("multiconnect"), logging.getLogger("multiconnect").level
    handler = StoryLog(world.story)
    before = router_module.secrets, router_module.ROUTER_PARKED_BYTES_MAX
    router_module.secrets = _Drawn()  # type: ignore[assignment]
    router_module.ROUTER_PARKED_BYTES_MAX = options.parked_max_bytes  # type: ignore[misc]
    propagate, log.propagate = log.propagate, False
    if world.story.is_told:
        log.setLevel(logging.INFO)
        log.addHandler(handler)
    else:
        log.setLevel(logging.CRITICAL + 1)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        router_module.secrets, router_module.ROUTER_PARKED_BYTES_MAX = before  # type: ignore[misc]


class _Drawn:
    """In the place of `secrets`: bits of the process that asks."""

    @staticmethod
    def randbits(count: int) -> int:
        return current().rng.getrandbits(count)
