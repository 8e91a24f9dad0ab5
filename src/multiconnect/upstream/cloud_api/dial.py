"""From a host name to a connected socket, whichever of its addresses answers.

A host often has addresses of both families, of which one leads nowhere. They are tried in turns of
the families, the next one as soon as those before have failed or kept silent for a moment; the
first that answers is taken. (uvloop's own way is one after the other, each to its bitter end.)
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

from multiconnect.limits import UPSTREAM_ADDRESS_HEAD_START_S

#: What getaddrinfo says of one address: family, type, protocol, name, address.
Info = tuple[int, int, int, str, Any]


async def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket connected to the host; raises OSError, that of the last address to fail."""
    loop = asyncio.get_running_loop()
    waiting = deque(in_turns(await look_up(host, port)))
    running: set[asyncio.Task[socket.socket]] = set()
    error: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(_connect(waiting.popleft())))
            head_start_s = UPSTREAM_ADDRESS_HEAD_START_S if waiting else None
            await asyncio.wait(running, timeout=head_start_s, return_when=asyncio.FIRST_COMPLETED)
            for task in [one for one in running if one.done()]:
                running.discard(task)
                error = task.exception()
                if error is None:
                    return task.result()
    finally:
        _give_up(running)
    raise error or OSError("the host has no address")


async def look_up(host: str, port: int) -> Sequence[Info]:
    """Return the addresses of a host; raises OSError."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def in_turns(infos: Sequence[Info]) -> list[Info]:
    """Return the addresses in turns of their families, the family named first in front."""
    families: dict[int, list[Info]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [info for info in turns if info is not None]


async def _connect(info: Info) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _give_up(running: Iterable[asyncio.Task[socket.socket]]) -> None:
    for task in running:
        task.cancel()
        task.add_done_callback(_close_result)


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
