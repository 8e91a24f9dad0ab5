"""Whatever happens to a cluster, no step breaks an invariant, and after the last fault it heals.

The invariants themselves are checked by the World after every store call of a Master.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.control.decide import decide
from multiconnect.limits import MOVES_AT_ONCE_MAX, SHARD_COUNTS, SLOTS
from multiconnect.master.perform import perform
from tests.property.histories import History, histories, random_history
from tests.scenarios.world import World, done


def begin(shards: int, coreapps: int = 3, masters: int = 2) -> History:
    history = History(World(shards=shards))
    history.world.coreapps(*(history.name("c") for _ in range(coreapps)))
    for _ in range(masters):
        history.world.start_master(history.name("m"))
    history.world.pass_time(0.25)
    return history


@settings(max_examples=150, derandomize=True)
@given(st.sampled_from((1, 2, 4)), histories)
def test_after_the_last_fault_the_map_is_what_was_asked_for(shards, story):
    history = begin(shards)
    for what, number in story:
        history.take(what, number)
    history.recover()
    assert history.converges(), history.world.snapshot


@pytest.mark.parametrize("seed", range(200))
def test_long_histories_by_seed(seed):
    """The same, on histories longer and wilder than a search by examples comes up with."""
    history = begin((1, 2, 4)[seed % 3])
    for what, number in random_history(seed):
        history.take(what, number)
    history.recover()
    assert history.converges(), history.world.snapshot


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_a_master_may_crash_after_any_action(seed):
    """Every prefix of the plan is performed and left; a fresh Master finishes from there."""
    history = begin((1, 2, 4)[seed % 3])
    for what, number in random_history(seed, length=40):
        history.take(what, number)
    world = history.world
    world.crash_masters()
    world.start_master("planner")
    list(world.turn("planner"))
    view = world.view("planner")
    plan = decide(view)
    for length in range(len(plan) + 1):
        twin = world.clone()
        for action in plan[:length]:
            assert done(perform(twin.control, "planner", view.snapshot.cluster.term, action))
        twin.crash_masters()
        successor = History(twin, born=500)
        successor.recover()
        assert successor.converges(), (length, plan, twin.snapshot)


@settings(max_examples=40, derandomize=True)
@given(st.lists(st.sampled_from(SHARD_COUNTS[:5]), min_size=1, max_size=3), st.integers(0, 2))
def test_a_resize_without_faults_moves_each_slot_exactly_once(targets, spares):
    """Invariant 9: one hand-over per slot and generation, few at a time, the count at the end."""
    history = begin(2, coreapps=2 + spares, masters=1)
    world = history.world
    world.drains_answered = False
    for target in targets:
        before, old_shards = world.snapshot, world.snapshot.cluster.shards
        world.set_target(target)
        world.coreapps(*(history.name("c") for _ in range(max(target, old_shards) + spares)))
        for _ in range(200):
            world.pass_time(0.25)
            busy = [row for row in world.snapshot.slots if row.drain_to is not None]
            assert len(busy) <= MOVES_AT_ONCE_MAX
            if history.is_settled():
                break
            assert world.snapshot.cluster.shards == old_shards, "never seen half-changed"
            world.answer_drains()
        assert history.is_settled()
        grown = [
            new.epoch - old.epoch
            for old, new in zip(before.slots, world.snapshot.slots, strict=True)
        ]
        assert grown == [1] * SLOTS
        world.retire()


@settings(max_examples=40, derandomize=True)
@given(st.integers(0, 31), st.sampled_from(SHARD_COUNTS[:5]))
def test_a_new_master_changes_nothing_it_finds(victim, shards):
    history = begin(shards, coreapps=shards + 1)
    history.take("kill", victim)
    history.world.pass_time(0.5)
    before = history.world.snapshot
    for name in list(history.world.masters):
        history.world.die(name)
    history.world.start_master("fresh")
    events = history.world.pass_time(3)
    assert [type(event.action).__name__ for _, event in events] == ["TakeTerm"]
    assert history.world.snapshot.slots == before.slots
