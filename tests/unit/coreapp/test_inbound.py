"""Webhooks at the owner: a status moves its message forward, and only its own message (15)."""

import pytest

from multiconnect.model.message import Event, Kind, Outcome, State, Stream
from tests.unit.coreapp.apps import SLOT, Rig
from tests.unit.coreapp.batches import Sender
from tests.unit.dataplane.waiting import until


@pytest.fixture
async def rig():
    rig = Rig()
    await rig.app("a")
    await rig.grant("a")
    yield rig
    await rig.aclose()


def told(rig):
    """Collect what the owner publishes."""
    events: list[Event] = []
    rig.apps["a"].listen_locally(events.extend)
    return events


async def test_statuses_move_a_message_forward(rig):
    events = told(rig)
    await rig.store("a", 1)
    await rig.settled(1)
    for status in ("delivered", "sent", "read", "delivered"):
        await rig.inbound("a", Kind.STATUS, rig.status(0, status))
    await rig.settled(4, Stream.INBOUND)
    await until(lambda: rig.states() == [State.READ])
    assert [e.type for e in events] == ["sent", "delivered", "read"]


async def test_a_status_in_a_burst_finds_the_newest_state(rig):
    await rig.store("a", *range(10))
    await rig.settled(10)
    for sequence in range(10):
        for status in ("delivered", "read"):
            await rig.inbound("a", Kind.STATUS, rig.status(sequence, status))
    await until(lambda: rig.states() == [State.READ] * 10)


async def test_a_status_of_a_batch_not_loaded_yet_settles_nothing_else(rig):
    """The slot has just changed hands: of a batch one message is sent, the other still waits.

    Written back as settled, the batch would never be looked at again, and the other lost.
    """
    rig.upstream.answer = lambda m: (
        Outcome.sent() if m.recipient == "1631" else Outcome.retry("busy", after_s=600)
    )
    sender = Sender(SLOT)
    rig.apps["a"].submit(sender.batch(("1631", b'{"n":1}', ""), ("1632", b'{"n":2}', "")))
    await until(lambda: rig.states() == [State.SENT, State.HELD])
    await rig.bury("a")
    b = await rig.app("b")
    held_back = []
    load = b._dispatcher._load_if_wanted
    b._dispatcher._load_if_wanted = lambda *args: held_back.append(args)
    await rig.grant("b")
    held_back_outbound = [args for args in held_back if args[1].stream is Stream.OUTBOUND]
    await rig.inbound("b", Kind.STATUS, rig.status(0, "delivered"))
    lane = rig.state.lanes[Stream.INBOUND, SLOT]
    await until(lambda: lane.retries)
    assert lane.retries[0].reason == "the message's batch is not loaded yet"
    assert not rig.state.lanes[Stream.OUTBOUND, SLOT].progress[0].settled
    b._dispatcher._load_if_wanted = load
    for args in held_back_outbound:
        load(*args)
    await until(lambda: rig.states() == [State.DELIVERED, State.HELD])


async def test_an_old_status_reads_its_batch_back(rig):
    await rig.store("a", 1)
    await rig.settled(1)
    await rig.bury("a")
    await rig.app("b")
    await rig.grant("b")
    await rig.inbound("b", Kind.STATUS, rig.status(0, "delivered"))
    await until(lambda: rig.states() == [State.DELIVERED])


async def test_while_the_store_does_not_answer_a_status_waits(rig):
    await rig.store("a", 1)
    await rig.settled(1)
    await rig.bury("a")
    await rig.app("b")
    await rig.grant("b")
    rig.logs["b"].fail_once("find_message")
    await rig.inbound("b", Kind.STATUS, rig.status(0, "delivered"))
    await until(lambda: rig.states() == [State.DELIVERED])


async def test_a_resend_in_doubt_that_a_webhook_confirms_is_not_sent_again(rig):
    rig.upstream.answer = lambda _: Outcome.retry("no answer", after_s=0.3, ambiguous=True)
    events = told(rig)
    await rig.store("a", 1)
    await until(lambda: State.HELD in rig.states())
    await rig.inbound("a", Kind.STATUS, rig.status(0, "delivered"))
    await until(lambda: rig.states() == [State.DELIVERED])
    assert len(rig.upstream.seen) == 1
    assert [e.type for e in events] == ["sent", "delivered"]


@pytest.mark.parametrize(
    "data",
    [
        {"status": "delivered"},
        {"biz_opaque_callback_data": "gBEGxxxx", "status": "delivered"},
        {"biz_opaque_callback_data": 7, "status": "delivered"},
        [1, 2],
        7,
        None,
    ],
)
async def test_a_status_of_nothing_of_ours_is_kept_as_failed(rig, data):
    await rig.inbound("a", Kind.STATUS, data)
    await until(lambda: rig.states(Stream.INBOUND) == [State.FAILED])
    assert not rig.apps["a"].failed.is_set()


@pytest.mark.parametrize(
    "strange", [{"cluster": 8}, {"stream": 1}], ids=["another cluster", "an inbound message"]
)
async def test_a_status_of_another_message_with_the_same_number_changes_nothing(rig, strange):
    await rig.store("a", 1)
    await rig.settled(1)
    await rig.inbound("a", Kind.STATUS, rig.status(0, "read", **strange))
    await until(lambda: rig.states(Stream.INBOUND) == [State.FAILED])
    assert rig.states() == [State.SENT]


async def test_an_unknown_status_changes_nothing(rig):
    await rig.store("a", 1)
    await rig.settled(1)
    await rig.inbound("a", Kind.STATUS, rig.status(0, "pending"))
    await until(lambda: rig.states(Stream.INBOUND) == [State.FAILED])
    assert rig.states() == [State.SENT]


async def test_what_people_write_is_published_in_order(rig):
    events = told(rig)
    for number in range(5):
        data = {"id": f"wamid.{number}", "text": {"body": str(number)}}
        await rig.inbound("a", Kind.INBOUND_MESSAGE, data)
    await rig.settled(5, Stream.INBOUND)
    assert [(e.type, e.id) for e in events] == [("message", f"wamid.{n}") for n in range(5)]
    assert events[3].data["text"] == {"body": "3"}
