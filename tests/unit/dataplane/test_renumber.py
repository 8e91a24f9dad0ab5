"""A batch under another numbering: a peer accepts it as whole, its records are untouched."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect._native import Packer, records, split_batches
from multiconnect.dataplane.renumber import renumbered
from multiconnect.model.message import Stream

U64 = st.integers(0, (1 << 64) - 1)


@settings(derandomize=True)
@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8), U64, U64, U64, U64, st.booleans())
def test_only_producer_and_number_change(payloads, producer, number, new_producer, new_number, key):
    packer = Packer(Stream.INBOUND, orjson.dumps)
    for payload in payloads:
        packer.append_at(9, "1631", payload, keyed=key)
    batch = packer.take(9, producer, number, 12345)
    assert batch is not None
    new = renumbered(batch, new_producer, new_number)
    ((header, data),) = split_batches(new)  # checks the sum
    ((before, _),) = split_batches(batch)
    assert header == before._replace(producer=new_producer, producer_seq=new_number)
    assert records(data) == records(batch)
