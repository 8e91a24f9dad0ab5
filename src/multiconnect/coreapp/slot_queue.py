"""The messages of one stream of one slot on their way out: who may be sent now, who waits for whom.

Pure: no I/O, no clock. It keeps

* invariant 5: one message in flight per recipient, in sequence order; a retry or a paced message
  blocks its own recipient and nobody else;
* invariant 6: nothing is handed out before it was *claimed* durably. Most messages are claimed by
  the watermark, at most `WATERMARK_STEP` unsettled ones at a time. A message that must wait although
  the watermark covers it is written HELD, and claimed again one by one (SENDING). So after a crash
  exactly the messages that are SENDING, or ACCEPTED at or below the watermark, are in doubt.

Life of an entry: waiting → (claimed) → ready → in flight → settled, or back to held.
`collect` returns what must be written; `confirm` is called once that is durable; `restore` when
nobody knows (the same rows are then collected again: they are absolute values, not changes).
"""

from __future__ import annotations

from collections import deque

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.coreapp.queue_entry import Entry, Loaded, Phase, QueueWrite, Record
from multiconnect.coreapp.recipients import Recipients
from multiconnect.limits import (
    SLOT_PARKED_MESSAGES,
    SLOT_WINDOW_BYTES,
    SLOT_WINDOW_MESSAGES,
    WATERMARK_STEP,
)
from multiconnect.model.log import Mark, Progress, StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State, Stream

class SlotQueue:
    """One stream of one slot, from the first unsettled message on."""

    def __init__(self, stream: Stream, slot: int, tail: StreamTail) -> None:
        self.stream = stream
        self.slot = slot
        #: What the previous owner had claimed: unsettled messages up to here are in doubt.
        self._inherited_watermark = tail.watermark
        self._watermark = tail.watermark
        #: Every message below is loaded or settled.
        self.loaded_to = tail.settled_below
        self._end = max(tail.next_seq, tail.settled_below)
        self._mark = Mark(stream, slot, tail.watermark, tail.settled_below)
        self._batches: dict[int, BatchStates] = {}
        self._recipients = Recipients()
        self._unclaimed: deque[Entry] = deque()
        self._to_claim: dict[int, Entry] = {}
        self._ready: deque[Entry] = deque()
        self._claimed = 0
        self._dirty: dict[int, BatchStates] = {}
        self.in_flight = 0
        self.draining = False
        self._writing = False

    # --- what comes in -----------------------------------------------------------------------
    @property
    def wants_more(self) -> bool:
        """Whether stored messages are not loaded and there is room for them."""
        return self.loaded_to < self._end and self._has_room()

    @property
    def end(self) -> int:
        """The sequence after the last message accepted."""
        return self._end

    @property
    def backlog(self) -> int:
        """Messages accepted and not settled, as far as counted cheaply (an upper bound)."""
        return self._end - self.loaded_to + self._recipients.count

    def _has_room(self) -> bool:
        """Messages behind a blocked recipient do not use up the window of the others."""
        recipients = self._recipients
        return (
            recipients.count - recipients.parked < SLOT_WINDOW_MESSAGES
            and recipients.parked < SLOT_PARKED_MESSAGES
            and recipients.payload_bytes < SLOT_WINDOW_BYTES
        )

    def appended(self, base_seq: int, count: int) -> bool:
        """A batch was stored; True when it should be offered now, False when loaded later."""
        contiguous = self.loaded_to == base_seq == self._end
        self._end = base_seq + count
        return contiguous and self._has_room()

    def extended(self, end_seq: int) -> None:
        """The store holds messages up to `end_seq`, whether we saw them appended or not."""
        self._end = max(self._end, end_seq)

    def skip_to(self, sequence: int) -> None:
        """The store holds nothing unsettled below `sequence`."""
        self.loaded_to = max(self.loaded_to, sequence)

    def offer(self, stored: StoredBatch, records: list[Record]) -> Loaded:
        """Load a batch, in order; return the entries an earlier owner left in doubt or held.

        Both are blocked until the caller resolves (`resend_in_doubt`) or releases them.
        """
        loaded = Loaded()
        if stored.base_seq < self.loaded_to:
            return loaded
        self.loaded_to = stored.base_seq + stored.count
        self._end = max(self._end, self.loaded_to)
        batch = BatchStates(stored.base_seq, stored.states)
        if batch.unsettled:
            self._batches[stored.base_seq] = batch
        for index, kind, recipient, payload, attributes in records:
            state = State(batch.states[index] & STATE_MASK)
            if state not in SETTLED:
                sequence = stored.base_seq + index
                entry = Entry(
                    sequence, batch, kind, recipient, payload, attributes, stored.accepted_at_ms
                )
                self._admit(entry, state, loaded)
        self._cover()
        return loaded

    def _admit(self, entry: Entry, state: State, loaded: Loaded) -> None:
        self._recipients.add(entry)
        if self._is_in_doubt(entry.sequence, state):
            loaded.in_doubt.append(entry)
        elif state is State.HELD:
            loaded.held.append(entry)
        else:
            self._unclaimed.append(entry)
            return
        entry.phase = Phase.HELD
        self._recipients.block(entry)

    def _is_in_doubt(self, sequence: int, state: State) -> bool:
        return state is State.SENDING or (
            state is State.ACCEPTED and sequence <= self._inherited_watermark
        )

    # --- claims ------------------------------------------------------------------------------
    def claim_ahead(self, end_seq: int) -> Mark | None:
        """Return the mark to write together with an append that ends before `end_seq`.

        So a message that can be sent at once is claimed by the very commit that accepts it.
        """
        room = WATERMARK_STEP - self._claimed
        if self.draining or room <= 0 or self._unclaimed or self.loaded_to != self._end:
            return None
        watermark = min(end_seq - 1, max(self._watermark, self._end - 1) + room)
        if watermark <= self._watermark:
            return None
        return Mark(self.stream, self.slot, watermark, self._settled_below())

    def claimed_ahead(self, mark: Mark) -> None:
        """The mark of `claim_ahead` is durable; the batch was (or will be) offered."""
        self._mark = mark
        self._raise_watermark(mark.watermark)

    def _raise_watermark(self, watermark: int) -> None:
        self._watermark = max(self._watermark, watermark)
        self._cover()

    def _cover(self) -> None:
        """Turn entries the watermark now covers into claimed ones, or hold them."""
        unclaimed = self._unclaimed
        while unclaimed and unclaimed[0].sequence <= self._watermark:
            entry = unclaimed.popleft()
            if entry.phase is not Phase.WAITING:
                continue
            first = self._recipients.first(entry.recipient)
            if first.phase in {Phase.HELD, Phase.CLAIMING} or self.draining:
                self._write_held(entry)
            else:
                self._claim(entry)

    def _claim(self, entry: Entry) -> None:
        entry.phase = Phase.CLAIMED
        self._claimed += 1
        if self._is_first(entry):
            self._ready.append(entry)

    def _want_claim(self, entry: Entry) -> None:
        if entry.phase is Phase.HELD and not entry.blocked and not self.draining:
            self._to_claim[entry.sequence] = entry

    # --- sending -----------------------------------------------------------------------------
    def take(self, limit: int) -> list[Entry]:
        """Return up to `limit` messages to hand over now, no two of one recipient."""
        taken: list[Entry] = []
        if self.draining:
            return taken
        while self._ready and len(taken) < limit:
            entry = self._ready.popleft()
            if entry.phase is Phase.CLAIMED:
                entry.phase = Phase.IN_FLIGHT
                self.in_flight += 1
                taken.append(entry)
        return taken

    def settle(self, entry: Entry, state: State) -> State:
        """A message is final; return its state (a webhook may have been ahead of the reply)."""
        if state is State.SENT and entry.early is not None:
            state = entry.early
        self._leave(entry)
        entry.phase = Phase.SETTLED
        self._set(entry, state)
        self._to_claim.pop(entry.sequence, None)
        entry.batch.unsettled -= 1
        first = self._recipients.remove(entry)
        if first is not None:
            self._promote(first)
        return state

    def hold(self, entry: Entry, *, ambiguous: bool) -> None:
        """A message must wait (retry, pacing); its recipient waits with it, nobody else.

        `ambiguous`: the attempt may have arrived, so the next one is a possible duplicate.
        """
        if ambiguous:
            entry.batch.add_flag(entry.sequence, DUPLICATE_FLAG)
        for other in self._recipients.line(entry.recipient):
            if other is entry or other.phase is Phase.CLAIMED:
                self._leave(other)
                self._write_held(other)
        self._recipients.block(entry)

    def release(self, entry: Entry) -> None:
        """A held message may be tried again."""
        self._recipients.unblock(entry)
        if self._is_first(entry):
            self._want_claim(entry)

    def resend_in_doubt(self, entry: Entry) -> None:
        """Send a message in doubt again, marked as a possible duplicate first (invariant 6)."""
        entry.batch.add_flag(entry.sequence, DUPLICATE_FLAG)
        self._write_held(entry)
        self.release(entry)

    def block(self, entry: Entry) -> None:
        """Keep a held message from being tried until `release`."""
        self._recipients.block(entry)

    def advance(self, sequence: int, state: State) -> bool | None:
        """A webhook reports `state` of a message; True if it changed, None if not loaded here."""
        for base_seq, batch in self._batches.items():
            if base_seq <= sequence < base_seq + len(batch.states):
                return self._advance(batch, sequence, state)
        return None

    def _advance(self, batch: BatchStates, sequence: int, state: State) -> bool:
        current = State(batch.get(sequence) & STATE_MASK)
        if current in SETTLED:
            changed = batch.advance(sequence, state)
            if changed:
                self._dirty[batch.base_seq] = batch
            return changed
        entry = next((e for e in self._recipients if e.sequence == sequence), None)
        if entry is None or (entry.early is not None and entry.early >= state):
            return False
        entry.early = state
        return True

    def _is_first(self, entry: Entry) -> bool:
        return self._recipients.first(entry.recipient) is entry

    def _leave(self, entry: Entry) -> None:
        if entry.phase is Phase.IN_FLIGHT:
            self.in_flight -= 1
        if entry.phase in {Phase.IN_FLIGHT, Phase.CLAIMED}:
            self._claimed -= 1

    def _promote(self, entry: Entry) -> None:
        if entry.phase is Phase.CLAIMED:
            self._ready.append(entry)
        else:
            self._want_claim(entry)

    def _write_held(self, entry: Entry) -> None:
        entry.phase = Phase.HELD
        self._set(entry, State.HELD)

    def _set(self, entry: Entry, state: State) -> None:
        entry.batch.set(entry.sequence, state)
        self._dirty[entry.batch.base_seq] = entry.batch

    # --- handing the slot over ---------------------------------------------------------------
    def drain(self) -> None:
        """Send nothing more; what was claimed and not sent is written back as held."""
        if self.draining:
            return
        self.draining = True
        for entry in self._recipients:
            if entry.phase in {Phase.CLAIMED, Phase.CLAIMING}:
                self._leave(entry)
                self._write_held(entry)
        self._ready.clear()
        self._to_claim.clear()

    def resume(self) -> None:
        """The hand-over was cancelled: send again."""
        self.draining = False
        for entry in self._recipients:
            if self._is_first(entry):
                self._want_claim(entry)

    @property
    def drained(self) -> bool:
        """Nothing in flight and nothing left to write; the next owner finds nothing in doubt."""
        return self.draining and not (self.in_flight or self._dirty or self._writing)

    # --- writing -----------------------------------------------------------------------------
    @property
    def dirty(self) -> bool:
        """Whether `collect` would return something that matters now."""
        return bool(self._dirty or self._may_claim_one()) or self._next_watermark() is not None

    def _may_claim_one(self) -> bool:
        return bool(self._to_claim) and self._claimed < WATERMARK_STEP

    def _next_watermark(self) -> int | None:
        room = WATERMARK_STEP - self._claimed
        if self.draining or room <= 0 or not self._unclaimed:
            return None
        last = min(room, len(self._unclaimed)) - 1
        return self._unclaimed[last].sequence

    def collect(self, at_ms: int) -> QueueWrite:
        """Return what must be written now; it is considered written until `restore`."""
        self._writing = True
        write = QueueWrite()
        self._collect_claims(write)
        watermark = self._next_watermark()
        for base_seq, batch in self._dirty.items():
            settled = batch.unsettled == 0
            row = Progress(self.stream, self.slot, base_seq, bytes(batch.states), settled, at_ms)
            write.progress.append(row)
            if settled:
                self._batches.pop(base_seq, None)
        self._dirty = {}
        mark = Mark(
            self.stream, self.slot,
            self._watermark if watermark is None else watermark, self._settled_below(),
        )
        if mark != self._mark:
            write.mark = mark
        return write

    def _collect_claims(self, write: QueueWrite) -> None:
        for sequence in list(self._to_claim)[: max(0, WATERMARK_STEP - self._claimed)]:
            entry = self._to_claim.pop(sequence)
            if entry.phase is Phase.HELD and not entry.blocked:
                entry.phase = Phase.CLAIMING
                self._set(entry, State.SENDING)
                write.claims.append(entry)

    def confirm(self, write: QueueWrite) -> None:
        """What `collect` returned is durable."""
        self._writing = False
        for entry in write.claims:
            if entry.phase is Phase.CLAIMING:
                self._claim(entry)
        if write.mark is not None:
            self._mark = write.mark
            self._raise_watermark(write.mark.watermark)

    def restore(self, write: QueueWrite) -> None:
        """Nobody knows whether the rows were written: they will be collected again."""
        self._writing = False
        for entry in write.claims:
            if entry.phase is Phase.CLAIMING:
                self._write_held(entry)
                self._want_claim(entry)
        for row in write.progress:
            # Settled batches are the status book's by now; it writes them again.
            if not row.settled:
                self._dirty[row.base_seq] = self._batches[row.base_seq]

    def _settled_below(self) -> int:
        return next(iter(self._batches), self.loaded_to)
