"""The clients of one router: they submit messages without waiting, repeat some, and keep count.

Every recipient's messages are numbered over all routers; what a client is told goes to the judges.
"""

import asyncio
from typing import TYPE_CHECKING

import orjson

from multiconnect.dataplane.router import Router
from multiconnect.errors import Closed, IdempotencyConflict, Unavailable
from multiconnect.model.message import Kind, Message
from tests.sim.ledger import Sent
from tests.sim.process import SimProcess

if TYPE_CHECKING:
    from tests.sim.world import World

#: Shares of all submissions.
_KEYED, _EXPIRING, _REPEATED, _REFUSED, _HASTY = 0.15, 0.05, 0.5, 0.03, 0.05
_BURSTS, _MANY = 0.07, 0.1
#: A burst goes to one recipient, so close that several batches are in flight.
_BURST, _BURST_GAP_S = 8, 0.0015
_HASTY_TIMEOUT_S = 0.3
#: Messages that one turn of the loop submits on average.
_PER_TURN = 1.9


class Clients:
    """Everybody who uses one router."""

    def __init__(self, world: "World", process: SimProcess, router: Router) -> None:
        self._world = world
        self._process = process
        self._router = router
        self._rng = process.rng
        self._recipients = [f"1631555{n:04}" for n in range(world.options.recipients)]

    async def run(self) -> None:
        """Submit while there is traffic."""
        world, rng = self._world, self._rng
        recipients = self._recipients
        while True:
            await asyncio.sleep(rng.expovariate(world.options.rate_per_s / _PER_TURN))
            if not world.has_traffic:
                continue
            self._look()
            if rng.random() < _BURSTS:
                self._process.spawn(self._burst(rng.choice(recipients)))
            elif rng.random() < _MANY:
                many = [self._numbered(to) for to in rng.choices(recipients, k=5)]
                self._process.spawn(self._submit_many(many))
            elif world.repeats and rng.random() < _REPEATED:
                self._process.spawn(self._submit(world.repeats.pop(0)))
            else:
                self._process.spawn(self._submit(self._new(rng.choice(recipients))))

    def _numbered(self, recipient: str, *, is_refused: bool = False) -> Sent:
        # Now, not when its task begins: tasks begin in the order in which they are spawned.
        return self._world.ledger.submit(
            recipient, self._process.incarnation, is_refused=is_refused
        )

    def _new(self, recipient: str) -> Sent:
        world, rng = self._world, self._rng
        sent = self._numbered(recipient, is_refused=rng.random() < _REFUSED)
        if rng.random() < _EXPIRING:
            sent.expires_at_ms = self._process.wall_ms() + rng.randint(20, 2000)
        elif rng.random() < _KEYED:
            sent.key = f"key-{sent.number}"
            world.repeats.append(sent)
        return sent

    async def _submit(self, sent: Sent) -> None:
        world = self._world
        world.story.say(self._process.incarnation, "submits %s", sent)
        timeout_s = _HASTY_TIMEOUT_S if self._rng.random() < _HASTY else None
        try:
            receipt = await self._router.send(
                sent.recipient, sent.payload, idempotency_key=sent.key,
                expires_at_ms=sent.expires_at_ms, timeout_s=timeout_s,
            )  # fmt: skip
        except (Unavailable, Closed) as error:
            self._unknown(sent, error)
        except IdempotencyConflict as error:
            world.found("4", f"{sent}: {error}")
        else:
            world.story.say(self._process.incarnation, "got the receipt of %s", sent)
            world.bench.routers.acknowledged(sent, receipt)

    def rush(self) -> None:
        """Submit several bursts at once."""
        for recipient in self._rng.sample(self._recipients, 3):
            self._process.spawn(self._burst(recipient))

    async def _burst(self, recipient: str) -> None:
        gap_s = _BURST_GAP_S * self._world.options.pace
        for _ in range(_BURST):
            self._process.spawn(self._submit(self._new(recipient)))
            await asyncio.sleep(self._rng.uniform(0.0, gap_s))

    async def _submit_many(self, many: list[Sent]) -> None:
        world = self._world
        world.story.say(self._process.incarnation, "submits %d messages", len(many))
        try:
            receipts = await self._router.send_many([(s.recipient, s.payload) for s in many])
        except (Unavailable, Closed) as error:
            for sent in many:
                self._unknown(sent, error)
        else:
            for sent, receipt in zip(many, receipts, strict=True):
                world.bench.routers.acknowledged(sent, receipt)

    def _unknown(self, sent: Sent, error: Exception) -> None:
        self._world.ledger.counts["unacknowledged"] += 1
        self._world.story.say(self._process.incarnation, "%s: %s", sent, type(error).__name__)

    def _look(self) -> None:
        lanes = self._router._lanes
        if lanes.history_lost:
            self._world.found("4", f"{self._process.incarnation} was told of less than was stored")
        self._world.bench.routers.looked(
            self._process.incarnation, lanes._epochs, lanes.parked_bytes,
            self._world.options.parked_max_bytes,
        )  # fmt: skip

    async def listen(self) -> None:
        """Hand every event to the judges."""
        async for event in self._router.events():
            self._world.bench.routers.told(event)


async def report_status(world: "World", router: Router, message: Message, status: str) -> None:
    """A webhook comes in at a router; when it is refused it comes again. No status: an answer."""
    try:
        if status:
            body = orjson.dumps({"biz_opaque_callback_data": message.id, "status": status})
            await router.send_inbound(message.slot, message.recipient, body, kind=Kind.STATUS)
        else:
            body, key = b'{"id":"in"}', f"in-{message.id}"
            await router.send_inbound(
                None, message.recipient, body, kind=Kind.INBOUND_MESSAGE, idempotency_key=key
            )
        world.ledger.counts["webhooks"] += 1
    except (Unavailable, Closed):
        world.statuses.append((message, status))
