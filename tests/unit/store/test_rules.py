import itertools

import pytest

from multiconnect.errors import Bug
from multiconnect.model.cluster import NodeState
from multiconnect.model.log import Append, LogWrite, Mark, Progress
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, State, Stream
from multiconnect.store.rules import (
    all_settled,
    check_slots,
    first_progress,
    is_forward,
    milliseconds,
    without_slots,
)

OUT = Stream.OUTBOUND


def test_life_goes_one_way():
    order = [NodeState.JOINING, NodeState.READY, NodeState.LEAVING, NodeState.DEAD]
    forward = {pair for pair in itertools.product(order, order) if is_forward(*pair)}
    assert forward == set(itertools.combinations(order, 2))


@pytest.mark.parametrize("state", State)
def test_a_batch_is_settled_when_none_of_its_states_is_pending(state):
    settled = bytes([State.SENT, State.FAILED | DUPLICATE_FLAG])
    assert all_settled(settled)
    assert all_settled(settled + bytes([state])) is (state in SETTLED)
    assert all_settled(settled + bytes([state | DUPLICATE_FLAG])) is (state in SETTLED)


def append(slot, states=None):
    return Append(OUT, slot, 8, 2, 1, (), 5, b"", states=states)


def test_an_append_brings_progress_only_with_states():
    assert first_progress(append(0)) is None
    some = bytes([State.REPEATED, State.ACCEPTED])
    assert first_progress(append(0, some)) == Progress(OUT, 0, 8, some, False, 5)
    every = bytes([State.REPEATED] * 2)
    assert first_progress(append(0, every)) == Progress(OUT, 0, 8, every, True, 5)


def test_refused_slots_are_taken_out_of_a_group():
    write = LogWrite(
        {0: 1, 1: 2},
        appends=(append(0), append(1)),
        marks=(Mark(OUT, 0, 1, 1),),
        retries_done=((OUT, 0, 7), (OUT, 1, 7)),
    )
    kept = without_slots(write, frozenset({0}))
    assert kept == LogWrite({1: 2}, appends=(append(1),), retries_done=((OUT, 1, 7),))


def test_rows_of_slots_without_epoch_are_named():
    check_slots(LogWrite({0: 1}, appends=(append(0),)))
    with pytest.raises(Bug, match=r"\[3, 4\]"):
        check_slots(LogWrite({0: 1}, appends=(append(4),), retries_done=((OUT, 3, 0),)))


def test_retentions_are_whole_milliseconds():
    assert milliseconds(1.5) == 1500
