"""A slot's queue between a store and an upstream, one step at a time, with everything recorded.

The store here is only what the queue wrote and was told: a crash throws the queue away and builds
another from it. The checks are those of design §6 that one slot can break alone: 3, 5, 6 and 16.
"""

import random
from dataclasses import dataclass, field

from multiconnect.coreapp import claims
from multiconnect.coreapp.queue_entry import Entry, QueueWrite
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.model.log import Mark, StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State, Stream
from multiconnect.store.rules import all_settled

SLOT = 4


@dataclass
class Stored:
    """One stream of a slot as the store has it."""

    batches: dict[int, bytes] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)
    watermark: int = -1
    settled_below: int = 0

    def tail(self) -> StreamTail:
        return StreamTail(len(self.recipients), self.watermark, self.settled_below)

    def byte(self, sequence: int) -> int:
        base = max(base for base in self.batches if base <= sequence)
        return self.batches[base][sequence - base]

    def is_claimed(self, sequence: int) -> bool:
        state = self.byte(sequence) & STATE_MASK
        return state == State.SENDING or (state == State.ACCEPTED and sequence <= self.watermark)

    def unsettled(self) -> list[int]:
        states = [byte for base in sorted(self.batches) for byte in self.batches[base]]
        return [n for n, byte in enumerate(states) if State(byte & STATE_MASK) not in SETTLED]

    def read(self, from_seq: int, most: int) -> list[StoredBatch]:
        found = [
            StoredBatch(Stream.OUTBOUND, SLOT, base, len(states), 0, b"body", states)
            for base, states in sorted(self.batches.items())
            if base + len(states) > max(from_seq, self.settled_below) and not all_settled(states)
        ]
        return found[:most]

    def write(self, appends: list[list[str]], write: QueueWrite | None, ahead: Mark | None) -> None:
        for recipients in appends:
            self.batches[len(self.recipients)] = bytes(len(recipients))
            self.recipients += recipients
        for row in write.progress if write else ():
            assert row.settled == all_settled(row.states)
            self.batches[row.base_seq] = row.states
        for mark in (write.mark if write else None, ahead):
            if mark is not None:
                self.watermark = max(self.watermark, mark.watermark)
                self.settled_below = max(self.settled_below, mark.settled_below)
        assert self.watermark < len(self.recipients)
        below = [n for n in self.unsettled() if n < self.settled_below]
        assert not below, "a reader would start behind these"


@dataclass
class Commit:
    """A group on its way to the store."""

    appends: list[list[str]]
    write: QueueWrite | None
    ahead: Mark | None


class QueueWorld:
    def __init__(self, rng: random.Random, *, resend: bool = True) -> None:
        self.rng = rng
        self.resend = resend
        self.store = Stored()
        self.queue = SlotQueue(Stream.OUTBOUND, SLOT, self.store.tail())
        self.commit: Commit | None = None
        self.in_flight: list[Entry] = []
        self.blocked: list[Entry] = []
        #: What the upstream saw: sequence → how often; and those that may have arrived.
        self.sends: dict[int, int] = {}
        self.may_have_arrived: set[int] = set()
        self.first_sends: list[int] = []
        #: Settled as far as this life of the queue knows.
        self.final: set[int] = set()
        self.in_doubt: set[int] = set()
        self.is_unsure = False
        self.lives = 1

    # --- what may happen ---------------------------------------------------------------------
    def begin_commit(self) -> None:
        """Collect what is to be written, together with batches that came in."""
        if self.commit is not None:
            return
        appends = [
            [f"r{self.rng.randint(0, 5)}" for _ in range(self.rng.randint(1, 4))]
            for _ in range(self.rng.choice([0, 0, 1, 1, 2]))
        ]
        write = self.queue.collect(0) if self.queue.dirty else None
        end = len(self.store.recipients) + sum(map(len, appends))
        ahead = self.queue.claim_ahead(end) if appends else None
        self.commit = Commit(appends, write, ahead)
        self.check_claims()

    def commit_done(self) -> None:
        """It is durable and the owner knows."""
        if self.commit is None:
            return
        commit, self.commit = self.commit, None
        base = len(self.store.recipients)
        self.store.write(commit.appends, commit.write, commit.ahead)
        if commit.write is not None:
            self.queue.confirm(commit.write)
        for recipients in commit.appends:
            if self.queue.appended(base, len(recipients)):
                self.offer(
                    StoredBatch(Stream.OUTBOUND, SLOT, base, len(recipients), 0, b"body",
                                bytes(len(recipients)))
                )  # fmt: skip
            base += len(recipients)
        if commit.ahead is not None:
            self.queue.claimed_ahead(commit.ahead)

    def commit_in_doubt(self) -> None:
        """The store does not say; the tail is read anew."""
        if self.commit is None:
            return
        commit, self.commit = self.commit, None
        if self.rng.random() < 0.5:
            self.store.write(commit.appends, commit.write, commit.ahead)
        if commit.write is not None:
            self.queue.restore(commit.write)
        self.queue.extended(self.store.tail())
        self.is_unsure = True

    def load(self) -> None:
        """Read stored batches back, as far as the queue has room."""
        for _ in range(self.rng.randint(1, 3)):
            if not self.queue.wants_more:
                return
            end = self.queue.end
            batches = self.store.read(self.queue.loaded_to, self.rng.randint(1, 2))
            for stored in batches:
                self.offer(stored)
            if not batches:
                self.queue.skip_to(end)

    def offer(self, stored: StoredBatch) -> None:
        first = stored.base_seq
        names = self.store.recipients[first : first + stored.count]
        rows = [(n, 0, name, b"x" * 10, b"") for n, name in enumerate(names)]
        loaded = self.queue.offer(stored, rows)
        for entry in loaded.in_doubt:
            if self.resend:
                self.queue.resend_in_doubt(entry)
            else:
                self.settle(entry, State.UNKNOWN)
        for entry in loaded.held:
            if self.rng.random() < 0.5:
                self.queue.release(entry)
            else:
                self.blocked.append(entry)

    def take(self) -> None:
        """Hand messages to the upstream, each of which must be claimed, first and alone."""
        for entry in self.queue.take(self.rng.randint(1, 4)):
            self.check_may_go(entry)
            if self.rng.random() < 0.1:  # paced: not sent after all
                self.queue.hold(entry, ambiguous=False)
                self.blocked.append(entry)
                continue
            n = entry.sequence
            if n not in self.sends:
                self.first_sends.append(n)
            self.sends[n] = self.sends.get(n, 0) + 1
            self.in_flight.append(entry)

    def outcome(self) -> None:
        """The upstream says what became of a message."""
        if not self.in_flight:
            return
        entry = self.in_flight.pop(self.rng.randrange(len(self.in_flight)))
        said = self.rng.choice(["sent"] * 6 + ["failed", "refused for now", "no answer"])
        if said == "sent":
            self.may_have_arrived.add(entry.sequence)
            self.settle(entry, State.SENT)
        elif said == "failed":
            self.settle(entry, State.FAILED)
        else:
            if said == "no answer":
                self.may_have_arrived.add(entry.sequence)
            self.queue.hold(entry, ambiguous=said == "no answer")
            self.blocked.append(entry)

    def settle(self, entry: Entry, state: State) -> None:
        assert entry.sequence not in self.final
        self.queue.settle(entry, state)
        self.final.add(entry.sequence)

    def retry_is_due(self) -> None:
        if self.blocked:
            self.queue.release(self.blocked.pop(self.rng.randrange(len(self.blocked))))

    def drain_or_resume(self) -> None:
        if self.queue.draining:
            self.queue.resume()
        else:
            self.queue.drain()

    def hand_over(self) -> None:
        """A drained queue leaves nothing in doubt to the next owner."""
        if self.queue.drained and self.commit is None:
            doubt_of_ours = {n for n in self.doubtful() if n not in self.in_doubt}
            assert not doubt_of_ours
            self.new_life()

    def crash(self) -> None:
        """The owner dies; its last commit may or may not have happened."""
        if self.commit is not None and self.rng.random() < 0.5:
            self.store.write(self.commit.appends, self.commit.write, self.commit.ahead)
        self.may_have_arrived |= {entry.sequence for entry in self.in_flight}
        new = {n for n in self.doubtful() if n not in self.in_doubt}
        assert len(new) <= claims.WATERMARK_STEP * (2 if self.is_unsure else 1)
        self.new_life()

    def new_life(self) -> None:
        self.queue = SlotQueue(Stream.OUTBOUND, SLOT, self.store.tail())
        self.commit, self.in_flight, self.blocked = None, [], []
        self.final = set(range(len(self.store.recipients))) - set(self.store.unsettled())
        self.in_doubt = set(self.doubtful())
        self.is_unsure = False
        self.lives += 1

    def doubtful(self) -> list[int]:
        return [n for n in self.store.unsettled() if self.store.is_claimed(n)]

    # --- what must hold ----------------------------------------------------------------------
    def check_may_go(self, entry: Entry) -> None:
        n, store = entry.sequence, self.store
        recipient = store.recipients[n]
        assert entry.recipient == recipient
        assert store.is_claimed(n), "claimed durably before it is sent"
        busy = {other.recipient for other in self.in_flight}
        assert recipient not in busy, "one in flight per recipient"
        earlier = [k for k in range(n) if store.recipients[k] == recipient and k not in self.final]
        assert not earlier, "in order"
        if n in self.may_have_arrived:
            assert store.byte(n) & DUPLICATE_FLAG, "marked before the second send"
            assert entry.possible_duplicate

    def check_claims(self) -> None:
        assert self.queue._claims.count <= claims.WATERMARK_STEP

    def check(self) -> None:
        queue, accepted = self.queue, len(self.store.recipients)
        assert queue.in_flight == len(self.in_flight)
        pending = accepted - len(self.final) - len(self.in_flight)
        assert pending >= 0
        if self.commit is None:
            assert queue.backlog >= pending + len(self.in_flight)
            if queue.loaded_to == accepted:
                assert queue.backlog == pending + len(self.in_flight)
        lines = queue._recipients
        assert lines.count == sum(1 for _ in lines)
        firsts = {entry.recipient: lines.first(entry.recipient) for entry in lines}
        assert lines.parked == sum(firsts[entry.recipient].blocked for entry in lines)
        self.check_claims()

    def heal(self) -> None:
        """After the last fault everything is sent, or known as unknown."""
        if self.queue.draining:
            self.queue.resume()
        for _ in range(1000):
            if len(self.final) == len(self.store.recipients) and not self.queue.dirty:
                break
            self.load()
            while self.blocked:
                self.retry_is_due()
            self.take()
            while self.in_flight:
                entry = self.in_flight.pop()
                self.may_have_arrived.add(entry.sequence)
                self.settle(entry, State.SENT)
            if self.commit is None:
                self.commit = Commit([], self.queue.collect(0) if self.queue.dirty else None, None)
            self.commit_done()
            self.check()
        assert self.store.unsettled() == []
        self.check_history()

    def check_history(self) -> None:
        by_recipient: dict[str, list[int]] = {}
        for n in self.first_sends:
            by_recipient.setdefault(self.store.recipients[n], []).append(n)
        assert all(order == sorted(order) for order in by_recipient.values())
        never = set(range(len(self.store.recipients))) - self.sends.keys()
        if self.resend:
            assert not never, "every message was sent at least once"
        else:
            unknown = {n for n in never if self.store.byte(n) & STATE_MASK == State.UNKNOWN}
            assert never == unknown
