"""Hands messages to the upstreams: a shell around the slots' queues.

Order, claims and states are decided in `slot_work`; here are the calls to the upstream, the timers
of retries, the lease check before each send (invariant 7) and the loading of stored batches.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
from collections.abc import Callable

from multiconnect._native import records
from multiconnect.clock import Clock
from multiconnect.coreapp.handover import Handover, is_known
from multiconnect.coreapp.lease import Lease
from multiconnect.coreapp.outcomes import sound
from multiconnect.coreapp.pacing import Pacing
from multiconnect.coreapp.queue_entry import Entry, Record
from multiconnect.coreapp.retry_policy import gives_up, retry_delay_s
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.coreapp.suspects import GIVEN_UP, SUSPECTED, Suspects, is_suspect, owners_lost
from multiconnect.dataplane.background import Background
from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.limits import LOAD_BYTES, OWNERS_LOST_MAX, UPSTREAM_RETRY_AFTER_MAX_S
from multiconnect.model.attributes import Attributes, decode_attributes
from multiconnect.model.log import SlotTail, StoredBatch
from multiconnect.model.message import SENT, Message, Outcome, State, Stream
from multiconnect.store.port import LogStore
from multiconnect.upstream.port import Upstream

_log = logging.getLogger("multiconnect.dispatch")

#: How long to wait before reading again from a store that did not answer, or that is damaged.
_RELOAD_DELAY_S = 0.2
_REPAIR_DELAY_S = 5.0


class Dispatcher:
    """All owned slots' messages, one upstream per stream.

    `kick` is called when rows wait to be written, `failed` when a task ends with an exception (a
    bug: the owner must end); `in_doubt_resend` is the account's policy for
    messages in doubt (True: resend marked as possible duplicate; False: report unknown);
    `has_audience` says whether anybody wants events now.
    """

    def __init__(  # noqa: PLR0913 -- the shell that wires the queues to the world
        self,
        log: LogStore,
        upstreams: dict[Stream, Upstream],
        lease: Lease,
        clock: Clock,
        pacing: Pacing,
        kick: Callable[[], None],
        failed: Callable[[BaseException], None],
        *,
        in_doubt_resend: bool = True,
        has_audience: Callable[[], bool] = lambda: True,
        rng: random.Random | None = None,
    ) -> None:
        self._log = log
        self._upstreams = upstreams
        self._lease = lease
        self._clock = clock
        self._pacing = pacing
        self._kick = kick
        self._resend = in_doubt_resend
        self._has_audience = has_audience
        self._rng = rng or random.Random()
        self.works: dict[int, SlotWork] = {}
        self._in_flight = dict.fromkeys(Stream, 0)
        self._timers: list[tuple[float, int, SlotWork, Stream, Entry]] = []
        self._timer_no = 0
        self._timer: asyncio.TimerHandle | None = None
        self._pump_timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._loading: set[tuple[Stream, int]] = set()
        self._suspects = Suspects()
        self._background = Background(failed)
        self.counts = dict.fromkeys(("sent", "failed", "retried", "in_doubt", "unknown"), 0)

    # --- slots coming and going --------------------------------------------------------------
    def open(self, work: SlotWork) -> None:
        """Begin to dispatch a slot from its first unsettled message."""
        self.close(work.slot)
        self.works[work.slot] = work
        self._look_for_audience()
        for queue in work.queues.values():
            self._load_if_wanted(work, queue)

    def reloaded(self, work: SlotWork, tail: SlotTail) -> None:
        """The tail was read anew after "don't know": batches may be stored that we never saw."""
        for stream, queue in work.queues.items():
            queue.extended(tail.streams[stream])
            self._load_if_wanted(work, queue)

    def close(self, slot: int) -> None:
        """Forget a slot at once: another owner has it (its epoch refuses whatever we know)."""
        work = self.works.pop(slot, None)
        if work is not None:
            work.is_open = False

    async def aclose(self) -> None:
        """Stop everything; what is in flight stays in doubt unless it was drained before."""
        for slot in list(self.works):
            self.close(slot)
        for timer in (self._timer, self._pump_timer):
            if timer is not None:
                timer.cancel()
        await self._background.aclose()

    def _look_for_audience(self) -> None:
        """Let events be made only while somebody wants them."""
        has_audience = self._has_audience()
        for work in self.works.values():
            work.has_audience = has_audience

    def _is_current(self, work: SlotWork) -> bool:
        return work.is_open

    # --- loading -----------------------------------------------------------------------------
    def offer(self, work: SlotWork, queue: SlotQueue, stored: StoredBatch) -> None:
        """Dispatch a batch, just accepted or read back, from memory."""
        loaded = queue.offer(stored, _records(stored))
        for entry in loaded.in_doubt:
            self._resolve_in_doubt(work, queue, entry)
        for entry in loaded.held:
            self._resume_held(work, queue, entry)
        self._try_suspect()

    def _resolve_in_doubt(self, work: SlotWork, queue: SlotQueue, entry: Entry) -> None:
        self.counts["in_doubt"] += 1
        earlier = work.earlier.pop((queue.stream, entry.sequence), None)
        entry.attempts = earlier.attempts if earlier else 0
        now_ms, lost = self._clock.wall_ms(), owners_lost(entry, earlier)
        if self._resend and lost < OWNERS_LOST_MAX:
            queue.resend_in_doubt(entry)
            if lost > 1:
                queue.block(entry)
                work.suspect(queue.stream, entry, now_ms, SUSPECTED)
                self._suspects.add(work, queue.stream, entry)
            return
        reason = "its owner ended between handing it over and hearing the outcome"
        if self._resend:
            reason = GIVEN_UP
            _log.error("given_up: slot %d message %d: %s", work.slot, entry.sequence, reason)
        self.counts["unknown"] += 1
        outcome = Outcome("unknown", reason=reason)
        work.gave_up(queue.stream, entry, State.UNKNOWN, outcome, now_ms)

    def _try_suspect(self) -> None:
        """Let the next suspect go, once the one before it is over."""
        found = self._suspects.next()
        if found is not None:
            work, stream, entry = found
            work.queues[stream].release(entry)
            self._kick()

    def _resume_held(self, work: SlotWork, queue: SlotQueue, entry: Entry) -> None:
        """A message an earlier owner was going to retry: keep its count and its due time."""
        earlier = work.earlier.pop((queue.stream, entry.sequence), None)
        if earlier is None:
            queue.release(entry)
            return
        entry.attempts = earlier.attempts
        if is_suspect(earlier):
            self._suspects.add(work, queue.stream, entry)
            return
        delay_s = max(0, earlier.due_at_ms - self._clock.wall_ms()) / 1000
        delay_s = min(delay_s, 2 * UPSTREAM_RETRY_AFTER_MAX_S)  # the wall clock may have stepped
        self._release_later(work, queue.stream, entry, delay_s)

    def _load_if_wanted(self, work: SlotWork, queue: SlotQueue) -> None:
        key = (queue.stream, queue.slot)
        if queue.wants_more and key not in self._loading:
            self._loading.add(key)
            self._background.start(self._load(work, queue, key))

    async def _load(self, work: SlotWork, queue: SlotQueue, key: tuple[Stream, int]) -> None:
        try:
            while queue.wants_more and self._is_current(work):
                end = queue.end
                batches = await self._log.read_batches(
                    queue.stream, queue.slot, queue.loaded_to, LOAD_BYTES
                )
                if not self._is_current(work):
                    return
                for stored in batches:
                    self.offer(work, queue, stored)
                if not batches:
                    queue.skip_to(end)
                self._kick()
        except (StoreUnavailable, CorruptData) as error:
            # A damaged slot waits for whoever puts right what the error names; the others go on.
            _log.warning("load_failed: slot %d: %s", queue.slot, error)
            away = isinstance(error, StoreUnavailable)
            await asyncio.sleep(_RELOAD_DELAY_S if away else _REPAIR_DELAY_S)
        finally:
            self._loading.discard(key)
        if self._is_current(work):
            self._load_if_wanted(work, queue)

    # --- sending -----------------------------------------------------------------------------
    def pump(self) -> None:
        """Have handed over what may be sent, once per turn of the loop however often asked."""
        if not self._pump_due:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._background.run, self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        now_s = self._clock.monotonic()
        if not self._lease.valid_at(now_s):
            return
        self._look_for_audience()
        for stream, upstream in self._upstreams.items():
            room = upstream.in_flight_max - self._in_flight[stream]
            if stream is Stream.OUTBOUND:
                room = min(room, self._pacing.room(now_s))
            for handover in self._take(stream, room).parts(upstream.batch_max):
                self._in_flight[stream] += len(handover)
                self._background.start(self._deliver(upstream, handover))
        self._pump_later(self._pacing.wait_s(now_s))

    def _pump_later(self, wait_s: float) -> None:
        # Infinite while no slot is owned: then there is nothing to wake up for.
        if 0 < wait_s < math.inf and self._pump_timer is None:
            self._pump_timer = asyncio.get_running_loop().call_later(wait_s, self._pump_again)

    def _pump_again(self) -> None:
        self._pump_timer = None
        self.pump()

    def _take(self, stream: Stream, room: int) -> Handover:
        """Take up to `room` messages that may go now, from all slots in turn."""
        handover = Handover(stream)
        paced = stream is Stream.OUTBOUND and self._pacing.paces
        for work in self._in_turn(stream):
            if len(handover) >= room:
                break
            queue = work.queues[stream]
            taken = queue.take(room - len(handover))
            for entry in taken if paced else handover.add_plain(work, taken):
                if self._may_go(work, stream, entry):
                    handover.add(work, entry)
            self._load_if_wanted(work, queue)
        return handover

    def _in_turn(self, stream: Stream) -> list[SlotWork]:
        """The slots with something to send, another one first each time: none is always first."""
        works = [work for work in self.works.values() if not work.is_idle(stream)]
        turn = self._rng.randrange(len(works)) if works else 0
        return works[turn:] + works[:turn]

    def _may_go(self, work: SlotWork, stream: Stream, entry: Entry) -> bool:
        """Check expiry and pacing; a message that may not go now is settled or held."""
        now_ms = self._clock.wall_ms()
        attributes = _attributes(entry)
        if attributes is None or entry.arrived or 0 < attributes.expires_at_ms <= now_ms:
            self._settle_unsent(work, stream, entry, attributes, now_ms)
            self._suspects.over([entry])
            self._try_suspect()
            self._kick()
            return False
        if stream is Stream.OUTBOUND:
            delay_s = self._pacing.delay_s(entry.recipient, self._clock.monotonic())
            if delay_s > 0:
                work.queues[stream].hold(entry, ambiguous=False)
                self._release_later(work, stream, entry, delay_s)
                self._kick()
                return False
            self._pacing.take(entry.recipient, self._clock.monotonic())
        return True

    def _settle_unsent(
        self,
        work: SlotWork,
        stream: Stream,
        entry: Entry,
        attributes: Attributes | None,
        now_ms: int,
    ) -> None:
        """Settle a message without sending it (again)."""
        if entry.arrived:
            # An attempt of which nobody knew whether it arrived: a webhook says it did.
            work.sent(stream, entry, Outcome.sent(), now_ms)
        elif attributes is None:
            unreadable = Outcome.failed("its record has an unknown kind or malformed attributes")
            work.gave_up(stream, entry, State.FAILED, unreadable, now_ms)
        else:
            work.gave_up(stream, entry, State.EXPIRED, Outcome("expired", reason="expired"), now_ms)

    async def _deliver(self, upstream: Upstream, handover: Handover) -> None:
        stream = handover.stream
        try:
            messages = handover.messages()
            # A turn of the loop has passed since `pump` looked: the process may have stood still.
            if self._lease.valid_at(self._clock.monotonic()):
                outcomes = await _outcomes(upstream, messages)
            else:
                outcomes = [Outcome.retry("the lease ran out before it was sent")] * len(messages)
        finally:
            self._in_flight[stream] -= len(handover)
        self._look_for_audience()
        self.counts["sent"] += handover.settle(outcomes, self._clock.wall_ms())
        for work, entry, outcome in handover.unsent:
            self._apply(work, stream, entry, outcome)
        self._suspects.over(handover.entries)
        self._try_suspect()
        self._kick()
        self.pump()

    def _apply(self, work: SlotWork, stream: Stream, entry: Entry, outcome: Outcome) -> None:
        now_ms = self._clock.wall_ms()
        if outcome.status == "retry" and entry.arrived:
            self.counts["sent"] += 1
            work.sent(stream, entry, outcome, now_ms)
        elif outcome.status == "retry" and not gives_up(entry.accepted_at_ms, now_ms):
            self.counts["retried"] += 1
            delay_s = retry_delay_s(outcome, entry.attempts + 1, self._rng.random())
            if outcome.number_wide:
                self._pacing.pause_number(self._clock.monotonic() + delay_s)
            work.retry(stream, entry, outcome, now_ms + int(delay_s * 1000))
            self._release_later(work, stream, entry, delay_s)
        else:
            entry.attempts += 1
            doubt = outcome.ambiguous or entry.possible_duplicate
            final = State.UNKNOWN if outcome.status == "retry" and doubt else State.FAILED
            self.counts["unknown" if final is State.UNKNOWN else "failed"] += 1
            work.gave_up(stream, entry, final, outcome, now_ms)

    # --- timers ------------------------------------------------------------------------------
    def _release_later(self, work: SlotWork, stream: Stream, entry: Entry, delay_s: float) -> None:
        work.queues[stream].block(entry)
        self._timer_no += 1
        due_s = self._clock.monotonic() + delay_s
        heapq.heappush(self._timers, (due_s, self._timer_no, work, stream, entry))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timers:
            delay_s = max(0.0, self._timers[0][0] - self._clock.monotonic())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay_s, self._background.run, self._release_due)

    def _release_due(self) -> None:
        now_s = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            _, _, work, stream, entry = heapq.heappop(self._timers)
            if work.is_open:
                work.queues[stream].release(entry)
        self._arm()
        self._kick()


async def _outcomes(upstream: Upstream, messages: list[Message]) -> list[Outcome]:
    """Return one outcome per message; a connector's bug must not lose any."""
    try:
        said = await upstream.send(messages)
        if len(said) != len(messages):
            raise RuntimeError(f"{len(said)} outcomes for {len(messages)} messages")
    except (Exception, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        # Not the text of the error: it may quote a message.
        name = type(error).__name__
        _log.error("upstream_bug: %s; %d messages may have arrived", name, len(messages))
        return [Outcome.retry(f"the upstream raised {name}", ambiguous=True)] * len(messages)
    return [outcome if outcome is SENT else sound(outcome) for outcome in said]


def _records(stored: StoredBatch) -> list[Record]:
    """Return a batch's records; none of one that cannot be read (it stays pending, and is told)."""
    try:
        if stored.body is None:
            raise CorruptData("its body is gone although messages of it are pending")
        return records(stored.body)
    except CorruptData as error:
        _log.error("batch_unreadable: slot %d from %d: %s", stored.slot, stored.base_seq, error)
        return []


def _attributes(entry: Entry) -> Attributes | None:
    """Return a message's attributes, None if the record is none of ours."""
    try:
        return decode_attributes(entry.attributes) if is_known(entry.kind) else None
    except CorruptData:
        return None
