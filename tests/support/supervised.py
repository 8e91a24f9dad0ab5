"""A supervisor over dummy roles, in this process, on the memory store."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from multiconnect.config.process import ProcessSettings
from multiconnect.model.cluster import Node, NodeState, Role
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.store.port import ControlStore
from multiconnect.supervisor import identity
from multiconnect.supervisor.children import Child
from multiconnect.supervisor.process import Supervisor
from multiconnect.supervisor.programs import Programs
from multiconnect.supervisor.stopping import stop_all
from multiconnect.supervisor.supervision import ROLES, Wanted

HOST = "host-a"
TIMERS = Timers()
DUMMY = (sys.executable, "-m", "tests.support.dummy_role")


@dataclass
class Supervised:
    """A running supervisor and what a test asks of it."""

    supervisor: Supervisor
    control: ControlStore
    data_dir: Path

    def child(self, name: str) -> Child:
        """Return the child in the seat `name`."""
        return next(c for c in self.supervisor.seats.children() if c.settings.name == name)

    def names(self) -> list[str]:
        """Return the names of the running children."""
        return sorted(child.settings.name for child in self.supervisor.seats.children())

    async def joined(self, child: Child) -> str:
        """Write the child's row, as its role would; return its incarnation."""
        settings = child.settings
        node = Node(
            settings.incarnation, settings.name, settings.role, HOST, child.pid, "",
            settings.generation, NodeState.JOINING,
        )  # fmt: skip
        assert await self.control.join(node)
        await self.control.set_node_state(settings.incarnation, NodeState.READY, "test")
        return settings.incarnation

    async def row(self, incarnation: str) -> Node:
        """Return the row of an incarnation."""
        node = (await self.control.snapshot()).node(incarnation)
        assert node is not None
        return node

    async def dead(self, incarnation: str, timeout_s: float = 5.0) -> Node:
        """Wait until the store says that it is dead; return its row."""
        async with asyncio.timeout(timeout_s):
            while (node := await self.row(incarnation)).state is not NodeState.DEAD:  # noqa: ASYNC110 -- looks from outside
                await asyncio.sleep(0.002)
        return node


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 -- looks from outside
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def supervised(
    data_dir: Path,
    wanted: Wanted,
    *,
    control: ControlStore | None = None,
    staffed: bool = True,
) -> AsyncIterator[Supervised]:
    """Run a supervisor with dummy children; nothing of it is left afterwards."""
    store = MemoryStore(MemoryState())
    control = control or store.control
    template = ProcessSettings(
        store="memory://", incarnation="", name="", role=Role.WEB, host=HOST, data_dir=str(data_dir)
    )
    logs = data_dir / "logs"
    programs = Programs(template, data_dir, logs, commands=dict.fromkeys(ROLES, DUMMY))
    supervisor = Supervisor(control, wanted, TIMERS, programs, own_node)
    await supervisor.start()
    try:
        if staffed:
            await until(supervisor.is_staffed)
        yield Supervised(supervisor, control, data_dir)
    finally:
        hurry = asyncio.Event()
        hurry.set()
        await stop_all(supervisor, hurry)
        await supervisor.aclose()


def own_node() -> Node:
    """Return the row of the supervisor under test."""
    pid = os.getpid()
    return Node(
        identity.new_incarnation("supervisor"), "supervisor", Role.SUPERVISOR, HOST, pid, "", 0,
        NodeState.JOINING, "", identity.start_ticks(pid), identity.boot_id(),
    )  # fmt: skip
