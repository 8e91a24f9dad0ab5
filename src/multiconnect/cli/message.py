"""`multiconnect message show ID`: the whole road of one message."""

from __future__ import annotations

import argparse
import time
from typing import Any

from multiconnect.cli.cluster import add_json_argument, add_store_arguments, opened, run_async
from multiconnect.cli.exits import CommandError, Exit
from multiconnect.cli.output import emit, emit_json
from multiconnect.model.cluster import Snapshot
from multiconnect.model.log import StoredMessage
from multiconnect.model.message import DUPLICATE_FLAG, STATE_MASK, State, Stream
from multiconnect.model.message_id import MessageAddress, decode_id

HELP = "show what became of a message"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="show", required=True)
    show = actions.add_parser("show", help=HELP)
    show.add_argument("id", metavar="ID", help="the id that `send` or POST /v1/messages returned")
    add_store_arguments(show)
    add_json_argument(show)


def run(options: argparse.Namespace) -> int:
    """Show one message."""
    return run_async(_show(options))


async def _show(options: argparse.Namespace) -> int:
    address = decode_id(options.id)
    if address is None:
        raise CommandError(Exit.NOT_FOUND, f"{options.id!r} is no message id of this system")
    async with opened(options) as store:
        snapshot = await store.control.snapshot()
        if address.cluster != snapshot.cluster.cluster:
            raise CommandError(
                Exit.NOT_FOUND, "this id belongs to another cluster; say which with --store"
            )
        # A name that owns nothing: it reads what any owner wrote.
        log = await store.log("multiconnect-cli")
        stream = Stream(address.stream)
        found = await log.find_message(stream, address.slot, address.sequence)
    if found is None:
        raise CommandError(Exit.NOT_FOUND, "no such message is stored; states are kept for 7 days")
    road = as_json(options.id, address, found, snapshot)
    if options.json:
        emit_json(road)
    else:
        for key, value in road.items():
            emit(f"{key:<20}{'-' if value is None else value}")
    return Exit.OK


def as_json(
    message_id: str, address: MessageAddress, found: StoredMessage, snapshot: Snapshot
) -> dict[str, Any]:
    """Return what is known of a message; recipient and text stay in the store."""
    batch = found.batch
    byte = batch.states[found.sequence - batch.base_seq]
    shard_map = snapshot.shard_map()
    owner = shard_map.slots[address.slot].owner
    return {
        "id": message_id,
        "stream": Stream(address.stream).name.lower(),
        "state": State(byte & STATE_MASK).name.lower(),
        "possible_duplicate": bool(byte & DUPLICATE_FLAG),
        "slot": address.slot,
        "shard": shard_map.shard_of_slot(address.slot),
        "sequence": address.sequence,
        "owner": owner.name if owner else None,
        "accepted_at": _utc(batch.accepted_at_ms),
        "upstream_id": found.upstream_id,
        "attempts": _attempts(found),
        "retry_due_at": _utc(found.retry.due_at_ms) if found.retry else None,
        "reason": _reason(found),
        "code": _code(found),
        "body_kept": batch.body is not None,
        "batch": {"base": batch.base_seq, "count": batch.count},
    }


def _attempts(found: StoredMessage) -> int | None:
    noted = found.failure or found.retry
    return noted.attempts if noted else None


def _reason(found: StoredMessage) -> str | None:
    noted = found.failure or found.retry
    return noted.reason if noted else None


def _code(found: StoredMessage) -> int | None:
    noted = found.failure or found.retry
    return noted.code if noted else None


def _utc(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000)) + f".{at_ms % 1000:03d}Z"
