"""What happens to a slot's messages: rows first, then events; states only forward (15)."""

import pytest

from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.model.log import Retry, SlotTail, StoredBatch, StreamTail
from multiconnect.model.message import Outcome, State, Stream
from multiconnect.model.message_id import MessageAddress, decode_id

OUT, IN = Stream.OUTBOUND, Stream.INBOUND
NOW_MS = 1000


def work_with(*recipients, retries=()):
    work = SlotWork(SlotTail(4, 9, {s: StreamTail() for s in Stream}, {}, tuple(retries)), 7)
    queue = work.queues[OUT]
    mark = queue.claim_ahead(len(recipients))
    queue.appended(0, len(recipients))
    rows = [(n, 0, recipient, b"x", b"") for n, recipient in enumerate(recipients)]
    count = len(recipients)
    queue.offer(StoredBatch(OUT, 4, 0, count, 0, b"", bytes(count)), rows)
    assert mark is not None
    queue.claimed_ahead(mark)
    return work, queue.take(100)


def commit(work):
    return work.confirm(work.collect(NOW_MS))


def kinds(events):
    return [event.type for event in events]


def test_an_outcome_is_told_once_it_is_durable():
    work, (entry,) = work_with("a")
    work.sent(OUT, entry, Outcome.sent("up1"), NOW_MS)
    write = work.collect(NOW_MS)
    assert write.progress()[0].states == bytes([State.SENT])
    assert write.progress()[0].settled
    assert [row.upstream_id for row in write.rows.upstream_ids] == ["up1"]
    (event,) = work.confirm(write)
    assert (event.type, event.recipient, event.possible_duplicate) == ("sent", "a", False)
    assert decode_id(event.id) == MessageAddress(7, OUT, 4, 0)
    assert not work.dirty


def test_what_nobody_knows_to_be_written_is_told_when_it_is():
    work, (entry,) = work_with("a")
    work.sent(OUT, entry, Outcome.sent("up1"), NOW_MS)
    lost = work.collect(NOW_MS)
    work.restore(lost)
    assert work.dirty
    again = work.collect(NOW_MS)
    assert again.progress() == lost.progress()
    assert again.rows.upstream_ids == lost.rows.upstream_ids
    assert kinds(work.confirm(again)) == ["sent"]


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.UNKNOWN])
def test_giving_up_leaves_the_reason(state):
    work, (entry,) = work_with("a")
    work.gave_up(OUT, entry, state, Outcome.failed("no such number", 131026), NOW_MS)
    write = work.collect(NOW_MS)
    (failure,) = write.rows.failures
    assert (failure.code, failure.reason, failure.at_ms) == (131026, "no such number", NOW_MS)
    (event,) = work.confirm(write)
    assert event.type == state.name.lower()
    assert event.data == {"code": 131026, "reason": "no such number"}


def test_a_retry_is_on_record_until_the_message_is_final():
    work, (entry,) = work_with("a")
    work.retry(OUT, entry, Outcome.retry("busy", code=130429), due_at_ms=5000)
    write = work.collect(NOW_MS)
    assert write.rows.retries[OUT, 0] == Retry(OUT, 4, 0, 1, 5000, 130429, "busy")
    work.confirm(write)
    work.queues[OUT].release(entry)
    commit(work)
    work.queues[OUT].take(1)
    work.sent(OUT, entry, Outcome.sent(), NOW_MS)
    write = work.collect(NOW_MS)
    assert write.rows.retries_done == {(OUT, 0)}
    assert not write.rows.retries


def test_of_a_retry_and_an_end_in_one_commit_only_the_end_is_left():
    work, (entry,) = work_with("a")
    work.retry(OUT, entry, Outcome.retry("busy"), due_at_ms=5000)
    lost = work.collect(NOW_MS)
    work.restore(lost)
    work.queues[OUT].release(entry)
    claim = work.collect(NOW_MS)
    work.confirm(claim)
    work.queues[OUT].take(1)
    work.retry(OUT, entry, Outcome.retry("busy"), due_at_ms=6000)
    lost = work.collect(NOW_MS)
    work.gave_up(OUT, entry, State.FAILED, Outcome.failed("no"), NOW_MS)
    work.restore(lost)
    write = work.collect(NOW_MS)
    assert not write.rows.retries
    assert write.rows.retries_done == {(OUT, 0)}


def test_inbound_messages_make_no_status_events():
    work = SlotWork(SlotTail(4, 9, {s: StreamTail() for s in Stream}, {}), 7)
    queue = work.queues[IN]
    mark = queue.claim_ahead(1)
    queue.appended(0, 1)
    queue.offer(StoredBatch(IN, 4, 0, 1, 0, b"", bytes(1)), [(0, 3, "a", b"x", b"")])
    assert mark is not None
    queue.claimed_ahead(mark)
    (entry,) = queue.take(1)
    work.sent(IN, entry, Outcome.sent("wamid"), NOW_MS)
    assert commit(work) == []


# --- webhooks --------------------------------------------------------------------------------
def test_statuses_move_forward_only_and_each_is_told_once():
    work, (entry,) = work_with("a")
    work.sent(OUT, entry, Outcome.sent(), NOW_MS)
    commit(work)
    reports = [State.READ, State.DELIVERED, State.READ, State.SENT, State.FAILED]
    changed = [work.status(0, "a", state, NOW_MS, {}) for state in reports]
    assert changed == [True, False, False, False, False]
    write = work.collect(NOW_MS)
    assert write.progress()[0].states == bytes([State.READ])
    assert kinds(work.confirm(write)) == ["read"]


def test_a_webhook_ahead_of_the_reply_is_told_after_the_reply():
    """It is kept until the outcome is known: "delivered" before "sent" would go backwards."""
    work, (entry,) = work_with("a")
    assert work.status(0, "a", State.DELIVERED, NOW_MS, {"conversation": "c1"}) is False
    assert work.status(0, "a", State.SENT, NOW_MS, {}) is False
    assert not work.dirty
    work.sent(OUT, entry, Outcome.sent("up1"), NOW_MS)
    write = work.collect(NOW_MS)
    assert write.progress()[0].states == bytes([State.DELIVERED])
    events = work.confirm(write)
    assert kinds(events) == ["sent", "delivered"]
    assert events[1].data == {"conversation": "c1"}


def test_a_webhook_for_a_failed_attempt_does_not_spoil_the_next():
    work, (entry,) = work_with("a")
    work.status(0, "a", State.FAILED, NOW_MS, {})
    work.retry(OUT, entry, Outcome.retry("busy"), due_at_ms=0)
    work.queues[OUT].release(entry)
    commit(work)
    work.queues[OUT].take(1)
    work.sent(OUT, entry, Outcome.sent(), NOW_MS)
    assert kinds(commit(work)) == ["sent"]


@pytest.mark.parametrize("state", [State.SENT, State.DELIVERED, State.READ])
def test_a_webhook_proves_that_an_attempt_arrived(state):
    work, (entry,) = work_with("a")
    assert not entry.arrived
    work.status(0, "a", state, NOW_MS, {})
    assert entry.arrived


def test_a_settled_message_of_an_unsettled_batch_moves_on_in_its_queue():
    work, (first, _) = work_with("a", "b")
    work.sent(OUT, first, Outcome.sent(), NOW_MS)
    commit(work)
    assert work.status(0, "a", State.DELIVERED, NOW_MS, {}) is True
    (row,) = work.collect(NOW_MS).progress()
    assert row.states == bytes([State.DELIVERED, State.ACCEPTED])
    assert not row.settled


def test_what_is_not_in_memory_must_be_read_back():
    work, _ = work_with("a")
    assert work.status(17, "z", State.DELIVERED, NOW_MS, {}) is None


def test_a_message_known_as_unknown_may_turn_out_delivered():
    work, (entry,) = work_with("a")
    work.gave_up(OUT, entry, State.UNKNOWN, Outcome.failed("in doubt"), NOW_MS)
    commit(work)
    assert work.status(0, "a", State.DELIVERED, NOW_MS, {}) is True
    assert kinds(commit(work)) == ["delivered"]
