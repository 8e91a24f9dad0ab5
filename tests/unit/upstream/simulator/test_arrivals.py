from multiconnect.model.message_id import MessageAddress, decode_id, encode_id
from multiconnect.upstream.simulator.arrivals import Arrival, Arrivals


def add(arrivals, n, recipient="1", previous=0, address=None, foreign_id="x"):
    return arrivals.add(
        address,
        foreign_id,
        recipient,
        at_ms=1000 + n,
        duplicate=bool(n % 2),
        marked=n % 4 == 3,
        previous=previous,
    )


def test_ids_come_back_as_they_were():
    arrivals = Arrivals()
    addresses = [
        MessageAddress(0, 0, 0, 0),
        MessageAddress(2**32 - 1, 1, 31, 2**64 - 1),
        MessageAddress(7, 1, 3, 12),
    ]
    for n, address in enumerate(addresses):
        add(arrivals, n, address=address)
    add(arrivals, 3, foreign_id="not ours")
    listed = arrivals.since(0, 10)
    assert [decode_id(arrival.id) for arrival in listed] == [*addresses, None]
    assert listed[3] == Arrival(4, "not ours", "1", 1003, duplicate=True, marked=True)
    assert [(a.duplicate, a.marked) for a in listed[:3]] == [
        (False, False),
        (True, False),
        (False, False),
    ]


def test_paging_by_number():
    arrivals = Arrivals()
    for n in range(25):
        add(arrivals, n)
    pages = [arrivals.since(since, 10) for since in (0, 10, 20, 25, 99)]
    assert [[arrival.n for arrival in page] for page in pages] == [
        list(range(1, 11)),
        list(range(11, 21)),
        list(range(21, 26)),
        [],
        [],
    ]


def test_a_full_ring_keeps_the_newest_and_nothing_of_the_oldest():
    arrivals = Arrivals(kept=4)
    for n in range(11):
        add(arrivals, n, foreign_id=f"id-{n}")
    assert [arrival.id for arrival in arrivals.since(0, 100)] == [f"id-{n}" for n in (7, 8, 9, 10)]
    assert [arrival.n for arrival in arrivals.since(8, 2)] == [9, 10]
    assert len(arrivals._foreign) == 4


def test_a_recipient_s_arrivals_are_linked():
    arrivals = Arrivals(kept=6)
    last: dict[str, int] = {}
    for n in range(10):
        recipient = "ab"[n % 2]
        last[recipient] = add(arrivals, n, recipient, last.get(recipient, 0))
    assert [arrival.n for arrival in arrivals.chain(last["b"], 100)] == [6, 8, 10]
    assert [arrival.n for arrival in arrivals.chain(last["b"], 2)] == [8, 10]
    assert arrivals.chain(0, 100) == []


def test_our_ids_are_rebuilt_exactly():
    arrivals = Arrivals()
    message_id = encode_id(9, 17, 123456)
    add(arrivals, 0, address=decode_id(message_id))
    assert arrivals.since(0, 1)[0].id == message_id
