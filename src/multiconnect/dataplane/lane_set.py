"""All lanes of one router: which slot goes over which link, and what is flushed when.

No I/O and no clock of its own: links are handed in, time is an argument. One flush builds at most
one frame per link, carrying the batches of all its slots (a frame costs about 10 µs per connection
whatever it holds, perf.md A3b). While a link has frames unanswered the open batches keep growing:
group commit forms by itself.

Keeps invariant 8 (nothing known about a slot's epoch ever goes back) and the router's half of 12
(`parked_bytes` is what the router holds; the caller bounds it).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from multiconnect._native import Packer, read_header, slot_counts
from multiconnect.dataplane.receipts import ManySink, Promise, Receipts, one_sink
from multiconnect.dataplane.renumber import renumbered
from multiconnect.dataplane.slot_lane import LaneVerdict, Sink, SlotLane, Waiter
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.limits import LINK_BYTES_IN_FLIGHT_MAX, PRODUCER_ROTATE_S, SLOTS
from multiconnect.model.log import AnswerException
from multiconnect.model.message import Stream
from multiconnect.model.shard_map import Owner, ShardMap

#: Frames one link may have unanswered: one being committed, one on its way.
FRAMES_IN_FLIGHT_MAX = 2
FRAME_FILL_BYTES = 4 * 1024 * 1024
#: So much for each owner is sent at once, not at the end of the turn: the owner works on it while
#: the rest is packed, and answers it while it works on the rest. Less would leave an owner with too
#: many commits, each of which costs something however little it holds (docs/performance.md).
FRAME_EARLY_BYTES = 1536 * 1024
#: How long a lane rests after "busy", and after "not owner" when no new map has come. The latter is
#: mostly said by a new owner that has not read the map yet, and is over in a few milliseconds.
BUSY_REST_S = 0.05
NOT_OWNER_REST_S = 0.005

# Reading a member of an Enum class takes longer than the comparison it is for.
_STORED = AnswerStatus.STORED

#: (slot, stream, status, producer, producer_seq, value, exceptions), see docs/native.md.
AnswerEntry = tuple[int, int, int, int, int, int, Sequence[AnswerException]]


class Link(Protocol):
    """One connection to one owner, as the lane set sees it."""

    owner: Owner
    ready: bool
    frames_in_flight: int
    bytes_in_flight: int
    #: Why the owner cannot be used now; "" while it can.
    problem: str

    def submit(self, parts: list[bytes], batches: int, size: int) -> None:
        """Send the batches as one frame."""

    def close(self) -> None:
        """Give the connection up."""


class LaneSet:
    """The lanes of both streams, and the links they use under the newest map."""

    def __init__(
        self,
        packers: dict[Stream, Packer],
        new_producer: Callable[[], int],
        make_link: Callable[[Owner], Link],
    ) -> None:
        self._packers = packers
        self._all_packers = tuple(packers.values())
        self._new_producer = new_producer
        self._make_link = make_link
        self.lanes: dict[tuple[int, int], SlotLane] = {
            (stream, slot): SlotLane(slot, new_producer())
            for stream in packers
            for slot in range(SLOTS)
        }
        self.map: ShardMap | None = None
        self._cluster, self._shards = 0, 1
        self.links: dict[str, Link] = {}
        self._epochs = [-1] * SLOTS
        self._owners: list[str | None] = [None] * SLOTS
        self._heirs: list[str | None] = [None] * SLOTS
        #: Per owner, the bit mask of its slots.
        self._slots_of: dict[str, int] = {}
        #: Per stream, slots with numbered batches to send (again).
        self._resend: dict[int, int] = dict.fromkeys(packers, 0)
        self._numbered_bytes = 0
        #: Times an owner knew less than it had acknowledged; anything but 0 deserves an alarm.
        self.history_lost = 0

    @property
    def parked_bytes(self) -> int:
        """Bytes held for messages that are not acknowledged."""
        return self._numbered_bytes + self._packed()

    def _packed(self) -> int:
        packed = 0
        for packer in self._all_packers:
            packed += packer.pending_bytes
        return packed

    def problems(self) -> str:
        """Return what is wrong with links, for whoever waits for an answer in vain."""
        return "; ".join(sorted(filter(None, (link.problem for link in self.links.values()))))

    # --- the map -----------------------------------------------------------------------------
    def apply_map(self, new: ShardMap) -> None:
        """Adopt a map; slots whose epoch would go back keep what is known (invariant 8)."""
        is_newer = self.map is None or new.version >= self.map.version
        if is_newer:
            self.map = new
            self._cluster, self._shards = new.cluster, new.shards
        for slot, ownership in enumerate(new.slots):
            # A slot that was released keeps its epoch: then the version tells old from new.
            if ownership.epoch < self._epochs[slot] + (not is_newer):
                continue
            owner = ownership.owner
            incarnation = owner.incarnation if owner else None
            moved = incarnation != self._owners[slot] or ownership.epoch > self._epochs[slot]
            self._epochs[slot] = ownership.epoch
            self._owners[slot] = incarnation
            self._heirs[slot] = ownership.heir.incarnation if ownership.heir else None
            # An heir is connected to in advance, so that its first message need not wait for it.
            for one in filter(None, (owner, ownership.heir)):
                if one.incarnation not in self.links:
                    self.links[one.incarnation] = self._make_link(one)
            if moved:
                self._rewind(slot)
        self._recount_slots()

    def _recount_slots(self) -> None:
        self._slots_of = {}
        for slot, incarnation in enumerate(self._owners):
            if incarnation:
                self._slots_of[incarnation] = self._slots_of.get(incarnation, 0) | 1 << slot
        wanted = self._slots_of.keys() | self._heirs
        for incarnation in [i for i in self.links if i not in wanted]:
            self.links.pop(incarnation).close()

    def link_lost(self, link: Link) -> None:
        """Nothing sent over the link will be answered: its slots send again from the oldest."""
        for slot in _bits(self._slots_of.get(link.owner.incarnation, 0)):
            self._rewind(slot)

    def _rewind(self, slot: int) -> None:
        for stream in self._packers:
            lane = self.lanes[stream, slot]
            lane.held_until_s = 0.0
            if lane.unanswered:
                lane.rewind()
                self._resend[stream] |= 1 << slot

    # --- waiting -----------------------------------------------------------------------------
    def wait(self, stream: Stream, slot: int, waiter: Waiter) -> None:
        """Let the waiter know when its records are stored."""
        lane = self.lanes[stream, slot]
        lane.wait(waiter)

    def wait_for_one(self, stream: Stream, slot: int, promise: Promise, deadline_s: float) -> None:
        """Let the promise know when the record that was just packed is stored."""
        ordinal = self._packers[stream].appended(slot) - 1
        self.wait(
            stream,
            slot,
            one_sink(promise, ordinal, deadline_s, self._cluster, self._shards, stream),
        )

    def wait_for_many(
        self,
        stream: Stream,
        slots: bytes,
        future: asyncio.Future[Receipts],
        deadline_s: float,
    ) -> None:
        """Let the future know when the records that were just packed are stored."""
        sink = ManySink(future, slots, deadline_s, self._cluster, self._shards)
        packer = self._packers[stream]
        for slot, count in slot_counts(slots):
            first = packer.appended(slot) - count
            self.wait(stream, slot, sink.expect(slot, first, count))

    def expired(self, now_s: float) -> list[Sink]:
        """Return, and forget, the sinks whose deadline has passed."""
        waited_for = [lane for lane in self.lanes.values() if lane.waiters]
        return [sink for lane in waited_for for sink in lane.expired(now_s)]

    def drop_all(self) -> list[Sink]:
        """Forget all that is queued, packed or not; return who was waiting for it."""
        self._numbered_bytes = 0
        for packer in self._packers.values():
            for slot in _bits(packer.pending):
                while packer.take(slot, 0, 0, 0) is not None:
                    pass
        return [sink for lane in self.lanes.values() for sink in lane.drop_all()]

    # --- sending -----------------------------------------------------------------------------
    def flush(self, now_s: float, wall_ms: int) -> None:
        """Send what may be sent: at most one frame per link."""
        for link in self.links.values():
            while self._may_submit(link) and self._fill(link, now_s, wall_ms):
                pass

    def has_full_frames(self) -> bool:
        """Whether so much is packed that waiting for more would only leave the owners idle."""
        return self._packed() >= FRAME_EARLY_BYTES * len(self.links)

    def has_work(self) -> bool:
        """Whether anything waits to be sent."""
        return any(p.pending or self._resend[s] for s, p in self._packers.items())

    def _may_submit(self, link: Link) -> bool:
        return (
            link.ready
            and link.frames_in_flight < FRAMES_IN_FLIGHT_MAX
            and link.bytes_in_flight < LINK_BYTES_IN_FLIGHT_MAX
        )

    def _fill(self, link: Link, now_s: float, wall_ms: int) -> bool:
        """Build and submit one frame for the link; False when there is nothing for it."""
        parts: list[bytes] = []
        size = 0
        mine = self._slots_of.get(link.owner.incarnation, 0)
        for stream, packer in self._packers.items():
            for slot in _bits((packer.pending | self._resend[stream]) & mine):
                if size >= FRAME_FILL_BYTES:
                    break
                lane = self.lanes[stream, slot]
                if lane.held_until_s <= now_s:
                    size += self._take(stream, lane, parts, now_s, wall_ms)
        if parts:
            link.submit(parts, len(parts), size)
        return bool(parts)

    def _take(
        self, stream: Stream, lane: SlotLane, parts: list[bytes], now_s: float, wall_ms: int
    ) -> int:
        """Move the lane's next batches to `parts`: those to resend, then newly packed ones."""
        packer, slot, size = self._packers[stream], lane.slot, 0
        if self._resend[stream] >> slot & 1:
            self._resend[stream] &= ~(1 << slot)
            for batch in lane.unsent():
                batch.sent = True
                parts.append(batch.data)
                size += len(batch.data)
        if not lane.unanswered and now_s - lane.used_at_s > PRODUCER_ROTATE_S:
            lane.take_producer(self._new_producer())
        lane.used_at_s = now_s
        while size < FRAME_FILL_BYTES and lane.has_room() and packer.pending >> slot & 1:
            data = packer.take(slot, lane.producer, lane.next_seq, wall_ms)
            if data is None:
                break
            lane.sealed(data, read_header(data).count)
            self._numbered_bytes += len(data)
            parts.append(data)
            size += len(data)
        return size

    # --- answers -----------------------------------------------------------------------------
    def answered(self, owner: str, entries: Sequence[AnswerEntry], now_s: float) -> bool:
        """Take the answers of one frame from an incarnation; True when a newer map is needed.

        "Stored" is true whoever says it. A refusal says something of the present only if it comes
        from the slot's present owner: an earlier one may know less than was acknowledged since.
        """
        map_needed = False
        for slot, stream, status, producer, producer_seq, value, exceptions in entries:
            lane = self.lanes[stream, slot]
            if status == _STORED:
                self._numbered_bytes -= lane.stored(producer, producer_seq, value, exceptions)
                continue
            if owner != self._owners[slot]:
                continue
            expected = value if status == AnswerStatus.GAP else None
            verdict = lane.refused(producer, producer_seq, expected)
            if verdict is LaneVerdict.STALE:
                continue
            if verdict is LaneVerdict.LOST_HISTORY:
                self._renumber(lane)
            self._resend[stream] |= 1 << slot
            lane.held_until_s = now_s + _REST_S[AnswerStatus(status)]
            map_needed |= status == AnswerStatus.NOT_OWNER
        return map_needed

    def _renumber(self, lane: SlotLane) -> None:
        """The owner forgot numbers it had acknowledged: the store was put back to an older state.

        What it acknowledged is gone and only an operator's copy can bring it back; what is still
        unanswered is sent under a fresh numbering, in order, so that traffic goes on.
        """
        self.history_lost += 1
        waiting = list(lane.unanswered)
        lane.unanswered.clear()
        lane.take_producer(self._new_producer())
        for batch in waiting:
            batch.data = renumbered(batch.data, lane.producer, lane.next_seq)
            batch.producer_seq, batch.sent = lane.next_seq, False
            lane.unanswered.append(batch)
            lane.next_seq += 1


_REST_S = {
    AnswerStatus.NOT_OWNER: NOT_OWNER_REST_S,
    AnswerStatus.GAP: 0.0,
    AnswerStatus.BUSY: BUSY_REST_S,
    AnswerStatus.REFUSED: 1.0,
}


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
