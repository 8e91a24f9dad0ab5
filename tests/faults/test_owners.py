"""Owners that die or freeze at the worst moment: real processes under a real supervisor.

One cluster serves all tests of this file; each leaves it whole. The figures in brackets are the
cases of docs/faults.md.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterator

import pytest

from multiconnect.limits import WATERMARK_STEP
from multiconnect.model.cluster import NodeState, Snapshot
from multiconnect.model.message_id import decode_id
from tests.support.faulty_cluster import FaultyCluster, RouterLoad, faulty_cluster
from tests.support.stage import recipients_of
from tests.support.upstreams import arrivals_in

pytestmark = pytest.mark.process
SHARDS, COREAPPS = 2, 4
#: In doubt after one death: a step per slot and stream, and one message per recipient besides.
REPEATS_MAX = 16 * (WATERMARK_STEP + 1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyCluster]:
    folder = tmp_path_factory.mktemp("owners")
    spares = COREAPPS - SHARDS
    options = ("--shards", str(SHARDS), "--spares", str(spares), "--webs", "0")
    with faulty_cluster(folder, *options) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: FaultyCluster) -> FaultyCluster:
    running.until_whole(SHARDS, COREAPPS)
    return running


@pytest.fixture
def load(cluster: FaultyCluster, request: pytest.FixtureRequest) -> RouterLoad:
    """Load from recipients that no other test uses, so that slots' numbers are its own."""
    number = [*cluster.loads, request.node.name].index(request.node.name)
    cluster.loads.append(request.node.name)
    return RouterLoad(cluster, recipients_of(range(32), prefix=f"163155{number:02d}"))


def assert_stored_once(load: RouterLoad) -> None:
    """Nothing else wrote while the load ran, so its numbers are without a gap or a twin."""
    sequences: defaultdict[int, list[int]] = defaultdict(list)
    for one in load.talk.acknowledged:
        address = decode_id(one.message_id)
        assert address is not None
        sequences[address.slot].append(address.sequence)
    for slot, found in sequences.items():
        assert sorted(found) == list(range(min(found), min(found) + len(found))), slot


def death_of(snapshot: Snapshot, incarnation: str) -> str:
    """Return what a node is known to have died of, "" while it lives."""
    node = snapshot.node(incarnation)
    return node.reason if node is not None and node.state is NodeState.DEAD else ""


@pytest.mark.parametrize(
    ("fault", "death"),
    [
        ("die-after-commit", "signal 9"),
        ("stop-before-commit", "silent"),
        ("stop-in-transaction", "silent"),
        ("stop-before-send", "silent"),
        ("block-loop", "silent"),
    ],
)
def test_an_owner_fails_at_the_worst_moment(
    cluster: FaultyCluster, load: RouterLoad, fault: str, death: str
) -> None:
    """[1, 3, 4, 26] Whatever it had in its hands: nothing lost, nothing twice, in order."""
    with load:
        load.wait_for(200)
        victim = cluster.owner()
        before = cluster.snapshot()
        cluster.tickets.put(f"{fault}@{victim.name}")
        after = cluster.until(
            lambda seen: (
                death_of(seen, victim.incarnation)
                and seen.slots[0].owner not in {None, victim.incarnation}
            ),
            f"{victim.name} fails and is replaced",
        )
        load.wait_for(200)
    assert death in death_of(after, victim.incarnation)
    assert after.slots[0].epoch > before.slots[0].epoch
    # The other shard noticed nothing.
    assert after.slots[1] == before.slots[1]
    assert load.assert_clean().marked_repeats <= REPEATS_MAX
    assert_stored_once(load)


def test_five_heirs_in_a_row_die_while_they_take_over(
    cluster: FaultyCluster, load: RouterLoad
) -> None:
    """[20] The fifth is served as well as the first."""
    with load:
        load.wait_for(100)
        before = cluster.snapshot()
        cluster.tickets.put("die-at-open", 5)
        cluster.signal_pid(cluster.owner().pid, signal.SIGKILL)
        after = cluster.until(lambda _: not cluster.tickets.left("die-at-open"), "five have died")
        cluster.until_whole(SHARDS, COREAPPS)
        load.wait_for(200)
    after = cluster.snapshot()
    # The last heirs may be owners of the other shard, that died with both.
    assert after.slots[0].epoch >= before.slots[0].epoch + 4
    load.assert_clean()
    assert_stored_once(load)


def test_an_owner_that_dies_with_a_drained_slot_leaves_nothing_of_it_in_doubt(
    cluster: FaultyCluster, load: RouterLoad
) -> None:
    """[15] "Drained" was said and the grant not yet made."""
    with load:
        load.wait_for(100)
        victim = cluster.owner()
        cluster.tickets.put(f"die-when-drained@{victim.name}")
        cluster.restart()
        cluster.until(lambda seen: death_of(seen, victim.incarnation), f"{victim.name} dies")
        cluster.until_whole(SHARDS, COREAPPS)
        load.wait_for(100)
    slot = int(cluster.tickets.standing("drained") or -1)
    load.assert_clean()
    sent = {one.message_id for one in load.talk.acknowledged}
    mine = [a for a in arrivals_in(cluster.arrivals) if a.message_id in sent]
    of_slot = [a for a in mine if (address := decode_id(a.message_id)) and address.slot == slot]
    assert of_slot
    assert not [a for a in of_slot if a.marked]


def test_a_drain_that_takes_too_long_is_never_forced(
    cluster: FaultyCluster, load: RouterLoad
) -> None:
    """[16] The upstream takes a message of one slot for seconds while everything is to move."""
    slow = recipients_of([0], prefix="1631999")[0]
    with load, RouterLoad(cluster, [slow], period_s=0.5) as one:
        load.wait_for(50)
        one.wait_for(1)
        cluster.tickets.stand("hold", slow)
        one.send(slow)
        one.wait_for(1)
        before = cluster.snapshot()
        cluster.restart()
        moved = cluster.until(
            lambda seen: (
                sum(
                    new.epoch > old.epoch for new, old in zip(seen.slots, before.slots, strict=True)
                )
                == 31
            ),
            "all slots but one have moved",
        )
        assert moved.slots[0].epoch == before.slots[0].epoch
        assert moved.slots[0].owner == before.slots[0].owner
        load.wait_for(50)
        cluster.tickets.fall("hold")
        cluster.until_whole(SHARDS, COREAPPS)
    assert cluster.snapshot().slots[0].epoch == before.slots[0].epoch + 1
    for each in (load, one):
        assert each.assert_clean().marked_repeats == 0
