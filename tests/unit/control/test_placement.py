"""Placement by example; tests/property holds its dumb twin and the exhaustive search."""

import pytest

from multiconnect.control.placement import Candidate, place
from multiconnect.limits import SLOTS


def team(text):
    """ "a b c1" → a and b of generation 0, c of generation 1."""
    return [Candidate(word[0], int(word[1:] or 0)) for word in text.split()]


def held(text):
    """Repeat the holders in `text` over all slots; "." is nobody."""
    return [None if mark == "." else mark for mark in text * (SLOTS // len(text))]


@pytest.mark.parametrize(
    ("shards", "candidates", "holders", "placed"),
    [
        (4, "", ".", ""),
        (1, "a", ".", "a"),
        (4, "a b c d", ".", "abcd"),
        (4, "d c b a", ".", "abcd"),
        # who has a shard keeps it, spares fill holes
        (2, "a b c", "cb", "cb"),
        (2, "a b c", "c.", "ca"),
        (4, "a b c d e", "abc.", "abcd"),
        # fewer than shards: share evenly, keep what there is
        (4, "a b", "ab..", "abab"),
        (4, "a b", "aaaa", "aabb"),
        (4, "a b c", "abab", "abac"),
        (2, "a", "b.", "aa"),
        # the newest generation fills holes first, and takes the odd one
        (2, "a b1 c1", ".", "bc"),
        (2, "a b1", "a.", "ab"),
        (4, "a b c1", ".", "cabc"),
        # most slots of a shard decide
        (1, "a b", "aaab", "a"),
        (2, "a b c", "ab" * 15 + "cb", "ab"),
        # a resize on paper: 2 -> 4 keeps two holders of the four
        (4, "a b c d", "ab", "abcd"),
        (2, "a b c d", "abcd", "ab"),
        (1, "a b c d", "abcd", "a"),
        # strangers are nobody
        (2, "a b", "xy", "ab"),
    ],
)
def test_placement(shards, candidates, holders, placed):
    assert "".join(place(shards, team(candidates), held(holders))) == placed


def test_more_candidates_than_shards_leaves_the_rest_spare():
    names = [Candidate(f"c{number:02}", 0) for number in range(33)]
    assert len(set(place(32, names, [None] * SLOTS))) == 32
