"""Owners that listen, on one memory store, and a peer that says what a test likes."""

import asyncio
import contextlib

import orjson

from multiconnect._native import FrameReader, Packer, frame_header
from multiconnect.clock import SystemClock
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.listen import listen
from multiconnect.dataplane.wire import FrameType, json_frame
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.lane_credentials import NO_CREDENTIALS
from multiconnect.model.message import Outcome, Stream
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.upstream.callable import CallableUpstream

ALICE = "16315550001"


class Owner:
    """A CoreApp that listens."""

    def __init__(self, rig, name, app, server, address):
        self.name = name
        self.app = app
        self.address = address
        self._rig = rig
        self._server = server

    async def stop(self):
        """Go away like a process that ends: the listener and all connections at once."""
        self._server.close()
        await self.app.stop()
        self._rig.owners.remove(self)

    async def listen_again(self):
        self._server.close()
        for endpoint in list(self.app._endpoints):
            endpoint.abort()
        place = self.address.partition(":")[2]
        self._server, _ = await self._rig.listen(self.app, self.name, place)


class Rig:
    """One store, owners behind sockets, and what the upstream saw."""

    def __init__(self, tmp_path, scheme, credentials=NO_CREDENTIALS):
        #: What owners that listen from now on want to be shown.
        self.credentials = credentials
        self.state = MemoryState()
        self.store = MemoryStore(self.state)
        self.owners = []
        self.sent = []
        self._tmp_path = tmp_path
        self._scheme = scheme
        self._term = 0

    async def listen(self, app, name, place=""):
        if self._scheme == "tcp":
            place = place or "127.0.0.1"
            return await listen(app.new_endpoint, "", place, self.credentials, name)
        return await listen(app.new_endpoint, str(self._tmp_path / name), "")

    async def owner(self, name):
        store = MemoryStore(self.state)
        log = await store.log(name)
        upstream = CallableUpstream(self.deliver)
        app = CoreApp(name, store.control, log, upstream, Timers(), SystemClock())
        server, address = await self.listen(app, name)
        node = Node(name, name, Role.COREAPP, "h", 1, address, 0, NodeState.READY)
        assert await store.control.join(node)
        await app.start()
        owner = Owner(self, name, app, server, address)
        self.owners.append(owner)
        return owner

    async def deliver(self, messages):
        self.sent += [(m.recipient, m.payload["n"]) for m in messages]
        return [Outcome.sent(m.id) for m in messages]

    async def grant(self, name, slots=range(SLOTS)):
        control = self.store.control
        rows = (await control.snapshot()).slots
        if not self._term:
            self._term = await control.take_term(name, 0) or 0
        moves = [Move(s, rows[s].epoch, rows[s].owner, name) for s in slots]
        assert await control.assign(moves, self._term, "test", shards=4)

    async def bury(self, name):
        await self.store.control.set_node_state(name, NodeState.DEAD, "test")

    def is_drained(self, slot):
        return self.state.slots[slot].drained

    def stored(self):
        return sum(lane.next_seq for lane in self.state.lanes.values())

    async def aclose(self):
        for owner in list(self.owners):
            await owner.stop()


class Peer:
    """A connection on which a test says what it likes."""

    def __init__(self, reader, writer):
        self._frames = FrameReader()
        self._reader = reader
        self.writer = writer
        self.received = []

    @classmethod
    async def connect(cls, owner):
        scheme, _, place = owner.address.partition(":")
        if scheme == "unix":
            return cls(*await asyncio.open_unix_connection(place))
        host, port = place.rsplit(":", 1)
        return cls(*await asyncio.open_connection(host, int(port)))

    def hello(self, **changed):
        self.writer.write(json_frame(FrameType.HELLO, {"protocol": 1, "events": False} | changed))

    def submit(self, number, *batches):
        body = b"".join(batches)
        self.writer.write(frame_header(FrameType.SUBMIT, number, len(body)) + body)

    async def receive(self, count):
        """Return the next `count` frames."""
        async with asyncio.timeout(10):
            while len(self.received) < count:
                data = await self._reader.read(65536)
                assert data, "the owner hung up"
                self.received += self._frames.feed(data)
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    async def hung_up(self):
        """Wait until the owner has closed the connection; return what it said before."""
        found = b""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while data := await self._reader.read(65536):
                    found += data
        return found

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def batch(number=1, slot=3, payload=b'{"n":1}', producer=77):
    packer = Packer(Stream.OUTBOUND, orjson.dumps)
    packer.append_at(slot, ALICE, payload)
    data = packer.take(slot, producer, number, 0)
    assert data is not None
    return data
