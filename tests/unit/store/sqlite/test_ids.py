from hypothesis import given
from hypothesis import strategies as st

from multiconnect.model.message import Stream
from multiconnect.store.sqlite.ids import (
    id_of,
    lane_ids,
    lane_of,
    sequence_of,
    signed,
    slot_of,
    stream_of,
    unsigned,
)

PLACES = st.tuples(st.sampled_from(Stream), st.integers(0, 31), st.integers(0, 2**48 - 1))


@given(PLACES)
def test_an_id_tells_where_it_belongs(place):
    row_id = id_of(*place)
    assert (stream_of(row_id), slot_of(row_id), sequence_of(row_id)) == place
    first, end = lane_ids(lane_of(*place[:2]))
    assert first <= row_id < end
    assert 0 <= row_id < 2**63


@given(PLACES, PLACES)
def test_ids_sort_by_stream_slot_and_sequence(one, other):
    assert (id_of(*one) < id_of(*other)) is (one < other)


@given(st.integers(0, 2**64 - 1))
def test_u64s_fit_into_i64s(number):
    assert -(2**63) <= signed(number) < 2**63
    assert unsigned(signed(number)) == number
