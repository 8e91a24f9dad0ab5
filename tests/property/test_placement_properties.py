"""Placement against a deliberately dumb twin, over random and over all small inputs."""

from collections import Counter
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.control.placement import Candidate, place
from multiconnect.limits import SHARD_COUNTS, SLOTS

NAMES = [f"c{number}" for number in range(40)]


def dumb_place(shards, candidates, holders):
    """Say the same in the slowest words: look at everything again before each choice."""
    if not candidates:
        return ()
    result: dict[int, str] = {}
    order = sorted(candidates, key=lambda one: (-one.generation, one.incarnation))

    def load(one):
        return sum(owner == one.incarnation for owner in result.values())

    def slots(shard, one):
        return sum(holders[slot] == one.incarnation for slot in range(shard, len(holders), shards))

    def may(one):
        least, spare = shards // len(order), shards % len(order)
        above = sum(max(0, load(other) - least) for other in order)
        return load(one) < least or (load(one) == least and above < spare)

    while True:
        wishes = [
            (slots(shard, one), -shard, -order.index(one))
            for shard in range(shards)
            for one in order
            if shard not in result and may(one) and slots(shard, one)
        ]
        if not wishes:
            break
        _, shard, position = max(wishes)
        result[-shard] = order[-position].incarnation
    for shard in range(shards):
        if shard not in result:
            result[shard] = min(order, key=lambda one: (load(one), order.index(one))).incarnation
    return tuple(result[shard] for shard in range(shards))


def check_promises(shards, candidates, holders):
    placed = place(shards, candidates, holders)
    if not candidates:
        assert placed == ()
        return
    names = {one.incarnation for one in candidates}
    loads = Counter(dict.fromkeys(names, 0))
    loads.update(placed)
    assert set(placed) <= names
    assert len(placed) == shards
    assert max(loads.values()) - min(loads.values()) <= 1, "balanced"
    assert placed == place(shards, candidates[::-1], holders), "order does not matter"
    after = [placed[slot % shards] for slot in range(len(holders))]
    assert placed == place(shards, candidates, after), "asking again changes nothing"
    alone = [
        shard
        for shard in range(shards)
        if len(set(holders[shard::shards])) == 1
        and holders.count(holders[shard]) == len(holders) // shards
    ]
    for shard in alone:
        if holders[shard] in names:
            assert placed[shard] == holders[shard], "who holds one whole shard keeps it"


candidate_lists = st.lists(st.sampled_from(NAMES), unique=True, max_size=36).flatmap(
    lambda names: st.tuples(*(st.builds(Candidate, st.just(n), st.integers(0, 2)) for n in names))
)


@settings(max_examples=150, derandomize=True)
@given(
    st.sampled_from(SHARD_COUNTS),
    candidate_lists,
    st.lists(st.sampled_from([None, *NAMES[:12]]), min_size=SLOTS, max_size=SLOTS),
)
def test_random_inputs(shards, candidates, holders):
    check_promises(shards, candidates, holders)
    assert place(shards, candidates, holders) == dumb_place(shards, candidates, holders)


def test_every_small_input():
    """3 CoreApps of 2 generations, 4 slots, 1, 2 and 4 shards, every holder of every slot."""
    everyone = [Candidate(name, generation) for name in "abc" for generation in (0, 1)]
    teams = [
        team
        for size in range(4)
        for team in combinations(everyone, size)
        if len({one.incarnation for one in team}) == size
    ]
    for shards, holders in product((1, 2, 4), product([None, "a", "b", "c"], repeat=4)):
        for team in teams:
            check_promises(shards, list(team), list(holders))
            assert place(shards, team, holders) == dumb_place(shards, team, holders)


@settings(max_examples=100, derandomize=True)
@given(st.sampled_from(SHARD_COUNTS), st.integers(0, 31), st.integers(0, 4))
def test_one_death_moves_one_shard_only(shards, victim, spares):
    """N owners and some spares: a spare replaces who dies, or others share; nobody else moves."""
    team = [Candidate(name, 0) for name in NAMES[: shards + spares]]
    before = place(shards, team, [None] * SLOTS)
    holders = [before[slot % shards] for slot in range(SLOTS)]
    dead = before[victim % shards]
    left = [one for one in team if one.incarnation != dead]
    if not left:
        return
    after = place(shards, left, [None if holder == dead else holder for holder in holders])
    moved = [shard for shard in range(shards) if before[shard] != after[shard]]
    assert moved == [victim % shards]
    assert (len(set(after)) == shards) == (spares > 0)
