"""`multiconnect node`: one more host for a cluster that exists."""

from __future__ import annotations

import argparse
from typing import Final

from multiconnect.cli.cluster import resolved
from multiconnect.cli.output import say
from multiconnect.cli.up import add_setting_flags
from multiconnect.config.settings import cluster_settings

HELP = "start this host's processes for an existing cluster: CoreApps join as spares"
_NOT_HERE: Final = frozenset({"shards", "spares"})
#: What differs from `up`: one of each, the cluster's upstream, a port of its own.
NODE_DEFAULTS: Final = {"masters": "1", "upstream": "", "data_dir": "multiconnect-node"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting of a host."""
    add_setting_flags(parser, _NOT_HERE)


def run(options: argparse.Namespace) -> int:
    """Start and serve."""
    from multiconnect.cli.exits import CommandError, Exit
    from multiconnect.supervisor.launch import run as run_supervisor

    found = resolved(options, NODE_DEFAULTS)
    if not found.is_set("store"):
        raise CommandError(
            Exit.USAGE,
            "store is not set; `node` joins an existing cluster: say which with --store URL or "
            "MULTICONNECT_STORE",
        )
    return run_supervisor(cluster_settings(found), founding=False, say=say)
