"""`multiconnect db upgrade|check`: the store's schema, and whether what it holds makes sense."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import (
    add_json_argument,
    add_store_arguments,
    opened,
    resolved,
    run_async,
)
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, emit_json, say
from multiconnect.config.settings import store_url
from multiconnect.control.invariants import check_snapshot
from multiconnect.store.open import open_store

HELP = "bring the store's schema up to date, or check the store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="upgrade|check", required=True)
    upgrade = actions.add_parser("upgrade", help="make the store or bring its schema up to date")
    check = actions.add_parser("check", help="read the control state and check its invariants")
    for action in (upgrade, check):
        add_store_arguments(action)
    add_json_argument(check)


def run(options: argparse.Namespace) -> int:
    """Upgrade or check."""
    return run_async(_upgrade(options) if options.action == "upgrade" else _check(options))


async def _upgrade(options: argparse.Namespace) -> int:
    # Opening runs the migrations that are missing, under a lock, and refuses a newer schema.
    store = await open_store(store_url(resolved(options)))
    try:
        await store.control.snapshot()
    finally:
        await store.aclose()
    say("the schema is up to date")
    return Exit.OK


async def _check(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        snapshot = await store.control.snapshot()
    problems = check_snapshot(snapshot)
    if options.json:
        emit_json({"ok": not problems, "problems": problems})
    else:
        emit("\n".join(problems) or "ok")
    return Exit.FAILED if problems else Exit.OK
