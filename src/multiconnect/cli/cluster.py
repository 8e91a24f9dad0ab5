"""Reaching a cluster from the command line: which store, opened, and waiting for it to change."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from multiconnect.cli.exits import CommandError, Exit
from multiconnect.config.options import BY_NAME, Option
from multiconnect.config.settings import store_url
from multiconnect.config.sources import Resolved, resolve
from multiconnect.errors import InvalidSettings, Unavailable
from multiconnect.loop import new_event_loop
from multiconnect.model.cluster import Snapshot
from multiconnect.model.lane_credentials import LaneCredentials
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore, Store

_SQLITE: Final = "sqlite:///"
_LOOK_S: Final = 0.25


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which cluster is meant."""
    for name in ("store", "data_dir"):
        option = BY_NAME[name]
        help_text = f"{option.help} [{option.variable}]"
        parser.add_argument(option.flag, metavar=option.metavar, help=help_text)
    parser.add_argument("--config", metavar="FILE", help="settings (default: multiconnect.toml)")


def add_secret_flag(parser: argparse.ArgumentParser, option: Option) -> None:
    """Add the flag that names the file of a secret; the secret itself is never a flag."""
    text = f"file that holds: {option.help} [{option.variable}]".replace("%", "%%")
    parser.add_argument(option.file_flag, metavar="FILE", help=text)


def add_lane_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a command needs to send through owners on other machines."""
    add_secret_flag(parser, BY_NAME["lane_secret"])
    for name in ("lane_tls_cert", "lane_tls_key", "lane_tls_ca"):
        option = BY_NAME[name]
        text = f"{option.help} [{option.variable}]"
        parser.add_argument(option.flag, metavar=option.metavar, help=text)


def lane_credentials(found: Resolved) -> LaneCredentials:
    """Return what the settings say of lanes between hosts."""
    names = ("lane_secret", "lane_tls_cert", "lane_tls_key", "lane_tls_ca")
    return LaneCredentials.parse(*(str(found.values[name]) for name in names))


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add --json to a command that reads."""
    parser.add_argument("--json", action="store_true", help="write JSON")


def resolved(options: argparse.Namespace, defaults: dict[str, str] | None = None) -> Resolved:
    """Return all settings from the flags given and everything below them."""
    return resolve(vars(options), os.environ, directory=Path.cwd(), defaults=defaults)


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


@contextlib.asynccontextmanager
async def opened(options: argparse.Namespace) -> AsyncIterator[Store]:
    """Open the store meant; a SQLite store that does not exist is not made on the way."""
    url = store_url(resolved(options))
    check_exists(url)
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.aclose()


def check_exists(url: str) -> None:
    """Raise when the URL names a SQLite file that is not there, or a store of another process."""
    if url.startswith("memory:"):
        raise InvalidSettings("store memory:// lives inside another process; it cannot be reached")
    path = Path(url.removeprefix(_SQLITE))
    if url.startswith(_SQLITE) and not path.is_file():
        raise CommandError(
            Exit.UNREACHABLE,
            f"there is no cluster at {path}; start one with `multiconnect up`, or say which "
            "with --store or MULTICONNECT_STORE",
        )


async def wait_for(
    control: ControlStore,
    is_done: Callable[[Snapshot], bool],
    *,
    timeout_s: float,
    what: str,
) -> Snapshot:
    """Wait until a snapshot satisfies `is_done`; past the timeout exit 6 says `what` is not so."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while True:
        try:
            snapshot = await control.snapshot()
            if is_done(snapshot):
                return snapshot
            left_s = deadline_s - loop.time()
            if left_s > 0:
                await control.changed(min(left_s, _LOOK_S))
        except Unavailable:
            await asyncio.sleep(_LOOK_S)
        if loop.time() >= deadline_s:
            raise CommandError(
                Exit.TIMEOUT,
                f"{what} after {timeout_s:g} s; it goes on by itself: `multiconnect status` "
                "shows how far it is",
            )
