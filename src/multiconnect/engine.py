"""The embeddable whole: router and CoreApp in one process, without sockets between them.

One engine per store file. What another engine left behind is taken over at the start: its process
must be gone, or the start is refused (two engines would only fence each other for ever). With one
owner there is nothing to decide, so an engine takes the term once, grants itself every slot in one
commit and needs no Master after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from multiconnect.clock import Clock, SystemClock
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.local_link import LocalLink
from multiconnect.coreapp.pacing import Pacing
from multiconnect.dataplane.event_queue import EventStream
from multiconnect.dataplane.lane_set import Link
from multiconnect.dataplane.router import Payload, Router
from multiconnect.errors import Closed, DeadlineExceeded, Refused, StoreUnavailable
from multiconnect.limits import ENGINE_SETTLE_MAX_S, ENGINE_START_MAX_S, SLOTS
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.message import Receipt
from multiconnect.model.shard_map import Owner, ShardMap, check_shards
from multiconnect.model.timers import Timers
from multiconnect.store.open import open_store
from multiconnect.store.port import Store
from multiconnect.supervisor import identity
from multiconnect.upstream.open import open_upstream
from multiconnect.upstream.port import Upstream

_log = logging.getLogger("multiconnect.engine")
_SERVING_POLL_S = 0.002


class Engine:
    """Sends messages through `upstream`, durable in `store`, everything in this process.

    `upstream` is an async callable `list[Message] -> list[Outcome]`, an `Upstream`, "null", or the
    base URL of a Cloud API. `number_rate` (messages per second) and `pair_rate` pace what goes out.
    `in_doubt` is "resend" (marked as possible duplicate, the default) or "unknown".
    """

    def __init__(  # noqa: PLR0913 -- the settings of everything inside
        self,
        store: str = "memory://",
        *,
        shards: int = 1,
        upstream: str | Callable[..., Any] | Upstream,
        events: bool = True,
        number_rate: float | None = None,
        pair_rate: bool = False,
        in_doubt: str = "resend",
        timers: Timers | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._url = store
        self._shards = check_shards(shards)
        self._upstream = open_upstream(upstream)
        self._events = events
        self._pacing = Pacing(number_rate, pair_rate=pair_rate)
        self._resend = _resends(in_doubt)
        self._timers = timers or Timers()
        self._clock = clock or SystemClock()
        self._incarnation = ""
        self._store: Store | None = None
        self._app: CoreApp | None = None
        self._router: Router | None = None
        self._watch: asyncio.Task[None] | None = None

    # --- life --------------------------------------------------------------------------------
    async def start(self) -> None:
        """Take the store over and begin; return when every slot is served."""
        if self._store is not None:
            return
        self._store = await open_store(self._url, clock=self._clock)
        try:
            await self._start(self._store)
        except BaseException:
            await self.aclose()
            raise

    async def _start(self, store: Store) -> None:
        await self._bury_predecessors(store)
        me = self._incarnation = identity.new_incarnation("engine")
        await store.control.join(self._node(me, Role.COREAPP))
        log = await store.log(me)
        app = self._app = CoreApp(
            me,
            store.control,
            log,
            self._upstream,
            self._timers,
            self._clock,
            self._pacing,
            in_doubt_resend=self._resend,
        )
        router = Router(store, events=self._events, clock=self._clock, make_link=self._make_link)
        # Before anything can happen: what an earlier life left in doubt is settled at once.
        if self._events:
            app.listen_locally(router.publish)
        await app.start()
        await store.control.set_node_state(me, NodeState.READY, "")
        await self._take_all_slots(store)
        await self._until_serving(app)
        await router.start()
        self._router = router
        self._watch = asyncio.get_running_loop().create_task(_tell_end(app, router))

    async def aclose(self) -> None:
        """Finish what is in flight (for ENGINE_SETTLE_MAX_S), release everything; idempotent."""
        router, app, store = self._router, self._app, self._store
        self._router = self._app = self._store = None
        if self._watch is not None:
            self._watch.cancel()
        try:
            if router is not None:
                # In this order: the last outcomes still reach those who iterate over events.
                await _settle(app)
                await router.aclose()
            if app is not None:
                await app.stop()
                await _say_dead(store, self._incarnation)
        finally:
            if store is not None:
                await store.aclose()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close."""
        await self.aclose()

    # --- what it does ------------------------------------------------------------------------
    async def send(self, recipient: str, payload: Payload, **options: Any) -> Receipt:
        """Store one message and return once it is durable; see `Router.send`."""
        return await self._running().send(recipient, payload, **options)

    async def send_many(
        self, items: Iterable[tuple[str, Payload]], **options: Any
    ) -> Sequence[Receipt]:
        """Store many messages; see `Router.send_many`."""
        return await self._running().send_many(items, **options)

    def events(self) -> EventStream:
        """Return an async iterator over what happens; see `Router.events`."""
        return self._running().events()

    @property
    def shard_map(self) -> ShardMap:
        """The newest map known."""
        return self._running().shard_map

    @property
    def router(self) -> Router:
        """The router inside, for whoever wants to hand it on."""
        return self._running()

    def figures(self) -> dict[str, int]:
        """Return the counters of the CoreApp inside."""
        if self._app is None:
            raise Closed("the engine is not running: use `async with Engine(...)`")
        return self._app.figures()

    # --- inside ------------------------------------------------------------------------------
    def _running(self) -> Router:
        if self._router is None:
            raise Closed("the engine is not running: use `async with Engine(...)`")
        return self._router

    def _make_link(self, owner: Owner, router: Router) -> Link:
        if self._app is None or owner.incarnation != self._incarnation:
            raise Refused(f"{owner.name} owns slots of a store that this engine was given alone")
        return LocalLink(owner, self._app, router)

    def _node(self, incarnation: str, role: Role) -> Node:
        pid = os.getpid()
        return Node(
            incarnation=incarnation,
            name=incarnation,
            role=role,
            host=identity.host_name(),
            pid=pid,
            address="local:",
            generation=0,
            state=NodeState.JOINING,
            start_ticks=identity.start_ticks(pid),
            boot_id=identity.boot_id(),
        )

    async def _bury_predecessors(self, store: Store) -> None:
        """Declare dead what is proven dead; refuse to start beside what lives."""
        for node in (await store.control.snapshot()).nodes:
            if node.state is NodeState.DEAD:
                continue
            if _lives(node):
                raise Refused(
                    f"{node.name} (pid {node.pid} on {node.host}) uses {store.url}; stop it first, "
                    "or use a Router to send through it"
                )
            await store.control.set_node_state(node.incarnation, NodeState.DEAD, "process is gone")

    async def _take_all_slots(self, store: Store) -> None:
        control, me = store.control, self._incarnation
        snapshot = await control.snapshot()
        term = await control.take_term(me, snapshot.cluster.term)
        moves = [Move(row.slot, row.epoch, row.owner, me) for row in snapshot.slots]
        if term is None or not await control.assign(
            moves, term, "engine started", shards=self._shards
        ):
            raise Refused(
                f"another process took {store.url} over at the same moment; stop it first"
            )

    async def _until_serving(self, app: CoreApp) -> None:
        try:
            async with asyncio.timeout(ENGINE_START_MAX_S):
                while len(app.owned_slots()) < SLOTS:
                    if app.failure is not None:
                        raise app.failure
                    await asyncio.sleep(_SERVING_POLL_S)
        except TimeoutError:
            raise DeadlineExceeded(
                f"not all slots were taken over within {ENGINE_START_MAX_S} s; is the disk slow?"
            ) from None


async def _tell_end(app: CoreApp, router: Router) -> None:
    """Let nobody wait for an owner that has ended."""
    await app.ended()
    taken = "the engine ended: another process declared it dead and may take its store over"
    router.abandon(app.failure or Closed(taken))


async def _settle(app: CoreApp | None) -> None:
    if app is None or app.declared_dead.is_set() or app.failed.is_set():
        return
    try:
        async with asyncio.timeout(ENGINE_SETTLE_MAX_S):
            await app.settle()
    except TimeoutError:
        _log.warning("unsettled: some messages are in doubt, the next start will say which")


async def _say_dead(store: Store | None, incarnation: str) -> None:
    # Whoever comes next also sees it from the process being gone.
    with contextlib.suppress(StoreUnavailable):
        if store is not None:
            await store.control.set_node_state(incarnation, NodeState.DEAD, "stopped")


def _lives(node: Node) -> bool:
    """Whether the node's process runs; on another host nobody can tell, so it may."""
    if node.host not in {"", identity.host_name()}:
        return True
    if node.boot_id != identity.boot_id() or node.pid == os.getpid():
        return node.pid == os.getpid() and node.boot_id == identity.boot_id()
    is_same = identity.start_ticks(node.pid) == node.start_ticks
    return is_same and Path(f"/proc/{node.pid}").exists() and not identity.is_zombie(node.pid)


def _resends(in_doubt: str) -> bool:
    if in_doubt not in {"resend", "unknown"}:
        raise ValueError(f'in_doubt is {in_doubt!r}; expected "resend" or "unknown"')
    return in_doubt == "resend"
