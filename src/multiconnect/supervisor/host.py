"""What a supervisor does to its host before it starts anything: lock its directory, bury the dead.

Guarantees: one supervisor per data directory; a node row left over from before is declared dead
only on proof (design §4). Proof is another boot, a pid that is gone or belongs to another start
time, or a kill through a pidfd. What cannot be proved is left to the lease; what was not started
by a supervisor is never killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from multiconnect.errors import Refused
from multiconnect.model.cluster import Node, NodeState, Role
from multiconnect.store.port import ControlStore
from multiconnect.supervisor import identity

LOCK_NAME: Final = "supervisor.lock"
#: How long a killed leftover may take to vanish (a process in an uninterruptible call does not).
_KILL_WAIT_S: Final = 2.0
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def own_data_dir(path: Path) -> Iterator[None]:
    """Hold the data directory's lock; raise Refused when another supervisor has it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Refused(
                f"data directory {path} is in use by another supervisor (pid {holder}); "
                "stop that one, or choose another with --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc says of a pid right now; `start_ticks` 0: no such process, or a zombie."""

    start_ticks: int
    parent: int = 0
    #: The incarnation a supervisor started it as; "" when none did.
    started_as: str = ""


def process_facts(pid: int) -> ProcessFacts:
    """Read the facts of one pid."""
    if identity.is_zombie(pid):
        return ProcessFacts(0)
    parent, started_as = identity.parent_pid(pid), identity.started_as(pid)
    return ProcessFacts(identity.start_ticks(pid), parent, started_as)


@dataclass(frozen=True, slots=True)
class Survey:
    """The rows of this host that a starting supervisor must settle."""

    #: With the proof.
    dead: tuple[tuple[Node, str], ...] = ()
    #: Children of a supervisor that is gone, still running: to be killed.
    orphans: tuple[Node, ...] = ()
    #: Running CoreApps that no supervisor started (an `Engine` in somebody's program).
    foreign: tuple[Node, ...] = ()


def survey(
    nodes: Sequence[Node],
    host: str,
    boot: str,
    facts_of: Callable[[int], ProcessFacts] = process_facts,
) -> Survey:
    """Sort this host's rows into the dead, the orphans and the foreign.

    A process whose parent is a living supervisor is that one's business (two supervisors may share
    a host, each with a data directory of its own), and so is that supervisor itself.
    """
    facts = {n.pid: facts_of(n.pid) for n in nodes if n.host == host and n.state != NodeState.DEAD}
    rows = [node for node in nodes if node.host == host and node.state != NodeState.DEAD]
    proofs = [(node, proof_of_death(node, boot, facts[node.pid])) for node in rows]
    living = [node for node, proof in proofs if proof == ""]
    guardians = {node.pid for node in living if node.role == Role.SUPERVISOR}
    unguarded = [
        node
        for node in living
        if node.role != Role.SUPERVISOR and facts[node.pid].parent not in guardians
    ]
    ours = {node for node in unguarded if facts[node.pid].started_as == node.incarnation}
    return Survey(
        dead=tuple((node, proof) for node, proof in proofs if proof),
        orphans=tuple(node for node in unguarded if node in ours),
        foreign=tuple(n for n in unguarded if n not in ours and n.role == Role.COREAPP),
    )


def proof_of_death(node: Node, boot: str, facts: ProcessFacts) -> str | None:
    """Return why the process is dead, "" when it lives, None when nothing can be said.

    Inside another pid namespace of the same boot the pid means nothing here.
    """
    if not node.boot_id or not boot or not node.start_ticks:
        return None
    if node.boot_id != boot:
        other_boot = node.boot_id.partition("/")[0] != boot.partition("/")[0]
        return "the machine was restarted" if other_boot else None
    if facts.start_ticks == 0:
        return "its process is gone"
    if facts.start_ticks != node.start_ticks:
        return "its pid belongs to a later process"
    return ""


async def bury_leftovers(control: ControlStore, host: str) -> int:
    """Declare dead what is left over of this host from before; return how many.

    Raises Refused when a running program of somebody's own serves from this store.
    """
    snapshot = await control.snapshot()
    found = survey(snapshot.nodes, host, identity.boot_id())
    if found.foreign:
        node = found.foreign[0]
        raise Refused(
            f"the store is served by {node.incarnation} (pid {node.pid}), which no supervisor "
            "started; end that program first, or use another --store"
        )
    killed = [(node, await kill_orphan(node)) for node in found.orphans]
    dead = [*found.dead, *((node, reason) for node, reason in killed if reason)]
    for node, reason in dead:
        await control.set_node_state(node.incarnation, NodeState.DEAD, reason)
        _log.info("buried a leftover", extra={"incarnation": node.incarnation, "why": reason})
    return len(dead)


async def kill_orphan(node: Node) -> str | None:
    """Kill the process of that row through a pidfd; return the reason of its death, None if unsure.

    The identity is checked again after the pidfd is open: from then on the pid cannot be reused
    behind our back.
    """
    try:
        descriptor = os.pidfd_open(node.pid)
    except ProcessLookupError:
        return "its process is gone"
    except OSError:
        return None
    try:
        if process_facts(node.pid).start_ticks != node.start_ticks:
            return "its process is gone"
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        died = await asyncio.to_thread(_wait_readable, descriptor, _KILL_WAIT_S)
    except OSError as error:
        _log.warning("a leftover could not be killed", extra={"pid": node.pid, "why": str(error)})
        return None
    finally:
        os.close(descriptor)
    return "left over from an earlier supervisor, killed" if died else None


def _wait_readable(descriptor: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))
