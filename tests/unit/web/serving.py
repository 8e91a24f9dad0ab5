"""A real server on loopback over a memory store, and a client that sends what it is told to."""

import asyncio
import base64
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson

from multiconnect.clock import SystemClock
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from multiconnect.web.account import Account, register_account
from multiconnect.web.auth import issue_token
from multiconnect.web.passwords import hash_password
from multiconnect.web.principal import UserRole
from multiconnect.web.server import WebServer
from multiconnect.web.settings import WebSettings
from multiconnect.web.users import store_new_user
from tests.unit.web.sender import MemorySender

PASSWORD = "Correct-horse-1"
CERT = base64.b64encode(b"a certificate").decode()
ACCOUNT = Account("1", "6315550000", CERT, "123456")
SETTINGS = WebSettings(
    node="web-1", api_key="monitoring-key", verify_token="agreed", app_secret="app secret"
)
WAIT_S = 15.0


class MovableClock(SystemClock):
    """The machine's clocks, moved by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def wall_ms(self) -> int:
        return super().wall_ms() + round(self.ahead_s * 1000)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found = self.json["errors"][0]
        assert set(found) == {"code", "title", "details"}
        return dict(found)


class Wire:
    """One connection; bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(WAIT_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            lines = raw.decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            length = 0 if head else int(headers["Content-Length"])
            body = await self.reader.readexactly(length)
        return Answer(int(lines[0].split()[1]), headers, body)

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def reset(self) -> None:
        """Be gone at once, so that the server learns of it by a reset and not by an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def aclose(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Served:
    """A server with its parts in reach."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.state = MemoryState(clock)
        self.control = MemoryControl(self.state)
        self.sender = MemorySender(0)
        self.server = WebServer(self.control, self.sender)
        self.admin = ""
        self.user = ""

    async def wire(self) -> Wire:
        return Wire(*await asyncio.open_connection(*self.server.address))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make one request on a connection of its own, as the admin unless told otherwise."""
        wire = await self.wire()
        try:
            await wire.send(
                request(
                    method,
                    path,
                    body,
                    token=self.admin if token is None else token,
                    headers=headers,
                )
            )
            return await wire.answer(head=method == "HEAD")
        finally:
            await wire.aclose()


def request(
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str = "",
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return a request as bytes; a body that is not bytes is written as JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    lines = {"Host": "test"}
    if token:
        lines["Authorization"] = token if " " in token else f"Bearer {token}"
    if data:
        lines["Content-Length"] = str(len(data))
    lines.update(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data


@cache
def password_hash() -> str:
    """Return the hash of PASSWORD, made once for all tests: it is slow on purpose."""
    return hash_password(PASSWORD)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def message(to: Any = "16315550000", text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"to": to, "type": "text", "text": {"body": text}, **more}


def node(name: str, role: Role = Role.COREAPP, generation: int = 0) -> Node:
    return Node(f"{name}-1", name, role, "host", 1, "unix:/x", generation, NodeState.READY)


async def populate(control: MemoryControl, coreapps: int = 3, owners: int = 2) -> None:
    """Two Masters, one of them primary; CoreApps of which some own all slots."""
    for name in ("master-1", "master-2"):
        await control.join(node(name, Role.MASTER))
    generation = await control.set_target(owners, 0)
    assert generation is not None
    names = [f"coreapp-{number}" for number in range(1, coreapps + 1)]
    for name in names:
        await control.join(node(name, generation=generation))
    term = await control.take_term("master-1-1", (await control.snapshot()).cluster.term)
    assert term is not None
    snapshot = await control.snapshot()
    moves = [
        Move(slot, snapshot.slots[slot].epoch, None, f"{names[slot % owners]}-1")
        for slot in range(SLOTS)
    ]
    assert await control.assign(moves, term, "test", shards=owners)


@contextlib.asynccontextmanager
async def serving(
    settings: WebSettings = SETTINGS, *, users: bool = True, **changes: Any
) -> AsyncIterator[Served]:
    """Start a server over a populated store."""
    served = Served(MovableClock())
    await populate(served.control)
    snapshot = await served.control.snapshot()
    served.sender = MemorySender(snapshot.cluster.cluster)
    await register_account(served.control, ACCOUNT)
    if users:
        for name, role in (("admin", UserRole.ADMIN), ("clerk", UserRole.USER)):
            assert await store_new_user(
                served.control, name, password_hash(), role, must_change=False
            )
        served.admin = (await issue_token(served.control, "admin")).token
        served.user = (await issue_token(served.control, "clerk")).token
    served.server = WebServer(
        served.control, served.sender, replace(settings, **changes), served.clock
    )
    await served.server.start()
    try:
        yield served
    finally:
        served.sender.gate.set()
        await served.server.stop()


async def until(condition: Any, what: str = "it") -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 -- any condition, of any part
            await asyncio.sleep(0.005)
    assert condition(), what
