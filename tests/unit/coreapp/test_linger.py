"""Outcomes may wait for the next commit; whatever somebody waits for does not."""

import asyncio

import pytest

from multiconnect.limits import OUTCOMES_LINGER_S, WATERMARK_STEP
from multiconnect.model.message import State
from tests.unit.coreapp.apps import SLOT, Rig
from tests.unit.coreapp.batches import Sender
from tests.unit.dataplane.waiting import until

LONG_S = 60.0


@pytest.fixture
async def rig(monkeypatch):
    monkeypatch.setattr("multiconnect.coreapp.committer.OUTCOMES_LINGER_S", LONG_S)
    rig = Rig()
    await rig.app("a")
    await rig.grant("a")
    yield rig
    await rig.aclose()


def commits(rig):
    return rig.logs["a"].calls.count("commit")


async def sent(rig, count):
    await until(lambda: rig.apps["a"].figures()["sent"] == count)


async def test_an_outcome_goes_with_what_comes_in_next(rig):
    sender = Sender(SLOT)
    await rig.store("a", 1, sender=sender)
    await sent(rig, 1)
    await asyncio.sleep(4 * OUTCOMES_LINGER_S)
    assert (commits(rig), rig.states()) == (1, [State.ACCEPTED])
    sender.answers.clear()
    await rig.store("a", 2, recipient="1632", sender=sender)
    assert (commits(rig), rig.states()[0]) == (2, State.SENT)


async def test_an_outcome_waits_for_company_only_so_long(rig, monkeypatch):
    monkeypatch.setattr("multiconnect.coreapp.committer.OUTCOMES_LINGER_S", 0.01)
    await rig.store("a", 1)
    await rig.settled(1)
    assert commits(rig) == 2


async def test_messages_that_wait_to_be_claimed_do_not_wait_for_company(rig):
    count = 4 * WATERMARK_STEP
    rig.apps["a"].submit(Sender(SLOT).batch(*((str(1000 + n), b"{}", "") for n in range(count))))
    await sent(rig, count)


async def test_a_hand_over_does_not_wait(rig):
    await rig.app("b")
    await rig.store("a", 1)
    await sent(rig, 1)
    assert await rig.control.start_drain(SLOT, 1, "b", rig.term)
    await until(lambda: rig.state.slots[SLOT].drained)
    assert rig.states() == [State.SENT]
