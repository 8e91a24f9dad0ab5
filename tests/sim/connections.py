"""Stream connections over the simulated network, with the transports that protocols are given."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tests.sim.loop import SimLoop
from tests.sim.network import KERNEL, Lane, Network
from tests.sim.process import SimProcess, current

#: One write in so many arrives in two pieces.
_SLICED = 50


@dataclass
class _Listener:
    process: SimProcess
    new_protocol: Callable[[], Any]


class Connections:
    """Who listens where, and every connection there is."""

    def __init__(self, loop: SimLoop, network: Network) -> None:
        self.loop = loop
        self.network = network
        self._listeners: dict[str, _Listener] = {}
        self._open: list[Connection] = []
        loop.network = self

    def listen(self, process: SimProcess, address: str, new_protocol: Callable[[], Any]) -> None:
        """Accept connections; whoever listened there before is gone."""
        self._listeners[address] = _Listener(process, new_protocol)

    async def connect(self, address: str, factory: Callable[[], Any]) -> Any:
        """Connect the calling process; raises ConnectionRefusedError, or waits for ever."""
        client, listener = current(), self._listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens on {address}")
        answer = self.loop.create_future()
        self.network.post(
            client, listener.process, lambda: self._knock(client, listener, factory, answer),
            context=KERNEL,
        )  # fmt: skip
        return await answer

    def reset(self, one: str, other: str) -> int:
        """Break every connection between two processes, with all that is on its way."""
        broken = [c for c in self._open if c.joins(one, other)]
        for connection in broken:
            connection.reset()
        self._open = [c for c in self._open if c.is_open]
        return len(broken)

    def _knock(
        self, client: SimProcess, listener: _Listener, factory: Callable[[], Any],
        answer: asyncio.Future[Any],
    ) -> None:  # fmt: skip
        server = listener.process
        if not server.alive:
            self.network.post(server, client, lambda: _refuse(answer))
            return
        connection = Connection(self, client, server)
        self._open.append(connection)
        near, far = connection.sides
        self.loop.call_soon(far.meet, listener.new_protocol, context=server.context)
        self.network.post(server, client, lambda: _accept(near, factory, answer), lane=far.lane)

    def close_all(self, process: SimProcess) -> None:
        """The kernel closes a dead process's sockets."""
        for connection in self._open:
            for side in connection.sides:
                if side.process is process:
                    side.hang_up()
        self._open = [c for c in self._open if c.is_open]


def _refuse(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(ConnectionRefusedError("nobody listens there any more"))


def _accept(side: "Side", factory: Callable[[], Any], answer: "asyncio.Future[Any]") -> None:
    if answer.done():
        side.hang_up()
        return
    side.meet(factory)
    answer.set_result((side, side.protocol))


class Connection:
    """Two sides."""

    def __init__(self, connections: Connections, client: SimProcess, server: SimProcess) -> None:
        self.near = Side(connections, client)
        self.far = Side(connections, server)
        self.near.peer, self.far.peer = self.far, self.near

    @property
    def sides(self) -> tuple["Side", "Side"]:
        return self.near, self.far

    @property
    def is_open(self) -> bool:
        return not (self.near.closed and self.far.closed)

    def joins(self, one: str, other: str) -> bool:
        return {self.near.process.name, self.far.process.name} == {one, other}

    def reset(self) -> None:
        """Both ends learn at once that it is over; what was on its way is lost."""
        for side in self.sides:
            side.deaf = True
            side.process.loop.call_soon(side.lost, context=side.process.context)


class Side(asyncio.Transport):
    """One end of a connection; what it writes is received by its peer."""

    peer: "Side"

    def __init__(self, connections: Connections, process: SimProcess) -> None:
        super().__init__()
        self.process = process
        self.lane = Lane()
        self.protocol: Any = None
        self.closed = False
        #: What arrives is not for us any more.
        self.deaf = False
        self._network = connections.network
        self._loop = connections.loop
        self._reading = True
        self._unread: list[bytes] = []
        self._written = 0

    # --- from the other side -----------------------------------------------------------------
    def meet(self, new_protocol: Callable[[], Any]) -> None:
        """The connection is made; it may have broken on the way."""
        self.protocol = new_protocol()
        self.protocol.connection_made(self)
        if self.closed:
            self._loop.call_soon(self.protocol.connection_lost, None)

    def receive(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.closed or self.deaf:
            return
        if not self._reading:
            self._unread.append(data)
            return
        view = memoryview(data)
        while view and not self.closed:
            buffer = self.protocol.get_buffer(len(view))
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            self.protocol.buffer_updated(size)
            view = view[size:]

    def lost(self) -> None:
        """The other end hung up."""
        if self.closed:
            return
        self.closed = True
        if self.protocol is not None:
            self.protocol.connection_lost(None)

    # --- asyncio.Transport -------------------------------------------------------------------
    def write(self, data: Any) -> None:
        if self.closed:
            return
        whole = bytes(data)
        self._written += 1
        if self._written % _SLICED == 0 and len(whole) > 1:
            cut = len(whole) // 2
            self._post(whole[:cut])
            whole = whole[cut:]
        self._post(whole)

    def _post(self, data: bytes) -> None:
        peer = self.peer
        self._network.post(self.process, peer.process, lambda: peer.receive(data), lane=self.lane)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def abort(self) -> None:
        if not self.closed:
            self._loop.call_soon(self.protocol.connection_lost, None)
            self.hang_up()

    def close(self) -> None:
        self.abort()

    def hang_up(self) -> None:
        """Close this end; the other one learns of it after all that was sent."""
        if not self.closed:
            self.closed = True
            peer = self.peer
            self._network.post(self.process, peer.process, peer.lost, lane=self.lane)

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        unread, self._unread = self._unread, []
        for data in unread:
            self._loop.call_soon(self.receive, data)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return cast(Any, default)
