"""The simulator as a process: arguments, signals, and an end that always comes.

It ends with code 0 on SIGTERM and SIGINT, and when the pipe to its parent closes, so that it never
outlives whoever started it. The ready file appears only once the address is served.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from multiconnect.errors import InvalidSettings
from multiconnect.loop import new_event_loop
from multiconnect.upstream.simulator.control import webhook_target
from multiconnect.upstream.simulator.faults import Script, parse_script
from multiconnect.upstream.simulator.server import SimulatorServer

SECRET_VARIABLE = "MULTICONNECT_SIMULATOR_APP_SECRET"
TOKEN_VARIABLE = "MULTICONNECT_SIMULATOR_TOKEN"


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; return the exit code (0 ended, 1 cannot listen, 2 usage)."""
    options = argument_parser().parse_args(arguments)
    try:
        server = _server_of(options)
    except (InvalidSettings, OSError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(server, options.ready_file, options.parent_pipe))
    except OSError as error:
        sys.stderr.write(f"simulator: cannot serve {options.listen}: {error.strerror}\n")
        return 1
    return 0


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="multiconnect simulator",
        description="Speak the Cloud API's send endpoint and count what arrives.",
        epilog=f"The webhook's app secret may also come from {SECRET_VARIABLE}, and a bearer token "
        f"to insist on from {TOKEN_VARIABLE}.",
    )
    add = parser.add_argument
    add("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: a free local port")
    add("--faults", type=Path, metavar="FILE", help="fault script, JSON (docs/upstream.md)")
    add("--webhook", metavar="URL", help="where status and inbound webhooks go")
    add("--app-secret-file", type=Path, metavar="FILE", help="secret that signs the webhooks")
    add("--ready-file", type=Path, metavar="PATH", help='written when serving: {"url","pid"}')
    add("--parent-pipe", type=int, metavar="FD", help="end when this pipe is closed")
    return parser


async def _serve(server: SimulatorServer, ready_file: Path | None, parent_pipe: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_pipe is not None:
        loop.add_reader(parent_pipe, _on_pipe, parent_pipe, stop)
    async with server:
        sys.stderr.write(f"simulator: serving {server.url}\n")
        if ready_file is not None:
            _write_ready(ready_file, server.url)
        await stop.wait()
        if parent_pipe is not None:
            loop.remove_reader(parent_pipe)


def _on_pipe(pipe: int, stop: asyncio.Event) -> None:
    # Nothing is ever written into it; end of file means that the parent is gone.
    try:
        gone = not os.read(pipe, 64)
    except BlockingIOError:
        return
    except OSError:
        gone = True
    if gone:
        stop.set()


def _write_ready(path: Path, url: str) -> None:
    # Renamed into place: a reader sees all of it or nothing.
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(orjson.dumps({"url": url, "pid": os.getpid()}))
    temporary.replace(path)


def _server_of(options: argparse.Namespace) -> SimulatorServer:
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidSettings(f"--listen is {options.listen!r}; expected HOST:PORT")
    script = parse_script(orjson.loads(options.faults.read_bytes())) if options.faults else Script()
    secret = os.environ.get(SECRET_VARIABLE, "")
    if options.app_secret_file:
        secret = options.app_secret_file.read_text(encoding="utf-8").strip()
    webhook = {"url": options.webhook, "app_secret": secret} if options.webhook else None
    return SimulatorServer(
        host.strip("[]"),
        int(port),
        script=script,
        token=os.environ.get(TOKEN_VARIABLE, ""),
        webhook=webhook_target(webhook),
    )
