"""`multiconnect find RECIPIENT`: where a recipient's messages go."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import add_json_argument, add_store_arguments, opened, run_async
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, emit_json

HELP = "show a recipient's canonical form, slot, shard and owner"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recipient", metavar="RECIPIENT", help="phone number or user id")
    add_store_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Find."""
    return run_async(_find(options))


async def _find(options: argparse.Namespace) -> int:
    from multiconnect import canonical, shard_of
    from multiconnect.limits import SLOTS

    recipient = canonical(options.recipient)
    slot = shard_of(recipient, SLOTS)
    async with opened(options) as store:
        shard_map = (await store.control.snapshot()).shard_map()
    ownership = shard_map.slots[slot]
    found = {
        "recipient": recipient,
        "slot": slot,
        "shard": shard_map.shard_of_slot(slot),
        "owner": ownership.owner.name if ownership.owner else None,
        "incarnation": ownership.owner.incarnation if ownership.owner else None,
        "epoch": ownership.epoch,
    }
    if options.json:
        emit_json(found)
    else:
        for key, value in found.items():
            emit(f"{key:<12}{'-' if value is None else value}")
    return Exit.OK
