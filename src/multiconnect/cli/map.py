"""`multiconnect map`: who owns each slot, under which epoch."""

from __future__ import annotations

import argparse
from typing import Any

from multiconnect.cli.cluster import add_json_argument, add_store_arguments, opened, run_async
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, emit_json, table
from multiconnect.model.cluster import Snapshot

HELP = "show the shard map: slot, shard, epoch, owner"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_store_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Show the map."""
    return run_async(_show(options))


async def _show(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        found = as_json(await store.control.snapshot())
    if options.json:
        emit_json(found)
        return Exit.OK
    columns = ("slot", "shard", "epoch", "owner", "address", "drain_to")
    rows = [[slot[column] or "-" if column not in ("slot", "shard", "epoch") else slot[column]
             for column in columns] for slot in found["slots"]]  # fmt: skip
    emit(f"map version {found['version']}, {found['shards']} shards\n")
    emit(table([column.upper() for column in columns], rows))
    return Exit.OK


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the map as JSON."""
    shard_map = snapshot.shard_map()
    slots = []
    for row, ownership in zip(snapshot.slots, shard_map.slots, strict=True):
        owner, heir = ownership.owner, snapshot.node(row.drain_to)
        slots.append(
            {
                "slot": row.slot,
                "shard": shard_map.shard_of_slot(row.slot),
                "epoch": row.epoch,
                "owner": owner.name if owner else None,
                "incarnation": row.owner,
                "address": owner.address if owner else None,
                "drain_to": heir.name if heir else None,
            }
        )
    return {"version": shard_map.version, "shards": shard_map.shards, "slots": slots}
