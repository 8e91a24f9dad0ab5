import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.errors import CorruptData
from multiconnect.model.log import Answer
from multiconnect.store.answers import decode_answers, encode_answers

U64 = st.integers(0, 2**64 - 1)
ANSWERS = st.lists(
    st.builds(Answer, U64, U64, st.lists(st.tuples(U64, U64, U64), max_size=3).map(tuple)),
    max_size=8,
).map(tuple)


@given(ANSWERS)
def test_answers_read_back_as_written(answers):
    assert decode_answers(encode_answers(answers)) == answers


def test_no_answers_take_no_room():
    assert encode_answers(()) == b""


@given(ANSWERS.filter(bool), st.data())
def test_bytes_that_end_early_are_corrupt_or_fewer_answers(answers, data):
    whole = encode_answers(answers)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = decode_answers(cut)
    except CorruptData:
        return
    assert found == answers[: len(found)]
    assert len(found) < len(answers)


@pytest.mark.parametrize("data", [b"x", bytes(8), bytes(16), b"\xff" * 24, bytes(16) + b"\x01" * 8])
def test_garbage_is_corrupt(data):
    with pytest.raises(CorruptData):
        decode_answers(data)


def test_the_bytes_are_what_is_written_down():
    """On disk in every store: a change of layout needs a migration, not an edit of this test."""
    answer = Answer(1, 2, ((3, 4, 5),))
    assert encode_answers((answer,)) == b"".join(
        number.to_bytes(8, "little") for number in (1, 2, 1, 3, 4, 5)
    )
