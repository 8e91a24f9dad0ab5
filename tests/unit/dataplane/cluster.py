"""A whole data plane in memory, one step at a time: owners, wires, a log with a fence.

The owners decide with the real `OwnedSlot` and `Planner`; the log keeps the fence of design §6.2.
Nothing happens by itself: a test delivers, loses, moves and kills.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import partial

from multiconnect._native import records, split_batches
from multiconnect.coreapp.group import Entry, Planner, Submitted, keyed_records
from multiconnect.coreapp.owned_slot import OwnedSlot
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.limits import SLOTS
from multiconnect.model.log import Answer, SlotTail, StreamTail
from multiconnect.model.message import Stream
from multiconnect.model.shard_map import Owner, ShardMap, SlotOwnership


@dataclass
class SlotLog:
    """One slot as the store has it."""

    epoch: int = 0
    owner: str | None = None
    messages: list[bytes] = field(default_factory=list)
    producers: dict[tuple[Stream, int], tuple[Answer, ...]] = field(default_factory=dict)

    def tail(self, slot: int) -> SlotTail:
        ends = {stream: StreamTail() for stream in Stream}
        ends[Stream.OUTBOUND] = StreamTail(next_seq=len(self.messages))
        return SlotTail(slot, self.epoch, ends, dict(self.producers))


class FencedLog:
    """The store: who owns what under which epoch, and what was appended."""

    def __init__(self) -> None:
        self.slots = [SlotLog() for _ in range(SLOTS)]
        self.version = 1

    def grant(self, slot: int, owner: str | None) -> None:
        row = self.slots[slot]
        # A release leaves the epoch as it is; a grant is always the next one.
        row.epoch += owner is not None
        row.owner = owner
        self.version += 1

    def map(self) -> ShardMap:
        def ownership(row: SlotLog) -> SlotOwnership:
            owner = Owner(row.owner, row.owner, "local:") if row.owner else None
            return SlotOwnership(row.epoch, owner)

        return ShardMap(self.version, 7, 1, tuple(map(ownership, self.slots)))

    def commit(self, owner: str, appends, epochs) -> frozenset[int]:
        refused = frozenset(
            slot for slot, epoch in epochs.items()
            if (self.slots[slot].owner, self.slots[slot].epoch) != (owner, epoch)
        )  # fmt: skip
        for append in appends:
            if append.slot not in refused:
                self._append(append)
        return refused

    def _append(self, append) -> None:
        row = self.slots[append.slot]
        assert append.base_seq == len(row.messages), "sequences without gaps"
        row.messages += [payload for _, _, _, payload, _ in records(append.body)]
        row.producers[append.stream, append.producer] = append.answers


class FakeOwner:
    """An owner's intake: a queue, the real planner, one commit at a time."""

    def __init__(self, name: str, log: FencedLog) -> None:
        self.name = name
        self._log = log
        self._owned: dict[int, OwnedSlot] = {}
        self.queue: deque[Submitted] = deque()

    def follow(self) -> None:
        """Open what is granted, forget what is not."""
        for slot, row in enumerate(self._log.slots):
            if row.owner != self.name:
                self._owned.pop(slot, None)
            elif slot not in self._owned or self._owned[slot].epoch != row.epoch:
                self._owned[slot] = OwnedSlot(row.tail(slot))

    def commit(self, most: int) -> None:
        """Store and answer up to `most` batches."""
        planned = self._plan(most)
        plan = planned.plan
        epochs = {slot: owned.epoch for slot, owned in plan.slots.items()}
        refused = self._log.commit(self.name, plan.appends(), epochs)
        for slot, owned in plan.slots.items():
            if slot in refused:
                self._owned.pop(slot, None)
            else:
                self._owned[slot] = owned
        for batch, answer in plan.answers:
            if batch.header.slot in refused:
                batch.answer(AnswerStatus.NOT_OWNER)
            else:
                batch.answer(AnswerStatus.STORED, answer.base_seq, answer.exceptions)

    def commit_in_doubt(self, most: int, *, applied: bool) -> None:
        """The store does not say whether it committed: everybody comes again."""
        batches = list(self.queue)[:most]
        plan = self._plan(most).plan
        if applied:
            epochs = {slot: owned.epoch for slot, owned in plan.slots.items()}
            self._log.commit(self.name, plan.appends(), epochs)
        for batch in [*batches, *self.queue]:
            batch.answer(AnswerStatus.BUSY)
        self.queue.clear()
        self._owned.clear()
        self.follow()

    def _plan(self, most: int) -> Planner:
        planner = Planner(self._owned, {}, now_ms=0)
        for _ in range(min(most, len(self.queue))):
            batch = self.queue.popleft()
            planner.add(batch, keyed_records(batch))
        return planner


class Wire:
    """A link and the connection behind it: frames one way, answers the other, both in order."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.ready = True
        self.closed = False
        self.frames_in_flight = 0
        self.bytes_in_flight = 0
        self.problem = ""
        self.frames: deque[bytes] = deque()
        self.answers: deque[tuple[Entry, list[int]]] = deque()
        self._life = 0

    # --- the router's side -------------------------------------------------------------------
    def submit(self, parts, batches: int, size: int) -> None:
        assert self.ready
        assert batches == len(parts)
        assert size == sum(map(len, parts))
        self.frames_in_flight += 1
        self.bytes_in_flight += size
        self.frames.append(b"".join(parts))

    def close(self) -> None:
        self.closed = True
        self.lose()

    # --- the network -------------------------------------------------------------------------
    def lose(self) -> None:
        self.ready = False
        self._life += 1
        self.frames.clear()
        self.answers.clear()
        self.frames_in_flight = self.bytes_in_flight = 0

    def deliver_to(self, owner: FakeOwner) -> None:
        """One frame arrives."""
        frame = self.frames.popleft()
        batches = split_batches(frame)
        left = [len(batches), len(frame), self._life]
        for header, data in batches:
            owner.queue.append(Submitted(header, data, partial(self._answered, left)))

    def _answered(self, left: list[int], entry: Entry) -> None:
        if left[2] == self._life:
            self.answers.append((entry, left))

    def take_answers(self, most: int) -> list[Entry]:
        """Up to `most` answers reach the router."""
        taken = []
        for _ in range(min(most, len(self.answers))):
            entry, left = self.answers.popleft()
            left[0] -= 1
            if left[0] == 0:
                self.frames_in_flight -= 1
                self.bytes_in_flight -= left[1]
            taken.append(entry)
        return taken
