"""Frozen and cut-off processes that nobody kills, and that wake up when others have their work.

Real processes without a supervisor: death is known by lease only, as it is of a host that is cut
off. The figures in brackets are the cases of docs/faults.md.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiconnect.model.cluster import NodeState, Role
from tests.support.faulty_cluster import RouterLoad
from tests.support.lone_roles import LoneRoles, lone_roles
from tests.support.stage import recipients_of
from tests.support.upstreams import arrivals_in, senders_in

pytestmark = pytest.mark.process


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[LoneRoles]:
    """Two Masters, m1 with the term; two CoreApps, a with all slots."""
    with lone_roles(tmp_path) as roles:
        roles.begin(Role.MASTER, "m1")
        roles.begin(Role.COREAPP, "a")
        roles.until_served("a")
        roles.begin(Role.MASTER, "m2")
        roles.begin(Role.COREAPP, "b")
        roles.until_ready(2)
        yield roles


def assert_lease_death(roles: LoneRoles, name: str) -> None:
    node = roles.snapshot().node(name)
    assert node is not None
    assert node.state is NodeState.DEAD
    assert "lease" in node.reason


def test_an_owner_that_froze_before_its_first_byte_wakes_up_as_a_zombie(roles: LoneRoles) -> None:
    """[1, 7, 10] Between the look at the lease and the write: the write happens, and no other."""
    with RouterLoad(roles, recipients_of(range(32)), period_s=0.05) as load:
        load.wait_for(100)
        roles.tickets.put("stop-before-send@a")
        roles.until_stopped("a")
        roles.until_served("b")
        load.wait_for(300)
        taken_over = len(senders_in(roles.arrivals))
        roles.signal("a", signal.SIGCONT)
        assert roles.processes["a"].wait(20) == 0
        load.wait_for(100)
    assert_lease_death(roles, "a")
    verdict = load.assert_clean()
    # What one turn of its loop had begun arrives, nothing after it: one per recipient.
    rows = zip(arrivals_in(roles.arrivals), senders_in(roles.arrivals), strict=True)
    zombie = roles.processes["a"].pid
    late = [row.recipient for row, pid in list(rows)[taken_over:] if pid == zombie]
    assert late
    assert len(late) == len(set(late))
    assert verdict.marked_repeats >= len(late)


def test_an_owner_cut_off_from_the_store_stops_sending_by_itself(roles: LoneRoles) -> None:
    """[11] Routers and the upstream still reach it; only the store does not."""
    with RouterLoad(roles, recipients_of(range(32)), period_s=0.05) as load:
        load.wait_for(100)
        roles.tickets.stand("cut-store@a")
        roles.until_served("b")
        taken_over = len(senders_in(roles.arrivals))
        load.wait_for(300)
        assert roles.processes["a"].pid not in senders_in(roles.arrivals)[taken_over:]
        roles.tickets.fall("cut-store@a")
        assert roles.processes["a"].wait(20) == 0
        load.wait_for(100)
    assert_lease_death(roles, "a")
    load.assert_clean()


def test_a_master_that_froze_with_a_grant_in_its_hands_cannot_make_it_later(
    roles: LoneRoles,
) -> None:
    """[9] It had decided to give all slots to b; when it wakes up the term is another's."""
    roles.tickets.put("stop-before-assign@m1")
    with RouterLoad(roles, recipients_of(range(32)), period_s=0.05) as load:
        load.wait_for(100)
        roles.signal("a", signal.SIGKILL)
        roles.until_stopped("m1")
        roles.until_served("b")
        version = roles.snapshot().cluster.map_version
        roles.signal("m1", signal.SIGCONT)
        assert roles.processes["m1"].wait(20) == 0
        load.wait_for(100)
    assert_lease_death(roles, "m1")
    assert roles.snapshot().cluster.map_version == version
    assert {entry.term for entry in roles.audit() if entry.new_owner == "b"} == {2}
    load.assert_clean()
