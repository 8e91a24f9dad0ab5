"""`multiconnect drain NODE`: relieve a CoreApp, or a whole host, of its slots, in order."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import add_store_arguments, opened, run_async, wait_for
from multiconnect.cli.exits import CommandError, Exit
from multiconnect.cli.output import say
from multiconnect.errors import Refused
from multiconnect.limits import SET_SHARDS_TIMEOUT_S
from multiconnect.model.cluster import Node, NodeState, Role, Snapshot

HELP = "hand a CoreApp's slots to others and replace it, or empty a whole host (its supervisor)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_store_arguments(parser)
    parser.add_argument(
        "node", metavar="NODE", help="a CoreApp by name or incarnation, or a host by its name"
    )
    parser.add_argument(
        "--timeout", type=float, default=SET_SHARDS_TIMEOUT_S, metavar="SECONDS",
        help="how long to wait until it is done (default: %(default)g)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Drain and wait."""
    return run_async(_drain(options))


async def _drain(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        snapshot = await store.control.snapshot()
        node = find_node(snapshot, options.node)
        check_drain(snapshot, node)
        await store.control.set_node_state(node.incarnation, NodeState.LEAVING, "drained by hand")
        say(f"draining {node.incarnation} on {node.host}")
        await wait_for(
            store.control,
            lambda now: is_drained(now, node),
            timeout_s=options.timeout,
            what=f"{node.incarnation} is not drained",
        )
    say(f"{node.incarnation} owns nothing any more")
    return Exit.OK


def find_node(snapshot: Snapshot, text: str) -> Node:
    """Return the live CoreApp or supervisor that is meant; a host's name means its supervisor."""
    live = [node for node in snapshot.nodes if node.state != NodeState.DEAD]
    named = [node for node in live if text in (node.incarnation, node.name)]
    hosts = [node for node in live if node.role == Role.SUPERVISOR and node.host == text]
    found = named or hosts
    if not found:
        raise CommandError(
            Exit.NOT_FOUND, f"no live process or host is called {text!r}; see `multiconnect status`"
        )
    if len(found) > 1:
        names = ", ".join(f"{node.incarnation} on {node.host}" for node in found)
        raise CommandError(Exit.USAGE, f"{text!r} may be {names}; give the incarnation")
    return found[0]


def check_drain(snapshot: Snapshot, node: Node) -> None:
    """Raise Refused when nobody could take over, or when there is nothing to hand over."""
    if node.role not in (Role.COREAPP, Role.SUPERVISOR):
        raise Refused(f"{node.name} is a {node.role}, which owns no slots; drain a CoreApp or host")
    others = [
        other
        for other in snapshot.nodes
        if other.role == Role.COREAPP
        and other.state == NodeState.READY
        and (other.host != node.host if node.role == Role.SUPERVISOR else other != node)
    ]
    if not others:
        raise Refused(
            f"no other CoreApp is ready to take the slots of {node.name}; start one with "
            "`multiconnect node --coreapps 1` and repeat"
        )


def is_drained(snapshot: Snapshot, node: Node) -> bool:
    """Return whether the node has nothing left: no slot, or (a host) no process."""
    if node.role == Role.SUPERVISOR:
        own = snapshot.node(node.incarnation)
        return own is None or own.state == NodeState.DEAD
    return all(node.incarnation not in (row.owner, row.drain_to) for row in snapshot.slots)
