"""Connectors at their worst, records at theirs, and pacing: what the dispatcher does with them.

A connector may be anybody's code: its bugs leave its own messages in doubt and disturb nobody.
"""

import asyncio
import math

import orjson
import pytest

from multiconnect.coreapp.pacing import Pacing
from multiconnect.errors import CorruptData
from multiconnect.limits import PACED_PUMP_S, SLOTS
from multiconnect.model.message import Kind, Message, Outcome, State, Stream
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


# --- connectors ------------------------------------------------------------------------------
class Raw:
    """A connector of somebody else's, handed over as it is."""

    batch_max = in_flight_max = 10

    def __init__(self, send):
        self.send = send

    async def start(self):
        pass

    async def aclose(self):
        pass


async def cancelled(_):
    inner = asyncio.ensure_future(asyncio.sleep(60))
    inner.cancel()
    await inner


async def raises(_):
    raise ValueError("a recipient's number 16315550001")


async def too_few(_):
    return []


async def nothing(_):
    return None


async def nonsense(messages):
    return [object()] * len(messages)


@pytest.mark.parametrize("said", [cancelled, raises, too_few, nothing, nonsense])
async def test_a_connectors_bug_leaves_its_messages_in_doubt_and_nothing_else(rig, a, said, caplog):
    async def send(messages):
        seen.extend(messages)
        if len(seen) == 1:
            return await said(messages)
        return [Outcome.sent()] * len(messages)

    seen: list[Message] = []
    a._dispatcher._upstreams[Stream.OUTBOUND] = Raw(send)
    await rig.store("a", 1)
    await rig.settled(1)
    assert [m.possible_duplicate for m in seen] == [False, True]
    assert "16315550001" not in caplog.text
    assert not a.failed.is_set()


async def test_a_failure_counts_the_attempt_that_failed(rig, a):
    rig.upstream.answer = lambda _: Outcome.failed("no such number", 131026)
    await rig.store("a", 1)
    await rig.settled(1)
    (failure,) = rig.state.lanes[Stream.OUTBOUND, SLOT].failures.values()
    assert (failure.attempts, failure.code, failure.reason) == (1, 131026, "no such number")


async def test_a_record_that_is_none_of_ours_fails_alone(rig, a):
    sender = Sender(SLOT)
    sender._packer.append_at(SLOT, "1631", ONE, b"\xff", Kind.SEND)
    sender._packer.append_at(SLOT, "1632", ONE, b"", 77)
    a.submit(sender.batch(("1631", orjson.dumps({"n": 5}), "")))
    await rig.settled(3)
    assert rig.states() == [State.FAILED, State.FAILED, State.SENT]
    assert rig.upstream.bodies == [5]
    assert a.figures()["in_flight"] == 0


async def test_a_batch_that_cannot_be_read_is_told_and_the_rest_goes_on(rig, a, caplog):
    rig.upstream.open.clear()
    await rig.store("a", 1)
    await rig.store("a", 2, recipient="1632", sender=Sender(SLOT, producer=9))
    await rig.bury("a")
    rig.state.lanes[Stream.OUTBOUND, SLOT].bodies_dropped.add(0)
    rig.upstream.open.set()
    await rig.app("b")
    await rig.grant("b")
    await until(lambda: rig.states()[1] is State.SENT)
    assert "batch_unreadable: slot 4 from 0" in caplog.text
    await rig.store("b", 3, sender=Sender(SLOT, producer=10))
    await until(lambda: rig.states()[2] is State.SENT)


async def test_a_long_line_behind_a_retry_holds_up_nobody_else(rig, monkeypatch):
    """All that the watermark covers is written as held, and nothing is in flight that would wake
    the committer for the next step."""
    monkeypatch.setattr("multiconnect.coreapp.coreapp._REREAD_S", 60.0)
    a = await rig.app("a")
    await rig.grant("a")
    rig.upstream.answer = lambda m: (
        Outcome.sent() if m.recipient == "1632" else Outcome.retry("busy", after_s=600)
    )
    sender = Sender(SLOT)
    line = [("1631", orjson.dumps({"n": n}), "") for n in range(400)]
    a.submit(sender.batch(*line, ("1632", orjson.dumps({"n": 999}), "")))
    await until(lambda: 999 in rig.upstream.bodies)


# --- a store that is damaged -------------------------------------------------------------------
async def test_a_slot_that_cannot_be_read_waits_for_its_repair(rig, a, caplog, monkeypatch):
    """A file that is missing is no reason to end, which would only take it to the next owner."""
    monkeypatch.setattr("multiconnect.coreapp.dispatcher._REPAIR_DELAY_S", 0.05)
    log = rig.logs["a"]

    def missing(*_):
        raise CorruptData("a.db-bodies-1 is missing; put it back from a copy")

    def after(*_):
        del log.faults["commit"]
        return "after"

    log.faults |= {"read_batches": missing, "commit": after}
    a.submit(Sender(SLOT).batch(("1631", ONE, "")))
    await until(lambda: "bodies-1 is missing" in caplog.text)
    assert not a.failed.is_set()
    assert rig.upstream.seen == []
    del log.faults["read_batches"]
    await until(lambda: rig.upstream.bodies == [1])


# --- pacing ----------------------------------------------------------------------------------
async def test_a_paced_number_sends_as_soon_as_a_slot_is_owned(rig):
    """While nothing is owned the rate lets nothing go, and no timer may remember that for ever."""
    app = await rig.app("a", Pacing(32_000.0, pair_rate=False))
    await until(lambda: app._pacing.wait_s(app._clock.monotonic()) == math.inf)
    app._dispatcher._pump()
    assert app._dispatcher._pump_timer is None
    await rig.grant("a")
    await rig.store("a", *range(20), recipient="1631")
    sender = Sender(SLOT, producer=9)
    app.submit(sender.batch(*[(f"16{n}", orjson.dumps({"n": n}), "") for n in range(30)]))
    await rig.settled(50)


def test_a_rate_is_not_asked_again_for_every_message():
    for rate_per_s, wait_s in ((1000.0, PACED_PUMP_S), (10.0, 0.1)):
        pacing = Pacing(rate_per_s, pair_rate=False)
        pacing.owns(SLOTS)
        assert pacing.wait_s(0.0) <= 0, "there is room"
        while pacing.room(0.0):
            pacing.take("1631", 0.0)
        assert pacing.wait_s(0.0) == pytest.approx(wait_s)
        assert pacing.room(pacing.wait_s(0.0)) == max(1, round(rate_per_s * wait_s))


async def test_a_paced_recipient_does_not_hold_up_others(rig):
    app = await rig.app("a", Pacing(None, pair_rate=True))
    await rig.grant("a")
    await rig.store("a", *range(60), recipient="1631")
    sender = Sender(SLOT, producer=9)
    app.submit(sender.batch(("1632", orjson.dumps({"n": 99}), "")))
    await until(lambda: 99 in rig.upstream.bodies)
    await until(lambda: len(rig.upstream.seen) == 46)
    assert [n for n in rig.upstream.bodies if n != 99] == list(range(45)), "its burst, in order"
