"""The demo's verdicts: a claim that is not so fails, each for its own reason."""

from dataclasses import replace

import pytest

from multiconnect.cli.demo_claims import (
    Count,
    Crash,
    MasterLoss,
    Resize,
    Story,
    claims_of,
    count_of,
    longest_pause,
)
from multiconnect.cli.demo_traffic import Ack

COUNT = Count(100, 0, 0, 3, 0)
CRASH = Crash(0.2, 0.05)
LOSS = MasterLoss(0.1, 0.05)
RESIZE = Resize(2, 4, 201, 3.0, 0.1)


STORY = Story(COUNT, 0, 0.02, CRASH, LOSS, (RESIZE,))


def failed(**changes):
    return [claim.text for claim in claims_of(replace(STORY, **changes)) if not claim.holds]


def test_a_good_run_holds_every_claim():
    assert failed() == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"count": replace(COUNT, lost=1)}, "lost"),
        ({"count": replace(COUNT, acknowledged=0)}, "lost"),
        ({"count": replace(COUNT, duplicates_unmarked=1)}, "unmarked"),
        ({"count": replace(COUNT, out_of_order=1)}, "order"),
        ({"errors": 1}, "failed"),
        ({"crash": Crash(1.5, 0.05)}, "owner killed"),
        ({"crash": Crash(0.2, 0.9)}, "other shard"),
        ({"loss": MasterLoss(9.0, 0.05)}, "Master"),
        ({"loss": MasterLoss(0.1, 2.0)}, "Master"),
        ({"resizes": (replace(RESIZE, status=403),)}, "2 -> 4"),
        ({"resizes": (replace(RESIZE, pause_s=2.0),)}, "2 -> 4"),
        ({"resizes": (replace(RESIZE, took_s=40.0),)}, "2 -> 4"),
    ],
)
def test_each_claim_can_fail(changes, word):
    (text,) = failed(**changes)
    assert word in text


def test_a_machine_that_pauses_by_itself_is_given_more_time():
    slow = Crash(1.5, 0.9)
    assert len(failed(crash=slow)) == 2
    assert failed(crash=slow, calm_s=0.3) == []


def acks(*times, slot=0):
    return [Ack(at_s, slot, str(at_s)) for at_s in times]


def test_a_pause_is_the_longest_silence_that_reaches_into_the_window():
    times = acks(0.0, 5.0, 5.1, 5.2, 6.0, 6.1, 9.0)
    assert longest_pause(times, 5.05, 6.1, 1, 0) == pytest.approx(0.8)
    assert longest_pause(times, 5.15, 6.2, 1, 0) == pytest.approx(0.8)


def test_a_pause_that_began_before_counts_in_full():
    assert longest_pause(acks(0.0, 5.0, 5.1), 4.0, 5.1, 1, 0) == pytest.approx(5.0)


def test_a_pause_still_going_on_counts_as_far_as_it_got():
    assert longest_pause(acks(0.9, 1.0), 0.5, 4.0, 1, 0) == pytest.approx(3.0)
    assert longest_pause([], 1.0, 4.0, 1, 0) == pytest.approx(3.0)


def test_shards_are_looked_at_one_by_one():
    both = acks(0.0, 1.0, 2.0, slot=0) + acks(0.0, 0.1, 2.0, slot=1)
    assert longest_pause(both, 0.0, 2.0, 2, 0) == pytest.approx(1.0)
    assert longest_pause(both, 0.0, 2.0, 2) == pytest.approx(1.9)


def test_what_was_promised_and_did_not_arrive_is_lost():
    report = {"duplicates_unmarked": 0, "duplicates_marked": 2, "out_of_order": 0,
              "out_of_order_by_text": 1}  # fmt: skip
    count = count_of([Ack(0.0, 0, "a"), Ack(0.1, 0, "b")], report, {"a", "other"})
    assert count == Count(2, 1, 0, 2, 1)
