"""Everything an owner has in hand for one slot: both queues, late statuses, rows to write, events.

Pure. What happens to a message is applied here and becomes visible outside (events) only once the
rows that say so are durable. Compiled (docs/native.md).
"""

from __future__ import annotations

from multiconnect.coreapp.queue_entry import Entry, QueueWrite
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.coreapp.status_book import StatusBook
from multiconnect.model.log import Failure, Mark, Progress, Retry, SlotTail, UpstreamId
from multiconnect.model.message import Event, Outcome, State, Stream
from multiconnect.model.message_id import encode_id

_OUTBOUND = Stream.OUTBOUND
_SENT = State.SENT.value

_EVENT_OF: dict[int, str] = {
    State.SENT: "sent",
    State.DELIVERED: "delivered",
    State.READ: "read",
    State.FAILED: "failed",
    State.EXPIRED: "expired",
    State.UNKNOWN: "unknown",
}


class SideRows:
    """The sparse rows and the events that wait for the next commit."""

    __slots__ = ("events", "failures", "given_up", "retries", "retries_done", "upstream_ids")

    def __init__(self) -> None:
        self.retries: dict[tuple[Stream, int], Retry] = {}
        self.retries_done: set[tuple[Stream, int]] = set()
        self.failures: list[Failure] = []
        self.upstream_ids: list[UpstreamId] = []
        #: Settled and not sent; their recipients wait until that is durable.
        self.given_up: list[tuple[Stream, Entry]] = []
        self.events: list[Event] = []

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(
            self.retries or self.retries_done or self.failures or self.upstream_ids or self.events
        )

    def before(self, later: SideRows) -> SideRows:
        """Return these rows followed by `later` ones; for the same message the later row holds."""
        rows = SideRows()
        rows.retries = {k: v for k, v in self.retries.items() if k not in later.retries_done}
        rows.retries |= later.retries
        rows.retries_done = {k for k in self.retries_done if k not in later.retries}
        rows.retries_done |= later.retries_done
        rows.failures = self.failures + later.failures
        rows.upstream_ids = self.upstream_ids + later.upstream_ids
        rows.given_up = self.given_up + later.given_up
        rows.events = self.events + later.events
        return rows


#: Those of a slot that has none, which is most of them: nothing is ever put into it.
_NO_ROWS = SideRows()


class WorkWrite:
    """What one slot wants written with the next commit."""

    __slots__ = ("late", "queues", "rows")

    def __init__(
        self, queues: dict[Stream, QueueWrite], late: list[Progress], rows: SideRows
    ) -> None:
        self.queues = queues
        self.late = late
        self.rows = rows

    def progress(self) -> list[Progress]:
        """Return all state rows."""
        return [row for write in self.queues.values() for row in write.progress] + self.late

    def marks(self) -> list[Mark]:
        """Return all position rows."""
        return [write.mark for write in self.queues.values() if write.mark is not None]


class SlotWork:
    """One owned slot's messages in hand."""

    def __init__(self, tail: SlotTail, cluster: int) -> None:
        self.slot = tail.slot
        self.epoch = tail.epoch
        self.cluster = cluster
        self.queues = {
            stream: SlotQueue(stream, tail.slot, tail.streams[stream]) for stream in Stream
        }
        self._outbound, self._inbound = self.queues[Stream.OUTBOUND], self.queues[Stream.INBOUND]
        self.books = {stream: StatusBook(stream, tail.slot) for stream in Stream}
        self._rows = SideRows()
        #: Whether this owner still has the slot; outcomes for another one are nobody's.
        self.is_open = True
        #: Whether anybody wants events: without an audience none are made.
        self.has_audience = True
        #: Attempts made by earlier owners, by (stream, sequence).
        self.earlier = {(r.stream, r.sequence): r for r in tail.retries}

    @property
    def dirty(self) -> bool:
        """Whether something must be written."""
        for queue in self.queues.values():
            if queue.dirty:
                return True
        for book in self.books.values():
            if book.dirty:
                return True
        return bool(self._rows)

    @property
    def urgent(self) -> bool:
        """Whether what must be written is waited for."""
        return any(queue.urgent for queue in self.queues.values()) and self.dirty

    @property
    def drained(self) -> bool:
        """Whether nothing is in flight and nothing is left to write."""
        return (
            not self._rows
            and all(q.drained for q in self.queues.values())
            and not any(b.dirty for b in self.books.values())
        )

    def drain(self) -> None:
        """Send nothing more."""
        for queue in self.queues.values():
            queue.drain()

    def resume(self) -> None:
        """The hand-over was cancelled: send again."""
        for queue in self.queues.values():
            queue.resume()

    def queue(self, stream: Stream) -> SlotQueue:
        """Return the queue of a stream."""
        return self._outbound if stream is _OUTBOUND else self._inbound

    def is_idle(self, stream: Stream) -> bool:
        """Whether a queue has nothing to send and nothing to load."""
        return self.queue(stream).is_idle

    def message_id(self, stream: Stream, sequence: int) -> str:
        """Return the id of a message of this slot."""
        return encode_id(self.cluster, self.slot, sequence, stream)

    # --- what happens to a message -----------------------------------------------------------
    def sent(self, stream: Stream, entry: Entry, outcome: Outcome, now_ms: int) -> None:
        """The upstream took it."""
        duplicate = entry.is_marked()
        state = self.queue(stream).settle(entry, _SENT)
        if entry.attempts:
            self._attempts_over(stream, entry)
        if outcome.upstream_id is not None:
            row = UpstreamId(stream, self.slot, entry.sequence, outcome.upstream_id)
            self._rows.upstream_ids.append(row)
        if stream is _OUTBOUND and self.has_audience:
            self._tell(_SENT, entry.sequence, entry.recipient, now_ms, duplicate)
            if state != _SENT:
                early = entry.early_data
                self._tell(state, entry.sequence, entry.recipient, now_ms, duplicate, early)

    def gave_up(
        self, stream: Stream, entry: Entry, state: State, outcome: Outcome, now_ms: int
    ) -> None:
        """It is failed, expired or unknown.

        The next message of its recipient waits until that is durable. An owner that comes after a
        crash might see it otherwise (by its wall clock it has not expired) and send it late.
        """
        duplicate = entry.is_marked()
        self.queue(stream).settle(entry, state)
        self._rows.given_up.append((stream, entry))
        if entry.attempts:
            self._attempts_over(stream, entry)
        self._rows.failures.append(
            Failure(
                stream,
                self.slot,
                entry.sequence,
                entry.attempts,
                now_ms,
                outcome.code,
                outcome.reason,
            )
        )
        if stream is _OUTBOUND and self.has_audience:
            data: dict[str, object] = {"code": outcome.code, "reason": outcome.reason}
            self._tell(state, entry.sequence, entry.recipient, now_ms, duplicate, data)

    def retry(self, stream: Stream, entry: Entry, outcome: Outcome, due_at_ms: int) -> None:
        """It will be tried again."""
        entry.attempts += 1
        entry.early = None
        self.queues[stream].hold(entry, ambiguous=outcome.ambiguous)
        key = (stream, entry.sequence)
        self._rows.retries_done.discard(key)
        self._rows.retries[key] = Retry(
            stream,
            self.slot,
            entry.sequence,
            entry.attempts,
            due_at_ms,
            outcome.code,
            outcome.reason,
        )

    def suspect(self, stream: Stream, entry: Entry, now_ms: int, reason: str) -> None:
        """It may be what ends owners: say so before it is sent again."""
        entry.attempts = max(entry.attempts, 2)
        self._rows.retries[stream, entry.sequence] = Retry(
            stream, self.slot, entry.sequence, entry.attempts, now_ms, None, reason
        )

    def status(
        self, sequence: int, recipient: str, state: State, now_ms: int, data: dict[str, object]
    ) -> bool | None:
        """A webhook reports on an outbound message; None: its batch must be read back first."""
        changed = self.queues[Stream.OUTBOUND].advance(sequence, state, data)
        if changed is None:
            changed = self.books[Stream.OUTBOUND].advance(sequence, state)
        if changed and self.has_audience:
            self._tell(state, sequence, recipient, now_ms, duplicate=False, data=data)
        return changed

    def _attempts_over(self, stream: Stream, entry: Entry) -> None:
        self._rows.retries.pop((stream, entry.sequence), None)
        self._rows.retries_done.add((stream, entry.sequence))

    def _tell(
        self,
        state: int,
        sequence: int,
        recipient: str,
        now_ms: int,
        duplicate: bool,
        data: dict[str, object] | None = None,
    ) -> None:
        message_id = encode_id(self.cluster, self.slot, sequence)
        said = (_EVENT_OF[state], message_id, recipient, self.slot, now_ms, duplicate, data or {})
        # Not Event(…): that is a Python function of its own, three times as slow.
        self._rows.events.append(tuple.__new__(Event, said))

    # --- writing -----------------------------------------------------------------------------
    def collect(self, at_ms: int) -> WorkWrite:
        """Return what must be written now; considered written until `restore`."""
        queues = {s: queue.collect(at_ms) for s, queue in self.queues.items() if queue.dirty}
        for stream, write in queues.items():
            for row in write.progress:
                if row.settled:
                    self.books[stream].settled(row)
        late = [row for book in self.books.values() for row in book.collect(at_ms)]
        rows = _NO_ROWS
        if self._rows:
            rows, self._rows = self._rows, SideRows()
        return WorkWrite(queues, late, rows)

    def confirm(self, write: WorkWrite) -> list[Event]:
        """What was collected is durable; return what may now be told."""
        for stream, queue_write in write.queues.items():
            self.queues[stream].confirm(queue_write)
        for book in self.books.values():
            book.confirm()
        for stream, entry in write.rows.given_up:
            self.queues[stream].let_next(entry)
        return write.rows.events

    def restore(self, write: WorkWrite) -> None:
        """Nobody knows whether it was written: it will be collected again."""
        for stream, queue_write in write.queues.items():
            self.queues[stream].restore(queue_write)
        for book in self.books.values():
            book.restore()
        self._rows = write.rows.before(self._rows)
