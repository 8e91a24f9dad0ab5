"""A slot's work between a store and an upstream, one step at a time, with everything recorded.

The store here is only what was written to it: a crash throws the work away and builds another from
it. The checks are those of design §6 that one slot can break alone: 3, 5, 6, 15 and 16.
"""

import random
from dataclasses import dataclass, field

from multiconnect.coreapp.queue_entry import Entry
from multiconnect.coreapp.slot_work import SlotWork, WorkWrite
from multiconnect.model.log import Mark, SlotTail, StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, Event, Outcome, State, Stream
from multiconnect.store.rules import all_settled
from tests.unit.coreapp.queue_store import SLOT, Stored, may_follow

OUT, IN = Stream.OUTBOUND, Stream.INBOUND


@dataclass
class Commit:
    """A group on its way to the store."""

    appends: list[list[str]]
    write: WorkWrite | None
    ahead: Mark | None


@dataclass
class Upstream:
    """What the other side saw, and who may have arrived there."""

    sends: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    may_have: set[int] = field(default_factory=set)


class QueueWorld:
    def __init__(self, rng: random.Random, *, resend: bool, claims_max: int) -> None:
        self.rng = rng
        self.claims_max = claims_max
        self.resend = resend
        self.store = Stored()
        self.upstream = Upstream()
        self.told: dict[int, list[str]] = {}
        self.new_life()

    def new_life(self) -> None:
        store = self.store
        tails = {OUT: store.tail(), IN: StreamTail()}
        retries = tuple(store.retries.values())
        self.work = SlotWork(SlotTail(SLOT, 1, tails, {}, retries), cluster=7)
        self.queue = self.work.queues[OUT]
        self.commit: Commit | None = None
        self.in_flight: list[Entry] = []
        self.blocked: list[Entry] = []
        #: Settled as far as this life knows.
        self.final = set(range(len(store.recipients))) - set(store.unsettled())
        #: Final without having been sent: the next of the recipient waits until that is durable.
        self.given_up: set[int] = set()
        self.in_doubt = set(store.doubtful())
        self.is_unsure = False

    # --- commits -----------------------------------------------------------------------------
    def begin_commit(self) -> None:
        """Collect what is to be written, together with batches that came in."""
        if self.commit is not None:
            return
        appends = [
            [f"r{self.rng.randint(0, 5)}" for _ in range(self.rng.randint(1, 4))]
            for _ in range(self.rng.choice([0, 0, 1, 1, 2]))
        ]
        self.collect(appends)

    def collect(self, appends: list[list[str]]) -> None:
        write = self.work.collect(0) if self.work.dirty else None
        end = len(self.store.recipients) + sum(map(len, appends))
        ahead = self.queue.claim_ahead(end) if appends else None
        self.commit = Commit(appends, write, ahead)

    def commit_done(self) -> None:
        """It is durable and the owner knows."""
        if self.commit is None:
            return
        commit, self.commit = self.commit, None
        base = len(self.store.recipients)
        self.store.write(commit.appends, commit.write, commit.ahead)
        if commit.write is not None:
            self.tell(self.work.confirm(commit.write))
        for recipients in commit.appends:
            count = len(recipients)
            if self.queue.appended(base, count):
                self.offer(StoredBatch(OUT, SLOT, base, count, 0, b"body", bytes(count)))
            base += count
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
            self.work.restore(commit.write)
        self.queue.extended(self.store.tail())
        self.is_unsure = True

    def tell(self, events: list[Event]) -> None:
        for event in events:
            sequence = self.store.sequence_of(event)
            told = self.told.setdefault(sequence, [])
            state = State[event.type.upper()]
            assert not told or may_follow(State[told[-1].upper()], state), (told, event.type)
            assert self.store.state(sequence) == state or self.store.has_passed(sequence, state)
            told.append(event.type)

    # --- loading -----------------------------------------------------------------------------
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
        for entry in loaded.in_doubt + loaded.held:
            retry = self.work.earlier.get((OUT, entry.sequence))
            entry.attempts = retry.attempts if retry else 0
        for entry in loaded.in_doubt:
            if self.resend:
                self.queue.resend_in_doubt(entry)
            else:
                self.gave_up(entry, State.UNKNOWN)
        for entry in loaded.held:
            if self.rng.random() < 0.5:
                self.queue.release(entry)
            else:
                self.blocked.append(entry)

    # --- sending -----------------------------------------------------------------------------
    def take(self) -> None:
        """Hand messages to the upstream, each of which must be claimed, first and alone."""
        for entry in self.queue.take(self.rng.randint(1, 4)):
            self.check_may_go(entry)
            if self.rng.random() < 0.1:  # paced: not sent after all
                self.queue.hold(entry, ambiguous=False)
                self.blocked.append(entry)
                continue
            n, upstream = entry.sequence, self.upstream
            if n not in upstream.sends:
                upstream.order.append(n)
            upstream.sends[n] = upstream.sends.get(n, 0) + 1
            self.in_flight.append(entry)

    def outcome(self) -> None:
        """The upstream says what became of a message."""
        if not self.in_flight:
            return
        entry = self.in_flight.pop(self.rng.randrange(len(self.in_flight)))
        said = self.rng.choice(["sent"] * 6 + ["failed", "refused for now", "no answer"])
        if said == "sent":
            self.sent(entry)
        elif said == "failed":
            self.gave_up(entry, State.FAILED)
        else:
            if said == "no answer":
                self.upstream.may_have.add(entry.sequence)
            outcome = Outcome.retry(said, ambiguous=said == "no answer")
            self.work.retry(OUT, entry, outcome, due_at_ms=0)
            self.blocked.append(entry)

    def sent(self, entry: Entry) -> None:
        self.upstream.may_have.add(entry.sequence)
        self.final.add(entry.sequence)
        self.work.sent(OUT, entry, Outcome.sent(f"up{entry.sequence}"), 0)

    def gave_up(self, entry: Entry, state: State) -> None:
        assert entry.sequence not in self.final
        self.final.add(entry.sequence)
        self.given_up.add(entry.sequence)
        self.work.gave_up(OUT, entry, state, Outcome.failed("no"), 0)

    def retry_is_due(self) -> None:
        if self.blocked:
            self.queue.release(self.blocked.pop(self.rng.randrange(len(self.blocked))))

    def webhook(self) -> None:
        """A status of a message that arrived, early or late, in any order."""
        if not self.upstream.may_have:
            return
        sequence = self.rng.choice(sorted(self.upstream.may_have))
        state = self.rng.choice([State.SENT, State.DELIVERED, State.READ])
        book, recipient = self.work.books[OUT], self.store.recipients[sequence]
        if self.work.status(sequence, recipient, state, 0, {}) is None:
            stored = self.store.holding(sequence)
            if all_settled(stored.states):
                book.loaded(stored)
                assert self.work.status(sequence, recipient, state, 0, {}) is not None

    # --- ends --------------------------------------------------------------------------------
    def drain_or_resume(self) -> None:
        """A hand-over begins, or is cancelled, and life goes on."""
        if self.queue.draining:
            self.work.resume()
        else:
            self.work.drain()

    def hand_over(self) -> None:
        """Drain, and go as soon as it says that it is drained: the next owner doubts nothing."""
        self.work.drain()
        steps = (self.outcome, self.outcome, self.begin_commit, self.commit_done, self.load)
        for _ in range(self.rng.randint(1, 60)):
            if self.work.drained:
                # A group may still be on its way, and may land before the slot changes hands.
                if self.commit is not None and self.rng.random() < 0.5:
                    self.store.write(self.commit.appends, self.commit.write, self.commit.ahead)
                assert not {n for n in self.store.doubtful() if n not in self.in_doubt}
                self.new_life()
                return
            self.rng.choice(steps)()
        self.work.resume()

    def crash(self) -> None:
        """The owner dies; its last commit may or may not have happened."""
        if self.commit is not None and self.rng.random() < 0.5:
            self.store.write(self.commit.appends, self.commit.write, self.commit.ahead)
        self.upstream.may_have |= {entry.sequence for entry in self.in_flight}
        ours = {n for n in self.store.doubtful() if n not in self.in_doubt}
        assert len(ours) <= self.claims_max * (2 if self.is_unsure else 1)
        self.new_life()

    def heal(self) -> None:
        """After the last fault everything is sent, or known as unknown."""
        if self.queue.draining:
            self.work.resume()
        for _ in range(1000):
            if len(self.final) == len(self.store.recipients) and not self.work.dirty:
                break
            self.load()
            while self.blocked:
                self.retry_is_due()
            self.take()
            while self.in_flight:
                self.sent(self.in_flight.pop())
            if self.commit is None:
                self.collect([])
            self.commit_done()
            self.check()
        assert self.store.unsettled() == []
        assert not self.store.retries, "no retry is left of a settled message"
        self.check_history()

    # --- what must hold ----------------------------------------------------------------------
    def check_may_go(self, entry: Entry) -> None:
        n, store = entry.sequence, self.store
        recipient = store.recipients[n]
        assert entry.recipient == recipient
        assert store.is_claimed(n), "claimed durably before it is sent"
        assert recipient not in {e.recipient for e in self.in_flight}, "one in flight per recipient"
        earlier = [k for k in range(n) if store.recipients[k] == recipient and k not in self.final]
        assert not earlier, "in order"
        skipped = {k for k in self.given_up if k < n and store.recipients[k] == recipient}
        assert not skipped & set(store.unsettled()), "given up durably"
        if n in self.upstream.may_have:
            assert store.byte(n) & DUPLICATE_FLAG, "marked before the second send"
            assert entry.possible_duplicate

    def check(self) -> None:
        queue, accepted = self.queue, len(self.store.recipients)
        assert queue.in_flight == len(self.in_flight)
        pending = accepted - len(self.final) - len(self.in_flight)
        assert pending >= 0
        if self.commit is None:
            assert queue.backlog >= pending + len(self.in_flight)
            if queue.loaded_to == accepted:
                # What was given up counts until that is written: its recipient waits for it.
                unwritten = len(self.work._rows.given_up)
                assert queue.backlog == pending + len(self.in_flight) + unwritten
        lines = queue._recipients
        assert lines.count == sum(1 for _ in lines)
        assert lines.parked == sum(entry.line.first.blocked for entry in lines)
        assert queue._claims.count <= self.claims_max

    def check_history(self) -> None:
        store, upstream = self.store, self.upstream
        by_recipient: dict[str, list[int]] = {}
        for n in upstream.order:
            by_recipient.setdefault(store.recipients[n], []).append(n)
        assert all(order == sorted(order) for order in by_recipient.values())
        never = set(range(len(store.recipients))) - upstream.sends.keys()
        unknown = {n for n in never if store.state(n) == State.UNKNOWN}
        assert never == (set() if self.resend else unknown)
