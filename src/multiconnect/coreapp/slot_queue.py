"""The messages of one stream of one slot on their way out: who may be sent now, who waits for whom.

Pure: no I/O, no clock. It keeps

* invariant 5: one message in flight per recipient, in sequence order; a retry or a paced message
  blocks its own recipient and nobody else;
* invariant 6: nothing is handed out before it was *claimed* durably. Most messages are claimed by
  the watermark. A message that must wait although the watermark covers it is written HELD, and
  claimed again one by one (SENDING). Of both kinds together at most `WATERMARK_STEP` are unsettled
  at a time. So after a crash exactly the messages that are SENDING, or ACCEPTED at or below the
  watermark, are in doubt.

Life of an entry: waiting → (claimed) → ready → in flight → settled, or back to held.
`collect` returns what must be written; `confirm` is called once that is durable; `restore` when
nobody knows (the same rows are then collected again: they are absolute values, not changes).
"""

from __future__ import annotations

from collections import deque

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.coreapp.claims import Claims
from multiconnect.coreapp.queue_entry import Entry, Loaded, Phase, QueueWrite, Record
from multiconnect.coreapp.recipients import Recipients
from multiconnect.limits import SLOT_PARKED_MESSAGES, SLOT_WINDOW_BYTES, SLOT_WINDOW_MESSAGES
from multiconnect.model.log import Mark, Progress, StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State, Stream


class SlotQueue:
    """One stream of one slot, from the first unsettled message on."""

    def __init__(self, stream: Stream, slot: int, tail: StreamTail) -> None:
        self.stream = stream
        self.slot = slot
        #: Every message below is loaded or settled.
        self.loaded_to = tail.settled_below
        self._end = max(tail.next_seq, tail.settled_below)
        self._mark = Mark(stream, slot, tail.watermark, tail.settled_below)
        self._batches: dict[int, BatchStates] = {}
        self._recipients = Recipients()
        self._unclaimed: deque[Entry] = deque()
        self._to_claim: dict[int, Entry] = {}
        self._ready: deque[Entry] = deque()
        self._claims = Claims(tail.watermark)
        self._dirty: dict[int, BatchStates] = {}
        self.in_flight = 0
        self.draining = False
        self._writing = False

    # --- what comes in -----------------------------------------------------------------------
    @property
    def wants_more(self) -> bool:
        """Whether stored messages are not loaded and there is room for them."""
        return self.loaded_to < self._end and (self._has_room() or self._unloaded > 0)

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

    def extended(self, tail: StreamTail) -> None:
        """The tail was read anew: it may hold appends and a watermark that nobody confirmed."""
        self._end = max(self._end, tail.next_seq)
        self._claims.ahead = -1
        self._raise_watermark(tail.watermark)

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
        states, base_seq, accepted_at_ms = batch.states, stored.base_seq, stored.accepted_at_ms
        for index, kind, recipient, payload, attributes in records:
            state = states[index] & STATE_MASK
            if state not in SETTLED:
                entry = Entry(
                    base_seq + index, batch, kind, recipient, payload, attributes, accepted_at_ms
                )
                self._admit(entry, state, loaded)
        self._cover()
        return loaded

    def _admit(self, entry: Entry, state: int, loaded: Loaded) -> None:
        self._recipients.add(entry)
        if self._claims.is_in_doubt(entry.sequence, state):
            loaded.in_doubt.append(entry)
        elif state == State.HELD:
            loaded.held.append(entry)
        else:
            self._unclaimed.append(entry)
            return
        entry.phase = Phase.HELD
        self._recipients.block(entry)

    # --- claims ------------------------------------------------------------------------------
    def claim_ahead(self, end_seq: int) -> Mark | None:
        """Return the mark to write together with an append that ends before `end_seq`.

        So a message that can be sent at once is claimed by the very commit that accepts it.
        """
        claims, room = self._claims, self._claim_room
        if self.draining or not room or self._unclaimed or self.loaded_to != self._end:
            return None
        watermark = min(end_seq - 1, max(claims.watermark, self._end - 1) + room)
        if watermark <= claims.watermark:
            return None
        claims.ahead = watermark
        return Mark(self.stream, self.slot, watermark, self._settled_below())

    def claimed_ahead(self, mark: Mark) -> None:
        """The mark of `claim_ahead` is durable, and the batch it covers was offered."""
        self._claims.ahead = -1
        self._mark = mark
        self._raise_watermark(mark.watermark)

    @property
    def _claim_room(self) -> int:
        return self._claims.room(self.loaded_to)

    @property
    def _unloaded(self) -> int:
        return self._claims.unloaded(self.loaded_to)

    def _raise_watermark(self, watermark: int) -> None:
        self._claims.watermark = max(self._claims.watermark, watermark)
        self._cover()

    def _cover(self) -> None:
        """Turn entries the watermark now covers into claimed ones, or hold them."""
        unclaimed = self._unclaimed
        while unclaimed and unclaimed[0].sequence <= self._claims.watermark:
            entry = unclaimed.popleft()
            if entry.phase is not Phase.WAITING:
                continue
            first = self._recipients.first(entry.recipient)
            if first.phase in {Phase.HELD, Phase.CLAIMING, Phase.SETTLED} or self.draining:
                self._write_held(entry)
            else:
                self._claim(entry)

    def _claim(self, entry: Entry) -> None:
        if entry.phase is not Phase.CLAIMING:
            self._claims.count += 1
        entry.phase = Phase.CLAIMED
        if self._is_first(entry):
            self._ready.append(entry)

    def _want_claim(self, entry: Entry) -> None:
        if entry.phase is Phase.HELD and not entry.blocked and not self.draining:
            self._to_claim[entry.sequence] = entry

    # --- sending -----------------------------------------------------------------------------
    @property
    def is_idle(self) -> bool:
        """Whether `take` would return nothing and nothing is waiting to be loaded."""
        return not self._ready and not self.wants_more

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
        """A message is final; return its state (a webhook may have been ahead of the reply).

        One that was given up keeps its recipient waiting until `let_next`.
        """
        is_sent = state is State.SENT
        if is_sent and entry.early is not None:
            state = entry.early
        self._leave(entry)
        entry.phase = Phase.SETTLED
        self._set(entry, state)
        self._to_claim.pop(entry.sequence, None)
        entry.batch.unsettled -= 1
        if is_sent:
            self.let_next(entry)
        return state

    def let_next(self, entry: Entry) -> None:
        """The recipient of a settled message goes on."""
        first = self._recipients.remove(entry)
        if first is not None and first.phase is Phase.CLAIMED:
            self._ready.append(first)
        elif first is not None:
            self._want_claim(first)

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

    def advance(self, sequence: int, state: State, data: dict[str, object]) -> bool | None:
        """A webhook reports `state` of a message; True if it changed, None if not loaded here.

        What is reported before the outcome is known is kept for `settle` (no change yet).
        """
        for base_seq, batch in self._batches.items():
            if base_seq <= sequence < base_seq + len(batch.states):
                return self._advance(batch, sequence, state, data)
        return None

    def _advance(
        self, batch: BatchStates, sequence: int, state: State, data: dict[str, object]
    ) -> bool:
        current = State(batch.get(sequence) & STATE_MASK)
        if current in SETTLED:
            changed = batch.advance(sequence, state)
            if changed:
                self._dirty[batch.base_seq] = batch
            return changed
        entry = next((e for e in self._recipients if e.sequence == sequence), None)
        if entry is not None and (entry.early is None or entry.early < state):
            entry.early, entry.early_data = state, data
        return False

    def _is_first(self, entry: Entry) -> bool:
        return self._recipients.first(entry.recipient) is entry

    def _leave(self, entry: Entry) -> None:
        if entry.phase is Phase.IN_FLIGHT:
            self.in_flight -= 1
        if entry.phase in {Phase.CLAIMING, Phase.CLAIMED, Phase.IN_FLIGHT}:
            self._claims.count -= 1

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
        """Nothing in flight and nothing left to write; the next owner finds nothing in doubt.

        (Except what this owner found in doubt itself and had not come to yet.)
        """
        unwritten = self._dirty or self._writing or self._claims.ahead >= 0 or self._unloaded
        return self.draining and not (self.in_flight or unwritten)

    # --- writing -----------------------------------------------------------------------------
    @property
    def dirty(self) -> bool:
        """Whether `collect` would return something that matters now."""
        may_claim = bool(self._to_claim) and self._claim_room > 0
        return bool(self._dirty) or may_claim or self._next_watermark() is not None

    def _next_watermark(self) -> int | None:
        if self.draining or not self._unclaimed:
            return None
        room = self._claim_room
        if not room:
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
        if watermark is None:
            watermark = self._claims.watermark
        mark = Mark(self.stream, self.slot, watermark, self._settled_below())
        if mark != self._mark:
            write.mark = mark
        return write

    def _collect_claims(self, write: QueueWrite) -> None:
        for sequence in list(self._to_claim)[: self._claim_room]:
            entry = self._to_claim.pop(sequence)
            if entry.phase is Phase.HELD and not entry.blocked:
                entry.phase = Phase.CLAIMING
                self._claims.count += 1
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
                self._leave(entry)
                self._write_held(entry)
                self._want_claim(entry)
        for row in write.progress:
            # Settled batches are the status book's by now; it writes them again.
            if not row.settled:
                self._dirty[row.base_seq] = self._batches[row.base_seq]

    def _settled_below(self) -> int:
        return next(iter(self._batches), self.loaded_to)
