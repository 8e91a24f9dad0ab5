"""A small cluster state in a SQLite store, and the command line run against it."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from multiconnect.cli import main
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.store.open import open_store
from multiconnect.supervisor import identity


@dataclass
class Stage:
    """A store with nodes in it; the processes behind them are this one (or none at all)."""

    directory: Path

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"sqlite:///{self.directory}/stage.db"

    def run(self, *arguments: str) -> int:
        """Run a command against the store."""
        return main([*arguments, "--store", self.store])

    def prepare(self, *nodes: Node, owner: str = "", shards: int = 1, target: int = 0) -> None:
        """Make the store: ready nodes, one of which owns every slot."""
        asyncio.run(self._prepare(nodes, owner, shards, target))

    async def _prepare(self, nodes: tuple[Node, ...], owner: str, shards: int, target: int) -> None:
        store = await open_store(self.store)
        try:
            control = store.control
            for node in nodes:
                assert await control.join(node)
                await control.set_node_state(node.incarnation, NodeState.READY, "")
            masters = [node for node in nodes if node.role is Role.MASTER]
            term = await control.take_term(masters[0].incarnation, 0) if masters else 0
            if owner:
                log = await store.log(owner)
                snapshot = await control.snapshot()
                moves = [Move(row.slot, row.epoch, None, owner) for row in snapshot.slots]
                assert await control.assign(moves, term or 0, "test", shards=shards)
                await log.aclose()
            if target:
                await control.set_target(target, 0)
        finally:
            await store.aclose()


def node(
    name: str, role: Role = Role.COREAPP, *, host: str = "", pid: int = 0, alive: bool = True
) -> Node:
    """Return a row that stands for this process, or for one that is gone."""
    here = os.getpid()
    return Node(
        incarnation=f"{name}-0000",
        name=name,
        role=role,
        host=host or identity.host_name(),
        pid=pid or here,
        address="unix:/nowhere",
        generation=0,
        state=NodeState.JOINING,
        start_ticks=identity.start_ticks(here) - (0 if alive else 1),
        boot_id=identity.boot_id(),
    )


MASTER = node("master-1", Role.MASTER)
FIRST, SECOND = node("coreapp-1"), node("coreapp-2")
