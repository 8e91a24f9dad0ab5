"""`multiconnect shards get|set N`: how many shards there are, and changing that under load."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import (
    add_json_argument,
    add_store_arguments,
    opened,
    run_async,
    wait_for,
)
from multiconnect.cli.exits import CommandError, Exit
from multiconnect.cli.output import emit, emit_json, say
from multiconnect.config.options import shards as shard_count
from multiconnect.control.resize import check_set_shards
from multiconnect.errors import InvalidShards, Refused
from multiconnect.limits import SET_SHARDS_TIMEOUT_S
from multiconnect.model.cluster import Snapshot
from multiconnect.store.port import ControlStore
from multiconnect.supervisor.generations import has_settled

HELP = "show or set the number of shards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="get|set", required=True)
    get = actions.add_parser("get", help="show how many shards are in force")
    add_json_argument(get)
    change = actions.add_parser("set", help="change the number of shards; traffic goes on")
    change.add_argument("shards", metavar="N", help="1, 2, 4, 8, 16 or 32")
    change.add_argument(
        "--timeout", type=float, default=SET_SHARDS_TIMEOUT_S, metavar="SECONDS",
        help="how long to wait until it is in force (default: %(default)g)",
    )  # fmt: skip
    for action in (get, change):
        add_store_arguments(action)


def run(options: argparse.Namespace) -> int:
    """Show or change."""
    return run_async(_get(options) if options.action == "get" else _set(options))


async def _get(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        cluster = (await store.control.snapshot()).cluster
    if options.json:
        emit_json({"shards": cluster.shards, "target_shards": cluster.target_shards})
    else:
        emit(str(cluster.shards))
    return Exit.OK


async def _set(options: argparse.Namespace) -> int:
    try:
        shards = shard_count(options.shards)
    except ValueError as error:
        raise InvalidShards(f"shards is {options.shards!r}; expected {error}") from None
    async with opened(options) as store:
        snapshot = await store.control.snapshot()
        if not is_in_force(snapshot, shards):
            if snapshot.cluster.target_shards != shards:
                await wish(store.control, shards)
            say(f"moving from {snapshot.cluster.shards} to {shards} shards; traffic goes on")
            await wait_for(
                store.control,
                lambda now: is_in_force(now, shards) or _overtaken(now, shards),
                timeout_s=options.timeout,
                what=f"{shards} shards are not in force",
            )
    emit(str(shards))
    return Exit.OK


async def wish(control: ControlStore, shards: int) -> None:
    """Set the target, one generation on; raise Refused with the reason when it cannot be now."""
    while True:
        snapshot = await control.snapshot()
        refusal = check_set_shards(snapshot, shards)
        if refusal is not None:
            raise Refused(refusal)
        if await control.set_target(shards, snapshot.cluster.generation) is not None:
            return


def is_in_force(snapshot: Snapshot, shards: int) -> bool:
    """Return whether the cluster has exactly these shards and nothing is on the move."""
    cluster = snapshot.cluster
    return cluster.shards == shards and has_settled(snapshot, cluster.generation)


def _overtaken(snapshot: Snapshot, shards: int) -> bool:
    """Raise when somebody asked for another number meanwhile: the last target wins."""
    target = snapshot.cluster.target_shards
    if target != shards:
        raise CommandError(
            Exit.REFUSED, f"somebody asked for {target} shards meanwhile, and the last one wins"
        )
    return False
