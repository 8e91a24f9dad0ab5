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

Compiled (docs/native.md): every message passes here several times.
"""

from __future__ import annotations

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.coreapp.batches import Batches
from multiconnect.coreapp.claims import Claims
from multiconnect.coreapp.queue_entry import Entry, Loaded, Phase, QueueWrite, Record, new_entry
from multiconnect.coreapp.recipients import Recipients
from multiconnect.limits import SLOT_PARKED_MESSAGES, SLOT_WINDOW_BYTES, SLOT_WINDOW_MESSAGES
from multiconnect.model.log import Mark, StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State, Stream

# As plain numbers: they are compared for every message.
_WAITING, _HELD, _CLAIMING, _CLAIMED, _IN_FLIGHT, _SETTLED = map(int, Phase)
_STATE_HELD, _STATE_SENDING, _STATE_SENT = State.HELD.value, State.SENDING.value, State.SENT.value


class SlotQueue:
    """One stream of one slot, from the first unsettled message on."""

    def __init__(self, stream: Stream, slot: int, tail: StreamTail) -> None:
        self.stream = stream
        self.slot = slot
        #: Every message below is loaded or settled.
        self.loaded_to = tail.settled_below
        self._end = max(tail.next_seq, tail.settled_below)
        self._mark = Mark(stream, slot, tail.watermark, tail.settled_below)
        self._batches = Batches(stream, slot)
        self._recipients = Recipients()
        self._unclaimed: list[Entry] = []
        self._to_claim: dict[int, Entry] = {}
        #: Claimed and first of their recipients: at most WATERMARK_STEP.
        self._ready: list[Entry] = []
        self._claims = Claims(tail.watermark)
        self.in_flight = 0
        self.draining = False
        self._writing = False

    # --- what comes in -----------------------------------------------------------------------
    @property
    def wants_more(self) -> bool:
        """Whether stored messages are not loaded and there is room for them."""
        to = self.loaded_to
        return to < self._end and (self._has_room() or self._claims.unloaded(to) > 0)

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
            self._batches.add(batch)
            self._admit_all(batch, records, stored.accepted_at_ms, loaded)
        self._cover()
        return loaded

    def _admit_all(
        self, batch: BatchStates, records: list[Record], accepted_at_ms: int, loaded: Loaded
    ) -> None:
        for record in records:
            sequence = batch.base_seq + record[0]
            state = batch.get(sequence) & STATE_MASK
            if state < _STATE_SENT:  # all from there on are settled
                self._admit(new_entry(sequence, batch, record, accepted_at_ms), state, loaded)

    def _admit(self, entry: Entry, state: int, loaded: Loaded) -> None:
        self._recipients.add(entry)
        if self._claims.is_in_doubt(entry.sequence, state):
            loaded.in_doubt.append(entry)
        elif state == _STATE_HELD:
            loaded.held.append(entry)
        else:
            self._unclaimed.append(entry)
            return
        entry.phase = _HELD
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
        return self._mark_at(watermark)

    def claimed_ahead(self, mark: Mark) -> None:
        """The mark of `claim_ahead` is durable, and the batch it covers was offered."""
        self._claims.ahead = -1
        self._mark = mark
        self._raise_watermark(mark.watermark)

    @property
    def _claim_room(self) -> int:
        return self._claims.room(self.loaded_to)

    def _raise_watermark(self, watermark: int) -> None:
        self._claims.watermark = max(self._claims.watermark, watermark)
        self._cover()

    def _cover(self) -> None:
        """Turn entries the watermark now covers into claimed ones, or hold them."""
        covered, watermark = 0, self._claims.watermark
        for entry in self._unclaimed:
            if entry.sequence > watermark:
                break
            covered += 1
            if entry.phase == _WAITING:
                self._cover_one(entry)
        del self._unclaimed[:covered]

    def _cover_one(self, entry: Entry) -> None:
        phase = entry.line.first.phase
        may_follow = phase == _WAITING or phase == _CLAIMED or phase == _IN_FLIGHT  # noqa: PLR1714
        if may_follow and not self.draining:
            self._claim(entry)
        else:
            self._write_held(entry)

    def _claim(self, entry: Entry) -> None:
        if entry.phase != _CLAIMING:
            self._claims.count += 1
        entry.phase = _CLAIMED
        if entry.ahead is None:
            self._ready.append(entry)

    def _want_claim(self, entry: Entry) -> None:
        if entry.phase == _HELD and not entry.blocked and not self.draining:
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
        looked_at = 0
        for entry in self._ready:
            if len(taken) >= limit:
                break
            looked_at += 1
            if entry.phase == _CLAIMED:
                entry.phase = _IN_FLIGHT
                taken.append(entry)
        del self._ready[:looked_at]
        self.in_flight += len(taken)
        return taken

    def settle(self, entry: Entry, state: int) -> int:
        """A message is final; return its state (a webhook may have been ahead of the reply).

        One that was given up keeps its recipient waiting until `let_next`.
        """
        is_sent = state == _STATE_SENT
        if is_sent and entry.early is not None:
            state = entry.early
        self._leave(entry)
        entry.phase = _SETTLED
        self._batches.set(entry.batch, entry.sequence, state)
        if self._to_claim:
            self._to_claim.pop(entry.sequence, None)
        entry.batch.unsettled -= 1
        if is_sent:
            self.let_next(entry)
        return state

    def let_next(self, entry: Entry) -> None:
        """The recipient of a settled message goes on."""
        first = self._recipients.remove(entry)
        if first is not None and first.phase == _CLAIMED:
            self._ready.append(first)
        elif first is not None:
            self._want_claim(first)

    def hold(self, entry: Entry, *, ambiguous: bool) -> None:
        """A message must wait (retry, pacing); its recipient waits with it, nobody else.

        `ambiguous`: the attempt may have arrived, so the next one is a possible duplicate.
        """
        if ambiguous:
            entry.batch.add_flag(entry.sequence, DUPLICATE_FLAG)
        for other in entry.line:
            if other is entry or other.phase == _CLAIMED:
                self._leave(other)
                self._write_held(other)
        self._recipients.block(entry)

    def release(self, entry: Entry) -> None:
        """A held message may be tried again."""
        self._recipients.unblock(entry)
        if entry.ahead is None:
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
        batch = self._batches.holding(sequence)
        return None if batch is None else self._advance(batch, sequence, state, data)

    def _advance(
        self, batch: BatchStates, sequence: int, state: State, data: dict[str, object]
    ) -> bool:
        current = State(batch.get(sequence) & STATE_MASK)
        if current in SETTLED:
            changed = batch.advance(sequence, state)
            if changed:
                self._batches.mark(batch)
            return changed
        entry = next((e for e in self._recipients if e.sequence == sequence), None)
        if entry is not None and (entry.early is None or entry.early < state):
            entry.early, entry.early_data = state, data
        return False

    def _leave(self, entry: Entry) -> None:
        if entry.phase == _IN_FLIGHT:
            self.in_flight -= 1
        if _CLAIMING <= entry.phase <= _IN_FLIGHT:
            self._claims.count -= 1

    def _write_held(self, entry: Entry) -> None:
        entry.phase = _HELD
        self._batches.set(entry.batch, entry.sequence, _STATE_HELD)

    # --- handing the slot over ---------------------------------------------------------------
    def drain(self) -> None:
        """Send nothing more; what was claimed and not sent is written back as held."""
        if self.draining:
            return
        self.draining = True
        for entry in self._recipients:
            if entry.phase == _CLAIMED or entry.phase == _CLAIMING:  # noqa: PLR1714
                self._leave(entry)
                self._write_held(entry)
        self._ready.clear()
        self._to_claim.clear()

    def resume(self) -> None:
        """The hand-over was cancelled: send again."""
        self.draining = False
        for entry in self._recipients:
            if entry.ahead is None:
                self._want_claim(entry)

    @property
    def drained(self) -> bool:
        """Nothing in flight and nothing left to write; the next owner finds nothing in doubt.

        (Except what this owner found in doubt itself and had not come to yet.)
        """
        if not self.draining or self.in_flight or self._batches.has_changed() or self._writing:
            return False
        return self._claims.ahead < 0 and not self._claims.unloaded(self.loaded_to)

    # --- writing -----------------------------------------------------------------------------
    @property
    def dirty(self) -> bool:
        """Whether `collect` would return something that matters now."""
        return self._batches.has_changed() or self._wants_claims()

    @property
    def urgent(self) -> bool:
        """Whether what is to be written is waited for: a hand-over, or few are claimed."""
        return self.draining or (self._wants_claims() and self._claims.are_few(self.loaded_to))

    def _wants_claims(self) -> bool:
        return bool(self._to_claim and self._claim_room) or self._next_watermark() is not None

    def _next_watermark(self) -> int | None:
        if self.draining or not self._unclaimed:
            return None
        room = self._claim_room
        return self._unclaimed[min(room, len(self._unclaimed)) - 1].sequence if room else None

    def collect(self, at_ms: int) -> QueueWrite:
        """Return what must be written now; it is considered written until `restore`."""
        self._writing = True
        write = QueueWrite()
        self._collect_claims(write)
        watermark = self._next_watermark()
        write.progress = self._batches.collect(at_ms)
        if watermark is None:
            watermark = self._claims.watermark
        mark = self._mark_at(watermark)
        if mark != self._mark:
            write.mark = mark
        return write

    def _collect_claims(self, write: QueueWrite) -> None:
        for sequence in list(self._to_claim)[: self._claim_room]:
            entry = self._to_claim.pop(sequence)
            if entry.phase == _HELD and not entry.blocked:
                entry.phase = _CLAIMING
                self._claims.count += 1
                self._batches.set(entry.batch, sequence, _STATE_SENDING)
                write.claims.append(entry)

    def confirm(self, write: QueueWrite) -> None:
        """What `collect` returned is durable."""
        self._writing = False
        for entry in write.claims:
            if entry.phase == _CLAIMING:
                self._claim(entry)
        if write.mark is not None:
            self._mark = write.mark
            self._raise_watermark(write.mark.watermark)

    def restore(self, write: QueueWrite) -> None:
        """Nobody knows whether the rows were written: they will be collected again."""
        self._writing = False
        for entry in write.claims:
            if entry.phase == _CLAIMING:
                self._leave(entry)
                self._write_held(entry)
                self._want_claim(entry)
        self._batches.restore(write.progress)

    def _mark_at(self, watermark: int) -> Mark:
        return Mark(self.stream, self.slot, watermark, self._batches.first(self.loaded_to))
