"""`multiconnect config show [--origins]`: the settings in force, and where each came from."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import add_json_argument, resolved
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, emit_json, table
from multiconnect.config.options import BY_NAME, Value
from multiconnect.observe.log import redact

HELP = "show the settings and where each came from"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="show", required=True)
    show = actions.add_parser("show", help=HELP)
    show.add_argument("--origins", action="store_true", help="say where each value came from")
    show.add_argument("--config", metavar="FILE", help="settings (default: multiconnect.toml)")
    add_json_argument(show)


def run(options: argparse.Namespace) -> int:
    """Show every setting; secrets only as set or not."""
    found = resolved(options)
    shown = {name: _shown(name, value) for name, value in found.values.items()}
    if options.json:
        if options.origins:
            emit_json({n: {"value": v, "origin": found.origins[n]} for n, v in shown.items()})
        else:
            emit_json(shown)
    elif options.origins:
        rows = [(name, _text(value), found.origins[name]) for name, value in shown.items()]
        emit(table(("SETTING", "VALUE", "ORIGIN"), rows))
    else:
        emit(table(("SETTING", "VALUE"), [(name, _text(v)) for name, v in shown.items()]))
    return Exit.OK


def _shown(name: str, value: Value) -> Value:
    if BY_NAME[name].secret:
        return "***" if value else ""
    return redact(value) if name == "store" and isinstance(value, str) else value


def _text(value: Value) -> str:
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "-"
