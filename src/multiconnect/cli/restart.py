"""`multiconnect restart`: every CoreApp replaced by a new one, one slot at a time, under load."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import add_store_arguments, opened, run_async, wait_for
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import say
from multiconnect.cli.shards import is_in_force, wish
from multiconnect.limits import SET_SHARDS_TIMEOUT_S

HELP = "replace every CoreApp by a new one, without stopping traffic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_store_arguments(parser)
    parser.add_argument(
        "--timeout", type=float, default=SET_SHARDS_TIMEOUT_S, metavar="SECONDS",
        help="how long to wait until it is done (default: %(default)g)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Restart and wait."""
    return run_async(_restart(options))


async def _restart(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        shards = (await store.control.snapshot()).cluster.target_shards
        await wish(store.control, shards)
        generation = (await store.control.snapshot()).cluster.generation
        say(f"starting generation {generation} beside the running CoreApps; traffic goes on")
        await wait_for(
            store.control,
            lambda now: (
                now.cluster.generation >= generation and is_in_force(now, now.cluster.target_shards)
            ),
            timeout_s=options.timeout,
            what=f"generation {generation} has not taken over",
        )
    say(f"generation {generation} has taken over")
    return Exit.OK
