"""`multiconnect status`: the cluster as it is now."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from typing import Any, Final

from multiconnect.cli.cluster import add_json_argument, add_store_arguments, opened, run_async
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, paint, ranges, say, table
from multiconnect.control.health import ClusterDescription, ClusterState, NodeDescription, describe
from multiconnect.model.cluster import Snapshot
from multiconnect.supervisor import identity
from multiconnect.supervisor.host import process_facts, proof_of_death

HELP = "show the cluster: state, shards, Master, processes"
_REFRESH_S: Final = 1.0
_CLEAR: Final = "\033[H\033[2J"
_COLOURS: Final = {
    ClusterState.OK: "green",
    ClusterState.MOVING: "yellow",
    ClusterState.DEGRADED: "yellow",
    ClusterState.NO_OWNER: "red",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_store_arguments(parser)
    add_json_argument(parser)
    parser.add_argument("--watch", action="store_true", help="show it again whenever it changes")


def run(options: argparse.Namespace) -> int:
    """Show the status, once or for as long as somebody watches."""
    return run_async(_show(options))


async def _show(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        shown = ""
        while True:
            snapshot = await store.control.snapshot()
            text = await asyncio.to_thread(_text, snapshot, options)
            if text != shown:
                emit((_CLEAR if options.watch and sys.stdout.isatty() else "") + text)
                shown = text
            if not options.watch:
                return Exit.OK
            await store.control.changed(_REFRESH_S)


def _text(snapshot: Snapshot, options: argparse.Namespace) -> str:
    gone = vanished(snapshot)
    description = describe(snapshot)
    live = [node for node in description.live if node.incarnation not in gone]
    if not live:
        say("no process of this cluster is running; start it with `multiconnect up`")
    if options.json:
        return json.dumps(as_json(description, gone))
    return _as_text(description, gone)


def vanished(snapshot: Snapshot) -> dict[str, str]:
    """Return rows of this machine whose process is gone, with the proof; nobody told the store."""
    host, boot = identity.host_name(), identity.boot_id()
    found: dict[str, str] = {}
    for node in snapshot.nodes:
        if node.host == host and node.state != "dead":
            proof = proof_of_death(node, boot, process_facts(node.pid))
            if proof:
                found[node.incarnation] = proof
    return found


def as_json(description: ClusterDescription, gone: dict[str, str]) -> dict[str, Any]:
    """Return the status as JSON; dead processes are left out."""
    return {
        "state": str(description.state),
        "detail": description.detail,
        "cluster": description.cluster,
        "shards": description.shards,
        "target_shards": description.target_shards,
        "map_version": description.map_version,
        "generation": description.generation,
        "term": description.term,
        "master": description.master,
        "nodes": [_node_json(node, gone) for node in description.live],
    }


def _node_json(node: NodeDescription, gone: dict[str, str]) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": str(node.role),
        "pid": node.pid,
        "host": node.host,
        "state": "gone" if node.incarnation in gone else node.state,
        "shards": list(node.shards),
        "epochs": {str(shard): epoch for shard, epoch in (node.epochs or {}).items()},
        "generation": node.generation,
        "incarnation": node.incarnation,
    }


def _as_text(description: ClusterDescription, gone: dict[str, str]) -> str:
    state = paint(str(description.state), _COLOURS[description.state])
    head = (
        f"{state}: {description.detail}\n"
        f"shards {description.shards}, map version {description.map_version}, "
        f"generation {description.generation}, master {description.master or 'none'} "
        f"(term {description.term})\n"
    )
    # Two supervisors both have a "coreapp-1"; the incarnation tells them apart.
    times = Counter(node.name for node in description.live)
    rows = [
        (
            node.name if times[node.name] == 1 else node.incarnation,
            node.role,
            "gone" if node.incarnation in gone else node.state,
            ranges(node.shards),
            max((node.epochs or {}).values(), default="-"),
            node.generation,
            node.pid,
            node.host,
        )
        for node in description.live
    ]
    columns = ("NAME", "ROLE", "STATE", "SHARDS", "EPOCH", "GENERATION", "PID", "HOST")
    return f"{head}\n{table(columns, rows)}" if rows else head.rstrip()
