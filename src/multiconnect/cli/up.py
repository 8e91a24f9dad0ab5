"""`multiconnect up`: a whole cluster on this machine, from nothing if need be."""

from __future__ import annotations

import argparse
import os
from typing import Final

from multiconnect.cli.cluster import add_secret_flag, resolved
from multiconnect.cli.output import say
from multiconnect.config.options import OPTIONS
from multiconnect.config.settings import cluster_settings

HELP = "start a cluster on this machine and serve until told to stop"
#: The variable by which whoever starts `up` asks it not to outlive them.
DIE_WITH_PARENT: Final = "MULTICONNECT_DIE_WITH_PARENT"
_NOT_HERE: Final = frozenset({"coreapps"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting of a cluster."""
    add_setting_flags(parser, _NOT_HERE)


def run(options: argparse.Namespace) -> int:
    """Start and serve."""
    from multiconnect.supervisor.launch import run as run_supervisor
    from multiconnect.supervisor.liveness import die_with_parent

    if os.environ.pop(DIE_WITH_PARENT, ""):
        die_with_parent()
    return run_supervisor(cluster_settings(resolved(options)), founding=True, say=say)


def add_setting_flags(parser: argparse.ArgumentParser, left_out: frozenset[str]) -> None:
    """Add the settings' flags but those left out; of secrets a file is named, not the value."""
    for option in OPTIONS:
        if option.name in left_out:
            continue
        if option.secret:
            add_secret_flag(parser, option)
            continue
        default = f" (default: {option.default})" if option.default not in ("", "auto") else ""
        text = f"{option.help}{default}".replace("%", "%%")
        parser.add_argument(option.flag, metavar=option.metavar, help=text)
    parser.add_argument("--config", metavar="FILE", help="settings (default: multiconnect.toml)")
