"""One supervisor per directory; leftovers are dead only on proof."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from multiconnect.errors import Refused
from multiconnect.model.cluster import Node, NodeState, Role
from multiconnect.supervisor import identity
from multiconnect.supervisor.host import (
    ProcessFacts,
    Survey,
    kill_orphan,
    own_data_dir,
    process_facts,
    proof_of_death,
    survey,
)

BOOT = "11111111-boot/pid:[1]"
GONE = ProcessFacts(0)


def row(incarnation="c", pid=100, *, role=Role.COREAPP, host="host-a", boot=BOOT, ticks=5):
    return Node(
        incarnation, incarnation, role, host, pid, "", 0, NodeState.READY, "", ticks, boot
    )  # fmt: skip


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(tmp_path):
    with own_data_dir(tmp_path / "data"):
        refused = pytest.raises(Refused, match=rf"pid {os.getpid()}.*--data-dir")
        with refused, own_data_dir(tmp_path / "data"):
            pass
    with own_data_dir(tmp_path / "data"):
        pass


def test_the_data_directory_is_private(tmp_path):
    with own_data_dir(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("node", "facts", "reason"),
    [
        (row(), ProcessFacts(5, 1), ""),
        (row(), GONE, "its process is gone"),
        (row(), ProcessFacts(6, 1), "its pid belongs to a later process"),
        (row(boot="22222222-boot/pid:[1]"), ProcessFacts(5, 1), "the machine was restarted"),
        # Another container of the same machine: its pids mean nothing here.
        (row(boot="11111111-boot/pid:[2]"), GONE, None),
        (row(boot=""), GONE, None),
        (row(ticks=0), GONE, None),
    ],
)
def test_proof_of_death(node, facts, reason):
    assert proof_of_death(node, BOOT, facts) == reason


def facts_table(table):
    return lambda pid: table.get(pid, GONE)


def test_the_dead_of_this_host_are_found_and_others_left_alone():
    rows = [row("a", 100), row("b", 101, host="host-b"), replace(row("c", 102), state="dead")]
    found = survey(rows, "host-a", BOOT, facts_table({}))
    assert found == Survey(dead=((rows[0], "its process is gone"),))


def test_an_orphan_that_lives_is_to_be_killed():
    facts = facts_table({100: ProcessFacts(5, 1, "a")})
    assert survey([row("a", 100)], "host-a", BOOT, facts) == Survey(orphans=(row("a", 100),))


def test_a_program_of_somebodys_own_is_foreign_and_never_an_orphan():
    facts = facts_table({100: ProcessFacts(5, 1)})
    assert survey([row("e", 100)], "host-a", BOOT, facts) == Survey(foreign=(row("e", 100),))


def test_a_child_of_another_living_supervisor_is_left_alone():
    rows = [row("s", 50, role=Role.SUPERVISOR), row("a", 100)]
    facts = facts_table({50: ProcessFacts(5, 1), 100: ProcessFacts(5, 50, "a")})
    assert survey(rows, "host-a", BOOT, facts) == Survey()


def test_a_reused_pid_does_not_make_a_guardian():
    rows = [row("s", 50, role=Role.SUPERVISOR), row("a", 100)]
    facts = facts_table({50: ProcessFacts(6, 1), 100: ProcessFacts(5, 50, "a")})
    found = survey(rows, "host-a", BOOT, facts)
    assert found.dead == ((rows[0], "its pid belongs to a later process"),)
    assert found.orphans == (rows[1],)


def test_a_zombie_counts_as_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process_facts(child.pid) == GONE
    finally:
        child.wait()


@pytest.fixture
def child():
    """Return a process that waits."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


async def test_an_orphan_is_killed_by_identity(child):
    node = row("a", child.pid, ticks=identity.start_ticks(child.pid))
    assert "killed" in (await kill_orphan(node) or "")
    assert child.wait(5) == -signal.SIGKILL


async def test_a_reused_pid_is_not_killed(child):
    node = row("a", child.pid, ticks=identity.start_ticks(child.pid) - 1)
    assert await kill_orphan(node) == "its process is gone"
    assert child.poll() is None


async def test_nobody_is_killed_when_the_pid_is_free(child):
    child.communicate(b"\n")
    assert await kill_orphan(row("a", child.pid)) == "its process is gone"
