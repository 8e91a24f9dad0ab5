"""CoreApps on a memory store, with hands on the map, the store's faults and the upstream."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson

from multiconnect.clock import SystemClock
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.pacing import Pacing
from multiconnect.errors import StoreUnavailable
from multiconnect.limits import UPSTREAM_BATCH_MAX
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.message import Kind, Message, Outcome, State, Stream
from multiconnect.model.message_id import encode_id
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.upstream.callable import CallableUpstream
from tests.unit.coreapp.batches import Sender
from tests.unit.dataplane.waiting import until

SLOT = 4
QUICK = Timers(
    renew_s=0.02, lease_ttl_s=0.2, margin_s=0.02, grace_s=0.02, ping_s=0.01, silence_s=0.1
)


class FaultyLog:
    """A log store that fails where a test says: `faults[name]` is called before the real call.

    It may raise; "after" in its result raises StoreUnavailable once the call has happened.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self.faults: dict[str, Callable[..., str | None]] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._log, name)

        async def run(*args: Any) -> Any:
            self.calls.append(name)
            fault = self.faults.get(name)
            said = fault(*args) if fault else None
            result = await call(*args)
            if said == "after":
                raise StoreUnavailable("no reply")
            return result

        return run

    def fail_once(self, name: str, error: Exception | None = None) -> None:
        """Let the next call of that name fail before it does anything."""

        def fault(*_: Any) -> None:
            del self.faults[name]
            raise error or StoreUnavailable("down")

        self.faults[name] = fault


class Upstream:
    """An upstream that records, waits while `open` is clear, and says what `answer` says."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()
        self.answer: Callable[[Message], Any] = lambda message: Outcome.sent(f"up{message.id}")

    async def __call__(self, messages: list[Message]) -> list[Any]:
        self.seen += messages
        await self.open.wait()
        return [self.answer(message) for message in messages]

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(message.body)["n"] for message in self.seen]


class Rig:
    """One store, one term, some CoreApps."""

    def __init__(self) -> None:
        self.state = MemoryState(cluster=7)
        self.control = MemoryStore(self.state).control
        self.upstream = Upstream()
        self.apps: dict[str, CoreApp] = {}
        self.logs: dict[str, FaultyLog] = {}
        self.term = 0

    async def app(self, name: str, pacing: Pacing | None = None, **options: Any) -> CoreApp:
        """Start a CoreApp."""
        store = MemoryStore(self.state)
        await self.control.join(Node(name, name, Role.COREAPP, "h", 1, "x", 0, NodeState.READY))
        self.logs[name] = FaultyLog(await store.log(name))
        log: Any = self.logs[name]
        upstream = CallableUpstream(self.upstream, batch_max=UPSTREAM_BATCH_MAX)
        app = CoreApp(
            name, store.control, log, upstream, QUICK, SystemClock(), pacing, **options
        )  # fmt: skip
        self.apps[name] = app
        await app.start()
        return app

    async def grant(self, name: str, slots: Iterable[int] = (SLOT,), *, wait: bool = True) -> None:
        """Give slots to a CoreApp; from a live owner only once it has drained them."""
        if not self.term:
            self.term = await self.control.take_term(name, 0) or 0
        rows = {row.slot: row for row in (await self.control.snapshot()).slots}
        moves = [Move(s, rows[s].epoch, rows[s].owner, name) for s in slots]
        assert await self.control.assign(moves, self.term, "test")
        if wait:
            await until(lambda: set(slots) <= set(self.apps[name].owned_slots()))

    async def bury(self, name: str) -> None:
        """Declare a CoreApp dead without it knowing (yet)."""
        assert await self.control.set_node_state(name, NodeState.DEAD, "test")

    async def store(
        self, name: str, *bodies: int, recipient: str = "1631", sender: Sender | None = None
    ) -> None:
        """Submit one batch and wait for its acknowledgement."""
        sender = sender or Sender(SLOT)
        records = [(recipient, orjson.dumps({"n": body}), "") for body in bodies]
        self.apps[name].submit(sender.batch(*records))
        await until(lambda: sender.answers)
        assert sender.statuses == [0]

    async def inbound(self, name: str, kind: Kind, data: Any, slot: int = SLOT) -> None:
        """Submit one inbound record."""
        producer = len(self.state.lanes[Stream.INBOUND, slot].producers) + 100
        sender = Sender(slot, producer, Stream.INBOUND)
        self.apps[name].submit(sender.batch(("1631", orjson.dumps(data), ""), kind=kind))
        await until(lambda: sender.answers)

    def status(self, sequence: int, status: str, cluster: int = 7, stream: int = 0) -> Any:
        """A status as the web layer stores it."""
        message_id = encode_id(cluster, SLOT, sequence, stream)
        return {"biz_opaque_callback_data": message_id, "status": status}

    def states(self, stream: Stream = Stream.OUTBOUND, slot: int = SLOT) -> list[State]:
        """The stored states of all messages of a slot, in order."""
        lane = self.state.lanes[stream, slot]
        found = b""
        for base in lane.bases:
            row = lane.progress.get(base)
            found += row.states if row else bytes(lane.batches[base].count)
        return [State(byte & 0x0F) for byte in found]

    async def settled(self, count: int, stream: Stream = Stream.OUTBOUND) -> None:
        """Wait until that many messages of the slot have a final state."""
        final = set(State) - {State.ACCEPTED, State.HELD, State.SENDING}
        await until(lambda: sum(state in final for state in self.states(stream)) == count)

    async def aclose(self) -> None:
        """Stop every CoreApp."""
        for app in self.apps.values():
            await app.stop()
