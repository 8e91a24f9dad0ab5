"""When a CoreApp is told to go, and when it is not."""

from dataclasses import replace

from multiconnect.limits import RETIRING_AT_ONCE_MAX, SLOTS
from multiconnect.model.cluster import Cluster, Node, NodeState, Role, Slot, Snapshot
from multiconnect.supervisor.generations import contradicted, has_settled, leaving, retirable


def node(name, generation, state=NodeState.READY, role=Role.COREAPP):
    return Node(name, name, role, "host-a", 1, "", generation, state)


OLD, OLD_SPARE, NEW, NEW_SPARE = node("o", 0), node("os", 0), node("n", 1), node("ns", 1)
EVERYONE = (OLD, OLD_SPARE, NEW, NEW_SPARE)
RUNNING = {"o", "os", "n", "ns"}


def snapshot(owner="n", *, nodes=EVERYONE, shards=1, target=1, generation=1):
    """Return a snapshot in which one node owns every slot."""
    slots = tuple(Slot(slot, 3, owner) for slot in range(SLOTS))
    return Snapshot(Cluster(1, shards, target, generation, 9, 1, None), nodes, slots)


def with_slot(base, slot, **changes):
    slots = list(base.slots)
    slots[slot] = replace(slots[slot], **changes)
    return replace(base, slots=tuple(slots))


def test_the_old_generation_goes_when_the_new_one_has_everything():
    assert retirable(snapshot(), 1, RUNNING) == ["o", "os"]


def test_an_old_spare_stays_while_an_old_owner_has_a_single_slot():
    assert retirable(with_slot(snapshot(), 31, owner="o"), 1, RUNNING) == []


def test_nobody_goes_while_a_hand_over_is_under_way():
    assert retirable(with_slot(snapshot(), 5, drain_to="ns"), 1, RUNNING) == []


def test_nobody_goes_before_the_shards_asked_for_are_in_force():
    assert retirable(snapshot(target=2), 1, RUNNING) == []


def test_nobody_goes_while_the_new_owner_is_not_alive():
    dead = replace(NEW, state=NodeState.DEAD)
    assert retirable(snapshot(nodes=(OLD, OLD_SPARE, dead, NEW_SPARE)), 1, RUNNING) == []


def test_nobody_goes_while_a_slot_has_no_owner():
    assert retirable(with_slot(snapshot(), 0, owner=None), 1, RUNNING) == []


def test_a_generation_wished_for_meanwhile_is_waited_for():
    assert not has_settled(snapshot(generation=2), 1)


def test_the_newest_generation_never_goes():
    assert retirable(snapshot(owner="n", nodes=(NEW, NEW_SPARE)), 1, RUNNING) == []


def test_only_our_own_children_are_told_to_go():
    assert retirable(snapshot(), 1, {"os", "n"}) == ["os"]


def test_who_asked_to_be_relieved_goes_once_it_is():
    relieved = replace(NEW_SPARE, state=NodeState.LEAVING)
    nodes = (NEW, relieved)
    assert retirable(snapshot(nodes=nodes), 1, RUNNING) == ["ns"]
    assert retirable(with_slot(snapshot(nodes=nodes), 4, owner="ns"), 1, RUNNING) == []


def test_a_few_go_at_a_time_and_the_next_when_one_has_gone():
    olds = [node(f"o{n}", 0) for n in range(RETIRING_AT_ONCE_MAX + 2)]
    names = [old.incarnation for old in olds]
    shown = snapshot(nodes=(*olds, NEW))
    assert retirable(shown, 1, {*names, "n"}) == names[:-2]
    assert retirable(shown, 1, {*names, "n"}, names[:-2]) == []
    # Its last word is in the store, its process still ends.
    dead = replace(olds[0], state=NodeState.DEAD)
    shown = snapshot(nodes=(dead, *olds[1:], NEW))
    assert retirable(shown, 1, {*names, "n"}, names[:-2]) == []
    assert retirable(shown, 1, {*names[1:], "n"}, names[1:-2]) == [names[-2]]


def test_masters_and_webs_are_never_retired():
    nodes = (NEW, node("m", 0, role=Role.MASTER), node("w", 0, role=Role.WEB))
    assert retirable(snapshot(nodes=nodes), 1, {"n", "m", "w"}) == []


def test_leaving_children_are_named():
    nodes = (NEW, replace(OLD, state=NodeState.LEAVING))
    assert leaving(snapshot(nodes=nodes), RUNNING) == {"o"}
    assert leaving(snapshot(nodes=nodes), {"n"}) == set()


def test_a_row_that_looks_alive_after_an_exit_is_contradicted():
    nodes = (NEW, replace(OLD, state=NodeState.DEAD))
    assert contradicted(snapshot(nodes=nodes), {"n", "o", "gone"}) == ["n"]
