import pytest

from multiconnect.model.message_id import MessageAddress
from multiconnect.upstream.simulator.order import RecipientTrack


def late_by_id(*sequences):
    track = RecipientTrack("1")
    return [track.is_late_by_id(MessageAddress(1, 0, 3, sequence)) for sequence in sequences]


def late_by_text(*texts):
    track = RecipientTrack("1")
    return [track.is_late_by_text(text) for text in texts]


def test_rising_numbers_with_gaps_are_in_order():
    assert late_by_id(0, 1, 5, 70) == [False] * 4
    assert late_by_text("seq:0", "seq:1", "seq:9") == [False] * 3


def test_each_message_behind_a_later_one_is_late():
    assert late_by_id(0, 3, 1, 2, 4) == [False, False, True, True, False]
    assert late_by_text("seq:5", "seq:4", "seq:6", "seq:5") == [False, True, False, True]


def test_another_cluster_counts_anew():
    track = RecipientTrack("1")
    addresses = [MessageAddress(1, 0, 3, 9), MessageAddress(2, 0, 3, 0), MessageAddress(2, 0, 3, 1)]
    assert [track.is_late_by_id(address) for address in addresses] == [False] * 3


@pytest.mark.parametrize("text", ["seq:7", '{"seq": 7}', "seq = 7", "hello seq:7 world"])
def test_ways_to_write_the_number(text):
    assert late_by_text("seq:8", text) == [False, True]


@pytest.mark.parametrize("text", ["", "no number", "consequence:7", "seq:x"])
def test_a_text_without_a_number_says_nothing(text):
    assert late_by_text("seq:8", text, "seq:9") == [False, False, False]
