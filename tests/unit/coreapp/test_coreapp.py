"""A CoreApp on a memory store: ownership, faults, drains, and an end that is never silent."""

import asyncio

import orjson
import pytest

from multiconnect.coreapp import coreapp
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.errors import Bug, StoreUnavailable
from multiconnect.model.message import Event, Outcome, State, Stream
from multiconnect.model.message_id import encode_id
from tests.unit.coreapp.apps import SLOT, Rig
from tests.unit.coreapp.batches import Sender
from tests.unit.dataplane.waiting import until

ONE = orjson.dumps({"n": 1})


@pytest.fixture
async def rig():
    rig = Rig()
    yield rig
    await rig.aclose()


@pytest.fixture
async def a(rig):
    app = await rig.app("a")
    await rig.grant("a")
    return app


# --- the road --------------------------------------------------------------------------------
async def test_a_message_is_stored_answered_and_sent(rig, a):
    await rig.store("a", 1, 2)
    await rig.settled(2)
    assert rig.upstream.bodies == [1, 2]
    figures = a.figures()
    assert (figures["accepted"], figures["sent"], figures["backlog"]) == (2, 2, 0)


async def test_nothing_is_answered_or_sent_before_the_commit(rig, a):
    arrived, go = asyncio.Event(), asyncio.Event()
    log = rig.logs["a"]._log
    commit = log.commit

    async def slow(write):
        arrived.set()
        await go.wait()
        return await commit(write)

    log.commit = slow
    sender = Sender(SLOT)
    a.submit(sender.batch(("1631", ONE, "")))
    await arrived.wait()
    assert (sender.answers, rig.upstream.seen) == ([], [])
    go.set()
    await rig.settled(1)
    assert sender.statuses == [AnswerStatus.STORED]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_nobody_is_sure_of_loses_and_doubles_nothing(rig, a, when):
    def fault(*_):
        del rig.logs["a"].faults["commit"]
        if when == "before":
            raise StoreUnavailable("down")
        return "after"

    rig.logs["a"].faults["commit"] = fault
    sender = Sender(SLOT)
    first = sender.batch(("1631", ONE, ""))
    a.submit(first)
    await until(lambda: sender.statuses == [AnswerStatus.BUSY])
    again = sender.batch(("1631", ONE, ""), number=1)
    a.submit(again)
    await until(lambda: sender.statuses == [AnswerStatus.BUSY, AnswerStatus.STORED])
    await rig.settled(1)
    assert len(rig.states()) == 1, "stored once"
    assert [m.possible_duplicate for m in rig.upstream.seen] == [False], "never sent before"


async def test_a_slot_that_was_taken_over_is_given_up_at_the_next_commit(rig, a):
    await rig.app("b")
    await rig.bury("a")
    sender = Sender(SLOT)
    await rig.grant("b")
    a.submit(sender.batch(("1631", ONE, "")))
    await until(lambda: sender.statuses == [AnswerStatus.NOT_OWNER])
    assert a.owned_slots() == []
    assert rig.upstream.seen == []


async def test_batches_of_a_slot_that_is_being_opened_wait_for_it(rig, a):
    go = asyncio.Event()
    log = rig.logs["a"]._log
    open_slots = log.open_slots

    async def slow(epochs):
        await go.wait()
        return await open_slots(epochs)

    log.open_slots = slow
    await rig.grant("a", [5], wait=False)
    sender = Sender(5)
    await until(lambda: a._committer._opening == {5})
    a.submit(sender.batch(("1631", ONE, "")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sender.answers == []
    go.set()
    await until(lambda: sender.statuses == [AnswerStatus.STORED])


async def test_a_grant_that_vanishes_while_it_is_opened_keeps_nobody_waiting(rig, a):
    """The store failed in between; a batch that nobody answers would block its link for ever."""
    await rig.app("b")
    rig.logs["a"].fail_once("open_slots")
    await rig.grant("a", [5], wait=False)
    sender = Sender(5)
    await until(lambda: rig.logs["a"].calls.count("open_slots") == 2)
    assert a._committer._opening == {5}
    a.submit(sender.batch(("1631", ONE, "")))
    await rig.control.release(5, 1, "a", "test")
    await rig.grant("b", [5])
    await until(lambda: sender.answers)
    assert sender.statuses == [AnswerStatus.NOT_OWNER]


# --- hand-over -------------------------------------------------------------------------------
async def test_a_drained_slot_changes_hands_with_nothing_in_doubt(rig, a):
    b = await rig.app("b")
    rig.upstream.open.clear()
    await rig.store("a", 1, 2)
    await until(lambda: rig.upstream.bodies == [1])
    assert await rig.control.start_drain(SLOT, 1, "b", rig.term)
    await rig.store("a", 3, sender=Sender(SLOT, producer=9))
    assert not rig.state.slots[SLOT].drained
    rig.upstream.open.set()
    await until(lambda: rig.state.slots[SLOT].drained)
    assert rig.upstream.bodies == [1], "nothing is sent while it drains"
    await rig.grant("b")
    await rig.settled(3)
    assert rig.upstream.bodies == [1, 2, 3]
    assert not any(m.possible_duplicate for m in rig.upstream.seen)
    assert (a.owned_slots(), b.figures()["in_doubt"]) == ([], 0)


async def heir_with_a_batch(rig):
    """b is to get a's slot, and somebody who has seen its grant sends before b has."""
    b = await rig.app("b")
    assert await rig.control.start_drain(SLOT, 1, "b", rig.term)
    await until(lambda: b._committer._opening == {SLOT})
    sender = Sender(SLOT)
    b.submit(sender.batch(("1631", ONE, "")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sender.answers == []
    return sender


async def test_an_heir_keeps_what_comes_before_it_has_seen_its_grant(rig, a):
    sender = await heir_with_a_batch(rig)
    await until(lambda: rig.state.slots[SLOT].drained)
    await rig.grant("b")
    await until(lambda: sender.statuses == [AnswerStatus.STORED])


async def test_an_heir_that_gets_nothing_keeps_nobody_waiting(rig, a):
    sender = await heir_with_a_batch(rig)
    assert await rig.control.cancel_drain(SLOT, 1, rig.term)
    await until(lambda: sender.statuses == [AnswerStatus.NOT_OWNER])


async def test_a_cancelled_drain_goes_on_sending(rig, a):
    await rig.app("b")
    assert await rig.control.start_drain(SLOT, 1, "b", rig.term)
    await until(lambda: rig.state.slots[SLOT].drained)
    await rig.store("a", 1)
    assert rig.upstream.seen == []
    assert await rig.control.cancel_drain(SLOT, 1, rig.term)
    await rig.settled(1)


async def test_settling_is_not_undone_by_the_map(rig, a, monkeypatch):
    """No drain is asked for in the slot's row, and the row is read again while it settles."""
    monkeypatch.setattr(coreapp, "_REREAD_S", 0.001)
    rig.upstream.open.clear()
    await rig.store("a", 1, 2)
    await until(lambda: rig.upstream.seen)
    rig.state.change()
    settling = asyncio.ensure_future(a.settle())
    snapshots = rig.state.changes
    for _ in range(30):
        rig.state.change()
        await asyncio.sleep(0.001)
    assert rig.state.changes > snapshots
    rig.upstream.open.set()
    async with asyncio.timeout(5):
        await settling
    assert rig.upstream.bodies == [1]
    assert rig.states() == [State.SENT, State.HELD]


# --- the dead owner's messages ---------------------------------------------------------------
@pytest.mark.parametrize(("resend", "state"), [(True, State.SENT), (False, State.UNKNOWN)])
async def test_messages_in_doubt_follow_the_accounts_policy(rig, resend, state):
    await rig.app("a")
    await rig.grant("a")
    rig.upstream.open.clear()
    await rig.store("a", 1)
    await until(lambda: rig.upstream.seen)
    await rig.bury("a")
    b = await rig.app("b", in_doubt_resend=resend)
    rig.upstream.open.set()
    await rig.grant("b")
    await rig.settled(1)
    assert rig.states() == [state]
    assert [m.possible_duplicate for m in rig.upstream.seen] == [False, True][: 1 + resend]
    assert b.figures()["in_doubt"] == 1


async def test_a_successor_keeps_the_count_of_attempts(rig, a):
    rig.upstream.answer = lambda _: Outcome.retry("busy", after_s=0.05)
    await rig.store("a", 1)
    await until(lambda: State.HELD in rig.states())
    await rig.bury("a")
    await rig.app("b")
    rig.upstream.answer = lambda _: Outcome.sent()
    await rig.grant("b")
    await rig.settled(1)
    attempts = [m.attempt for m in rig.upstream.seen]
    assert attempts == list(range(1, len(attempts) + 1))
    assert not any(m.possible_duplicate for m in rig.upstream.seen)
    lane = rig.state.lanes[Stream.OUTBOUND, SLOT]
    assert not lane.retries


# --- the lease -------------------------------------------------------------------------------
async def test_without_a_lease_nothing_is_sent_and_with_it_again_everything(rig, a):
    beat = a._control.beat

    async def fails(_):
        raise StoreUnavailable("down")

    a._control.beat = fails
    await until(lambda: not a._lease.valid_at(a._clock.monotonic()))
    await rig.store("a", 1)
    assert rig.upstream.seen == []
    a._control.beat = beat
    await rig.settled(1)


async def test_who_is_declared_dead_stops_sending_and_says_so(rig, a):
    await rig.bury("a")
    async with asyncio.timeout(5):
        await a.ended()
    assert a.declared_dead.is_set()
    assert not a.failed.is_set()
    assert not a._lease.valid_at(a._clock.monotonic())


# --- bugs are not silent ---------------------------------------------------------------------
def committer_bug(rig):
    rig.logs["a"].fail_once("commit", KeyError("a bug"))


def loader_bug(rig):
    rig.logs["a"].fail_once("read_batches", KeyError("a bug"))
    rig.logs["a"].faults["commit"] = lambda *_: "after"


def follower_bug(rig):
    def fails(_):
        raise KeyError("a bug")

    rig.apps["a"].adopt = fails
    rig.state.change()


def renewal_bug(rig):
    rig.apps["a"]._control.beat = None


def pump_bug(rig):
    def fails(*_):
        raise KeyError("a bug")

    rig.apps["a"]._dispatcher._in_turn = fails


def delivery_bug(rig):
    def fails(*_):
        raise KeyError("a bug")

    rig.apps["a"]._dispatcher._suspects.over = fails


BUGS = [committer_bug, loader_bug, follower_bug, renewal_bug, pump_bug, delivery_bug]


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_in_any_task_ends_the_owner(rig, a, bug):
    bug(rig)
    a.submit(Sender(SLOT).batch(("1631", ONE, "")))
    async with asyncio.timeout(5):
        await a.ended()
    assert a.failed.is_set()
    assert isinstance(a.failure, Bug)
    assert isinstance(a.failure.__cause__, (KeyError, TypeError))
    assert not a._lease.valid_at(a._clock.monotonic()), "it sends nothing more"
    async with asyncio.timeout(5):
        await a.settle()  # nobody is left who could settle anything: no wait


# --- events ----------------------------------------------------------------------------------
async def test_events_are_made_only_while_somebody_wants_them(rig, a):
    told: list[Event] = []
    sender = Sender(SLOT)
    a.submit(sender.batch(("1631", ONE, "")))
    await until(lambda: rig.states() == [State.SENT])
    rig.upstream.open.clear()
    a.submit(sender.batch(("1631", ONE, "")))
    await until(lambda: len(rig.upstream.seen) == 2)
    a.listen_locally(told.extend)
    rig.upstream.open.set()
    await until(lambda: told)
    assert [(event.type, event.id) for event in told] == [("sent", encode_id(7, SLOT, 1))]


# --- intake ----------------------------------------------------------------------------------
class Listening:
    """A connection that can be told to wait."""

    wants_events = False

    def __init__(self):
        self.paused = False

    def pause(self):
        self.paused = True

    def resume(self):
        self.paused = False

    def abort(self):
        pass


async def test_a_full_intake_reads_from_nobody_until_it_is_half_empty(rig, a, monkeypatch):
    monkeypatch.setattr(coreapp, "INTAKE_BYTES_MAX", 1000)
    early, late = Listening(), Listening()
    a.connected(early)
    sender = Sender(SLOT)
    batches = [sender.batch(("1631", b"x" * 400, "")) for _ in range(4)]
    for batch in batches[:3]:
        a.submit(batch)
    assert early.paused
    a.connected(late)
    a.submit(batches[3])
    assert late.paused, "who came later must wait too"
    await until(lambda: len(sender.answers) == 4)
    await until(lambda: not early.paused and not late.paused)
