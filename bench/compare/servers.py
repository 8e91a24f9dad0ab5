"""Servers of peers: on loopback, data on the disk of the checkout, ended by their pid."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from bench.compare.install import Program, server_program
from bench.processes import end

START_MAX_S = 15.0


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Run Redis, every command on disk before its answer (appendfsync always); yield its port."""
    port = free_port()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        # No snapshots: they would fork and copy in the middle of a round.
        "save": "",
        "auto-aof-rewrite-percentage": "0",
        "daemonize": "no",
    }
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    with _running(server_program("redis-server"), arguments, folder / "redis.log", port):
        yield port


@contextmanager
def nats(folder: Path) -> Iterator[int]:
    """Run nats-server with JetStream; yield its port."""
    port = free_port()
    arguments = ["-js", "-sd", str(folder / "jetstream"), "-a", "127.0.0.1", "-p", str(port)]
    with _running(server_program("nats-server"), arguments, folder / "nats.log", port):
        yield port


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _running(program: Program, arguments: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program.path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=os.environ | program.env,
        )
    try:
        _until_it_listens(process, port, log)
        yield
    finally:
        end(process)


def _until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = monotonic() + START_MAX_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the server does not listen on {port}:\n{said}") from None
            sleep(0.02)
