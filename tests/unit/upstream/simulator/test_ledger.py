from multiconnect.upstream.simulator.ledger import Ledger
from tests.unit.upstream.simulator.requests import request


def ledger_of(*requests, **limits):
    ledger = Ledger(**limits)
    for n, entry in enumerate(requests):
        ledger.note_arrival(entry, 1000 + n)
    return ledger


def counts(ledger, *names):
    report = ledger.report()
    return tuple(report[name] for name in names)


def test_a_clean_run():
    ledger = ledger_of(*(request(n, str(n % 3), slot=n % 3) for n in range(30)))
    names = ("received", "distinct", "duplicates", "out_of_order", "recipients", "ids_forgotten")
    assert counts(ledger, *names) == (30, 30, 0, 0, 3, 0)
    assert counts(ledger, "first_at_ms", "last_at_ms") == (1000, 1029)


def test_planted_duplicates_are_counted_and_told_apart_by_their_mark():
    ledger = ledger_of(
        request(0), request(1), request(0), request(1, marked=True), request(2, marked=True)
    )
    names = ("received", "distinct", "duplicates", "duplicates_unmarked", "duplicates_marked")
    assert counts(ledger, *names) == (5, 3, 2, 1, 1)
    assert counts(ledger, "marked") == (2,)
    assert [arrival.duplicate for arrival in ledger.since(0, 9)] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_planted_disorder_is_counted_by_id():
    ledger = ledger_of(request(0), request(2), request(1), request(3))
    assert counts(ledger, "out_of_order", "out_of_order_by_text") == (1, 0)
    assert ledger.report()["out_of_order_last"] == [
        {"recipient": "16315550000", "id": request(1).opaque_id}
    ]


def test_planted_disorder_is_counted_by_text():
    texts = ("seq:0", "seq:2", "seq:1")
    ledger = ledger_of(*(request(text=text, opaque_id="") for text in texts))
    assert counts(ledger, "out_of_order", "out_of_order_by_text") == (0, 1)


def test_a_late_duplicate_is_not_disorder():
    ledger = ledger_of(request(0, text="seq:0"), request(1, text="seq:1"), request(0, text="seq:0"))
    names = ("duplicates", "out_of_order", "out_of_order_by_text")
    assert counts(ledger, *names) == (1, 0, 0)


def test_recipients_are_judged_apart():
    ledger = ledger_of(request(5, "a"), request(1, "b"), request(6, "a"), request(2, "b"))
    assert counts(ledger, "out_of_order", "recipients") == (0, 2)


def test_ids_of_others_and_messages_without_one():
    ledger = ledger_of(
        request(opaque_id="x"), request(opaque_id="x"), request(opaque_id=""), request(opaque_id="")
    )
    names = ("received", "distinct", "duplicates", "without_id")
    assert counts(ledger, *names) == (4, 1, 1, 2)


def test_answers_and_the_rest_are_counted():
    ledger = Ledger()
    ledger.note_answer("200")
    ledger.note_answer("none", "lose_reply")
    ledger.note_read()
    ledger.note_dropped()
    assert counts(ledger, "requests", "reads", "dropped_bsuid", "received") == (2, 1, 1, 0)
    assert ledger.report()["by_status"] == {"200": 1, "none": 1}
    assert ledger.report()["by_fault"] == {"lose_reply": 1}


def test_one_recipient_s_list():
    ledger = ledger_of(request(0, "a"), request(1, "b"), request(2, "a"))
    ids = [arrival.id for arrival in ledger.of_recipient("a", 10)]
    assert ids == [request(0).opaque_id, request(2).opaque_id]
    assert ledger.of_recipient("unknown", 10) == []


def test_forgotten_recipients_are_confessed():
    ledger = ledger_of(*(request(n, str(n)) for n in range(5)), recipients_max=3)
    assert counts(ledger, "recipients", "recipients_forgotten") == (5, 2)
    assert ledger.of_recipient("0", 10) == []
    assert len(ledger.of_recipient("4", 10)) == 1


def test_the_list_is_bounded_and_the_counts_are_not():
    ledger = ledger_of(*(request(n) for n in range(50)), arrivals_kept=10)
    assert [arrival.n for arrival in ledger.since(0, 100)] == list(range(41, 51))
    assert counts(ledger, "received", "distinct") == (50, 50)
    ledger.note_arrival(request(0), 0)
    assert counts(ledger, "duplicates") == (1,)
