"""What comes back from the upstream: statuses of our messages, and messages from people.

The "upstream" of the inbound stream. A status is applied to the outbound message it speaks of, in
the same slot and so under the same epoch; it only ever moves a state forward (invariant 15).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import orjson

from multiconnect.clock import Clock
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.errors import StoreUnavailable
from multiconnect.limits import UPSTREAM_BATCH_MAX, UPSTREAM_IN_FLIGHT_MAX
from multiconnect.model.message import Event, Kind, Message, Outcome, State, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.store.port import LogStore
from multiconnect.store.rules import all_settled

_log = logging.getLogger("multiconnect.inbound")

_STATES = {
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.READ,
    "failed": State.FAILED,
}


class InboundSink:
    """Applies statuses and publishes what came in."""

    batch_max = UPSTREAM_BATCH_MAX
    in_flight_max = UPSTREAM_IN_FLIGHT_MAX

    def __init__(
        self,
        log: LogStore,
        clock: Clock,
        work_of: Callable[[int], SlotWork | None],
        publish: Callable[[list[Event]], None],
    ) -> None:
        self._log = log
        self._clock = clock
        self._work_of = work_of
        self._publish = publish

    async def start(self) -> None:
        """Nothing to prepare."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Take inbound records; a status whose message cannot be read now is tried again."""
        return [await self._take(message) for message in messages]

    async def _take(self, message: Message) -> Outcome:
        try:
            data = orjson.loads(message.body)
        except orjson.JSONDecodeError as error:
            return Outcome.failed(f"inbound record is not JSON: {error}")
        if not isinstance(data, dict):
            return Outcome.failed("inbound record is no JSON object")
        if message.kind is Kind.STATUS:
            return await self._status(message, data)
        message_id = str(data.get("id", ""))
        event = Event(
            "message",
            message_id,
            message.recipient,
            message.slot,
            self._clock.wall_ms(),
            message.possible_duplicate,
            data,
        )
        self._publish([event])
        return Outcome.sent(message_id)

    async def _status(self, message: Message, data: dict[str, object]) -> Outcome:
        message_id = str(data.get("biz_opaque_callback_data", ""))
        address = decode_id(message_id)
        state = _STATES.get(str(data.get("status")))
        if address is None or state is None or address.slot != message.slot:
            return Outcome.failed("a status of no message of ours, or of no known kind")
        work = self._work_of(message.slot)
        if work is None:
            return Outcome.retry("the slot is being handed over")
        if message_id != work.message_id(Stream.OUTBOUND, address.sequence):
            return Outcome.failed("a status of another cluster's message, or of an inbound one")
        try:
            return await self._apply(work, message, address.sequence, state, data)
        except StoreUnavailable as error:
            return Outcome.retry(str(error))

    async def _apply(
        self,
        work: SlotWork,
        message: Message,
        sequence: int,
        state: State,
        data: dict[str, object],
    ) -> Outcome:
        now_ms = self._clock.wall_ms()
        recipient, book = message.recipient, work.books[Stream.OUTBOUND]
        if work.status(sequence, recipient, state, now_ms, data) is not None:
            return Outcome.sent()
        with book.reading(sequence):
            stored = await self._log.find_message(Stream.OUTBOUND, work.slot, sequence)
        if work.status(sequence, recipient, state, now_ms, data) is not None:
            return Outcome.sent()  # loaded by somebody else meanwhile
        if stored is not None:
            if not all_settled(stored.batch.states):
                # Its queue will come to this batch. Two copies of its states would overwrite each
                # other, and the book writes batches as settled.
                return Outcome.retry("the message's batch is not loaded yet")
            book.loaded(stored.batch)
            work.status(sequence, recipient, state, now_ms, data)
        return Outcome.sent()
