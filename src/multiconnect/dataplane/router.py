"""The router library: from `send` to an acknowledgement that means "durable".

A shell over the lane set: it follows the shard map in the store, keeps the links, flushes once per
loop tick and hands acknowledgements to those who wait. It holds no durable state and no policy.
Bounded (invariant 12): past `ROUTER_PARKED_BYTES_MAX` a `send` waits for room until its deadline;
nothing is acknowledged from memory.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from multiconnect._native import Packer
from multiconnect.clock import Clock, SystemClock
from multiconnect.dataplane.background import Background
from multiconnect.dataplane.body_messages import extended
from multiconnect.dataplane.dial import check_map
from multiconnect.dataplane.encoding import attributes_of, dumps
from multiconnect.dataplane.event_queue import EventHub, EventStream
from multiconnect.dataplane.lane_set import NOT_OWNER_REST_S, AnswerEntry, LaneSet, Link
from multiconnect.dataplane.link import OwnerLink
from multiconnect.dataplane.receipts import Promise, Receipts, again, late
from multiconnect.dataplane.room import Room
from multiconnect.errors import Bug, Closed, MulticonnectError, Overloaded, StoreUnavailable
from multiconnect.limits import ROUTER_PARKED_BYTES_MAX, SEND_TIMEOUT_S
from multiconnect.model.cluster import Snapshot
from multiconnect.model.lane_credentials import NO_CREDENTIALS, LaneCredentials
from multiconnect.model.message import Event, Kind, Receipt, Stream
from multiconnect.model.shard_map import Owner, ShardMap
from multiconnect.store.open import open_store
from multiconnect.store.port import Store

_log = logging.getLogger("multiconnect.router")
# Reading a member of an Enum class takes longer than most of what is done with it.
_OUTBOUND, _INBOUND, _SEND = Stream.OUTBOUND, Stream.INBOUND, Kind.SEND

#: How often deadlines are looked at.
_SWEEP_S = 0.1
#: How often the map is read again although nothing seemed to change.
_MAP_REREAD_S = 1.0

Payload = dict[str, Any] | bytes


class Router:
    """Sends messages to the owners of their recipients.

    `store` is a URL (`sqlite:///…`, `postgresql://…`) or an opened store (then it stays open on
    close). `events=False` asks the owners for no events; `lanes` is what owners on other machines
    want to see. Use it as `async with`, or `start` and `aclose`. Works on any asyncio loop; touches
    no global state.
    """

    #: The one it was started on; to ask for the running one costs a system call.
    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        store: str | Store,
        *,
        events: bool = True,
        send_timeout_s: float = SEND_TIMEOUT_S,
        clock: Clock | None = None,
        lanes: LaneCredentials = NO_CREDENTIALS,
        make_link: Callable[[Owner, Router], Link] | None = None,
    ) -> None:
        self._store_url = store if isinstance(store, str) else None
        self._store = None if isinstance(store, str) else store
        self._events_wanted = events
        self._send_timeout_s = send_timeout_s
        self._clock = clock or SystemClock()
        self._credentials = lanes
        self._make_link = make_link
        self._packers, self._lanes = self._new_lanes()
        self._hub = EventHub()
        self._room = Room(lambda: self._lanes.parked_bytes <= ROUTER_PARKED_BYTES_MAX)
        self._flush_at: asyncio.Handle | None = None
        self._background = Background(self._task_failed)
        self._running = False
        #: Why nothing is taken any more.
        self._abandoned: MulticonnectError | None = None

    # --- life --------------------------------------------------------------------------------
    async def start(self) -> None:
        """Open the store and read the map; raises StoreUnavailable or InvalidSettings."""
        if self._running:
            return
        if self._store is None:
            self._store = await open_store(str(self._store_url))
        try:
            first_map = (await self._store.control.snapshot()).shard_map()
            check_map(first_map, self._credentials)
        except BaseException:
            await self._close_store()
            raise
        if self._abandoned is not None:
            # A second life: nothing of the first may be sent, or taken for known.
            self._abandoned = None
            self._packers, self._lanes = self._new_lanes()
            self._hub = EventHub()
            self._background = Background(self._task_failed)
        self._loop = asyncio.get_running_loop()
        self._apply(first_map)
        self._running = True
        self._background.start(self._follow_map())
        self._background.start(self._sweep())

    async def aclose(self) -> None:
        """Stop; whoever still waits gets Closed (the message may or may not be stored)."""
        self.abandon(Closed("the router was closed before this message was acknowledged"))
        await self._background.aclose()
        await self._close_store()

    async def _close_store(self) -> None:
        if self._store is not None and self._store_url is not None:
            await self._store.aclose()
            self._store = None

    def abandon(self, reason: MulticonnectError) -> None:
        """Take nothing more; whoever waits now, or sends later, gets `reason`."""
        self._running = False
        self._abandoned = self._abandoned or reason
        for link in self._lanes.links.values():
            link.close()
        for sink in self._lanes.drop_all():
            sink.fail(again(reason))
        self._room.let_all_in()
        self._hub.close()

    def _task_failed(self, error: BaseException) -> None:
        bug = Bug(f"a task of the router ended with {type(error).__name__}; see the log")
        bug.__cause__ = error
        self.abandon(error if isinstance(error, MulticonnectError) else bug)

    def _new_lanes(self) -> tuple[dict[Stream, Packer], LaneSet]:
        packers = {stream: Packer(stream, dumps) for stream in Stream}
        return packers, LaneSet(packers, lambda: secrets.randbits(63) | 1, self._new_link)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close."""
        await self.aclose()

    # --- sending -----------------------------------------------------------------------------
    async def send(
        self,
        recipient: str,
        payload: Payload,
        *,
        account: str = "",
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        kind: Kind = _SEND,
        timeout_s: float | None = None,
    ) -> Receipt:
        """Store one message; return once it is durable.

        `payload` is a dict, or bytes of JSON that are stored as they are. Raises InvalidRecipient,
        InvalidPayload, IdempotencyConflict, Overloaded (nothing stored), DeadlineExceeded (it may
        or may not be stored: repeat it with the same idempotency key to be sure).
        """
        attributes = attributes_of(account, idempotency_key, expires_at_ms)
        deadline_s = self._deadline_s(timeout_s)
        if self._is_full():
            await self._wait_for_room(deadline_s)
        packer = self._packers[_OUTBOUND]
        slot = packer.append(recipient, payload, attributes, kind, bool(idempotency_key))
        return await self._one(_OUTBOUND, slot, deadline_s)

    def post(
        self,
        recipient: str,
        payload: bytes,
        promise: Promise,
        *,
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        timeout_s: float | None = None,
    ) -> bool:
        """Do what `send` does for a caller that cannot wait: `promise` is told what became of it.

        False: there is no room just now, and nothing was taken.
        """
        deadline_s = self._deadline_s(timeout_s)
        if self._is_full():
            return False
        attributes = attributes_of("", idempotency_key, expires_at_ms)
        packer = self._packers[_OUTBOUND]
        slot = packer.append(recipient, payload, attributes, _SEND, bool(idempotency_key))
        self._promise(_OUTBOUND, slot, deadline_s, promise)
        return True

    async def send_many(
        self,
        items: Iterable[tuple[str, Payload]],
        *,
        account: str = "",
        kind: Kind = _SEND,
        timeout_s: float | None = None,
    ) -> Receipts:
        """Store many messages; return their receipts, in order, once all are durable.

        All or nothing is *packed*: a bad item raises, naming its index, before any is sent.
        """
        attributes = attributes_of(account, "", 0)
        deadline_s = self._deadline_s(timeout_s)
        if self._is_full():
            await self._wait_for_room(deadline_s)
        packer = self._packers[_OUTBOUND]
        slots = extended(packer, items, attributes, kind)
        if not slots:
            return Receipts(b"", {}, 0, 1)
        return await self._many(slots, deadline_s)

    async def send_inbound(
        self,
        slot: int | None,
        recipient: str,
        payload: bytes,
        *,
        kind: Kind,
        idempotency_key: str = "",
        timeout_s: float | None = None,
    ) -> Receipt:
        """Store what came in from the upstream; `slot` None: the recipient's own."""
        attributes = attributes_of("", idempotency_key, 0)
        deadline_s = self._deadline_s(timeout_s)
        if self._is_full():
            await self._wait_for_room(deadline_s)
        packer = self._packers[_INBOUND]
        keyed = bool(idempotency_key)
        if slot is None:
            slot = packer.append(recipient, payload, attributes, kind, keyed)
        else:
            packer.append_at(slot, recipient, payload, attributes, kind, keyed)
        return await self._one(_INBOUND, slot, deadline_s)

    def events(self) -> EventStream:
        """Return an async iterator over what happens to messages, live.

        The first reader also gets what happened since the router started. At most
        `EVENTS_QUEUED_MAX` wait unread; `.dropped` counts what was lost beyond that.
        """
        return self._hub.subscribe()

    @property
    def shard_map(self) -> ShardMap:
        """The newest map known."""
        if self._lanes.map is None:
            raise Closed("the router has not been started: use `async with Router(...)`")
        return self._lanes.map

    @property
    def parked_bytes(self) -> int:
        """Bytes held for messages that are not acknowledged."""
        return self._lanes.parked_bytes

    # --- inside: admission and waiting -------------------------------------------------------
    def _deadline_s(self, timeout_s: float | None) -> float:
        """Return when a message that is sent now is given up; raise if none is taken."""
        if not self._running:
            self._check_running()
        return self._clock.monotonic() + (self._send_timeout_s if timeout_s is None else timeout_s)

    def _is_full(self) -> bool:
        """Whether whoever comes now has to wait, be it behind others."""
        return bool(self._room.line) or self._lanes.parked_bytes > ROUTER_PARKED_BYTES_MAX

    async def _wait_for_room(self, deadline_s: float) -> None:
        limit_s = deadline_s - self._clock.monotonic()
        try:
            await self._room.wait(limit_s)
        except TimeoutError:
            raise Overloaded(
                f"{self._lanes.parked_bytes} bytes wait for acknowledgement (limit "
                f"{ROUTER_PARKED_BYTES_MAX}) and none left within {limit_s:.3g} s; nothing was "
                "stored: slow down and try again"
            ) from None
        self._check_running()

    def _check_running(self) -> None:
        if self._abandoned is not None and not isinstance(self._abandoned, Closed):
            raise again(self._abandoned)
        if not self._running:
            raise Closed("the router is not running: use `async with Router(...)`")

    def _one(self, stream: Stream, slot: int, deadline_s: float) -> asyncio.Future[Receipt]:
        future: asyncio.Future[Receipt] = self._loop.create_future()
        self._promise(stream, slot, deadline_s, future)
        return future

    def _promise(self, stream: Stream, slot: int, deadline_s: float, promise: Promise) -> None:
        self._lanes.wait_for_one(stream, slot, promise, deadline_s)
        self._schedule_flush()

    def _many(self, slots: bytes, deadline_s: float) -> asyncio.Future[Receipts]:
        future: asyncio.Future[Receipts] = self._loop.create_future()
        self._lanes.wait_for_many(_OUTBOUND, slots, future, deadline_s)
        if self._lanes.has_full_frames():
            self._flush()
        else:
            self._schedule_flush()
        return future

    # --- inside: flushing --------------------------------------------------------------------
    def _schedule_flush(self) -> None:
        if self._flush_at is None:
            self._flush_at = self._loop.call_soon(self._background.run, self._flush)

    def _flush(self) -> None:
        self._flush_at = None
        if self._running:
            self._lanes.flush(self._clock.monotonic(), self._clock.wall_ms())

    # --- inside: links (LinkUser) ------------------------------------------------------------
    def _new_link(self, owner: Owner) -> Link:
        if self._make_link is not None:
            return self._make_link(owner, self)
        return OwnerLink(owner, self, events=self._events_wanted, credentials=self._credentials)

    def link_ready(self, link: Link) -> None:
        """Frames may be submitted on the link."""
        del link
        self._flush()

    def link_answered(self, link: Link, entries: Sequence[AnswerEntry]) -> None:
        """Hand acknowledgements to those who wait, and send what may go now."""
        lost = self._lanes.history_lost
        if self._lanes.answered(link.owner.incarnation, entries, self._clock.monotonic()):
            self._loop.call_later(2 * NOT_OWNER_REST_S, self._schedule_flush)
        if self._lanes.history_lost != lost:
            _log.error(
                "history_lost: an owner forgot messages it had acknowledged; was the "
                "store restored from an older copy?"
            )
        self._room.freed()
        self._schedule_flush()

    def link_events(self, link: Link, events: list[Event]) -> None:
        """Hand events to those who iterate."""
        del link
        self.publish(events)

    def publish(self, events: list[Event]) -> None:
        """Hand events to those who iterate, now or (the first of them) later."""
        if self._events_wanted:
            self._hub.publish(events)

    def link_lost(self, link: Link) -> None:
        """Let the slots of the link start again from their oldest unanswered batch."""
        self._lanes.link_lost(link)

    # --- inside: background ------------------------------------------------------------------
    async def _follow_map(self) -> None:
        """Adopt every new map; while the store does not answer the known one stays in use."""
        control = self._opened_store().control
        snapshot: Snapshot | None = None
        while True:
            try:
                if snapshot is not None:
                    await control.changed(_MAP_REREAD_S, snapshot)
                snapshot = await control.snapshot()
                self._apply(snapshot.shard_map())
            except StoreUnavailable as error:
                _log.warning("map_unreadable: %s; the known map stays in use", error)
                await asyncio.sleep(_SWEEP_S)

    def _apply(self, new: ShardMap) -> None:
        self._lanes.apply_map(new)
        self._flush()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for sink in self._lanes.expired(self._clock.monotonic()):
                sink.fail(late(self._lanes.problems()))
            if self._lanes.has_work():
                self._flush()

    def _opened_store(self) -> Store:
        if self._store is None:
            raise Closed("the router has no store: it was not started")
        return self._store
