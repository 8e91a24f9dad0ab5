"""What a process holds of the store: the product's ports, every call a journey."""

import asyncio
from typing import Any

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Beat, Snapshot
from multiconnect.store.memory.control import MemoryControl
from multiconnect.store.memory.log import MemoryLog
from tests.sim.process import SimProcess
from tests.sim.store import Call, StoreServer


class StoreClient:
    """One process's handle on the store (the `Store` port)."""

    url = "sim://"

    def __init__(self, server: StoreServer, process: SimProcess) -> None:
        self.server = server
        self.process = process
        self._control = RemoteControl(self, MemoryControl(server.state))

    @property
    def control(self) -> Any:
        return self._control

    async def log(self, incarnation: str) -> Any:
        return Remote(self, MemoryLog(self.server.state, incarnation))

    async def aclose(self) -> None:
        """Nothing to release."""

    def call(self, name: str, method: Any, args: Any, kwargs: Any) -> asyncio.Future[Any]:
        return Call(self.server, self.process, name, method, args, kwargs).reply


class Remote:
    """Any object of the store: its methods, called from afar."""

    def __init__(self, client: StoreClient, inner: Any) -> None:
        self._client = client
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._client.call(name, method, args, kwargs)

        setattr(self, name, call)
        return call

    async def aclose(self) -> None:
        """Nothing to release."""


class RemoteControl(Remote):
    """The control side, with what is not a plain call."""

    _shown: int | None = None

    async def snapshot(self) -> Snapshot:
        """Read everything; what changes after this wakes `changed`."""
        client = self._client
        read = client.server.snapshot_for
        snapshot: Snapshot = await client.call("snapshot", read, (client.process,), {})
        self._shown = snapshot.revision
        return snapshot

    async def beat(self, beat: Beat) -> bool:
        """Show life; a success also moves the lease that the judges go by."""
        process, timers = self._client.process, self._client.server.timers
        asked_s = process.monotonic()
        alive: bool = await self._client.call("beat", self._inner.beat, (beat,), {})
        if alive:
            process.lease_until_s = asked_s + timers.lease_ttl_s - timers.margin_s
        return alive

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        """Wait for a change; a wake-up that is lost is made good by the timeout."""
        server, process, loop = self._client.server, self._client.process, self._client.process.loop
        state, shown = server.state, since.revision if since is not None else self._shown
        until_s = loop.time() + timeout_s
        if not server.is_reachable(process):
            await asyncio.sleep(min(timeout_s, server.patience_s))
            raise StoreUnavailable("the store cannot be reached")
        if not state.is_news(shown, since, concerning):
            while not state.is_news(shown, since, concerning) and loop.time() < until_s:
                waiter = loop.create_future()
                state.waiters.append(waiter)
                timer = loop.call_later(until_s - loop.time(), _wake, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
                    if waiter in state.waiters:
                        state.waiters.remove(waiter)
            await asyncio.sleep(server.way_s(process, "changed") + process.rng.uniform(0.0, 0.002))
        if not server.is_reachable(process):
            raise StoreUnavailable("the connection broke")
        return state.is_news(shown, since, concerning)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
