"""`multiconnect simulator`: a stand-in for the Cloud API, which counts what it receives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

HELP = "run the simulator of the Cloud API alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take everything: the simulator parses its own arguments."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Run the simulator until told to stop."""
    return run_with(options.arguments)


def run_with(arguments: Sequence[str]) -> int:
    """Run the simulator with its own arguments."""
    from multiconnect.upstream.simulator.process import main as simulate

    try:
        return simulate(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
