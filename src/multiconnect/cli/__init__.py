"""The command line: `multiconnect <command>`.

Data goes to stdout, progress and hints to stderr. Exit codes are in `exits.py`; an error says what
happened, why, and the next command to run. One file per command: it declares its arguments and
runs; what it does with a cluster it leaves to the packages below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from multiconnect.cli import (
    config,
    db,
    demo,
    drain,
    find,
    map,  # noqa: A004 -- a command's file is called what the command is called
    message,
    node,
    restart,
    send,
    shards,
    simulator,
    status,
    up,
    users,
)
from multiconnect.cli.exits import Exit, run_to_exit

#: In the order of the help. Each module has HELP, `add_arguments(parser)` and `run(options)`.
COMMANDS: Final[dict[str, ModuleType]] = {
    "up": up,
    "node": node,
    "simulator": simulator,
    "status": status,
    "map": map,
    "shards": shards,
    "restart": restart,
    "drain": drain,
    "send": send,
    "message": message,
    "find": find,
    "users": users,
    "config": config,
    "db": db,
    "demo": demo,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["simulator"]:
        # The simulator has a command line of its own; it is not parsed twice.
        return run_to_exit(lambda: simulator.run_with(given[1:]))
    try:
        options = argument_parser().parse_args(given)
    except SystemExit as stop:
        return int(stop.code or 0)
    return run_to_exit(lambda: COMMANDS[options.command].run(options))


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="multiconnect",
        description="Sharded message routing: one fenced owner per recipient, in order, "
        "nothing lost.",
        epilog="Exit codes: " + ", ".join(f"{code} {code.words}" for code in Exit),
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name, help=module.HELP, description=module.HELP, allow_abbrev=False
        )
        module.add_arguments(command)
    return parser
