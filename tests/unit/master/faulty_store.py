"""A memory store whose answers can be made to fail, and small words for tests on it."""

import asyncio
from collections.abc import Callable, Mapping

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Beat, Node, NodeState, Role, Snapshot
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.store.memory.control import MemoryControl

#: Quick enough for a test, and every relation between them holds.
FAST = Timers(
    renew_s=0.05, lease_ttl_s=0.25, margin_s=0.02, grace_s=0.02, ping_s=0.01, silence_s=0.1,
    drain_max_s=0.2,
)  # fmt: skip
DEADLINE_S = 10.0


class Faulty(MemoryControl):
    """A handle whose calls fail while their name is in `failing`, and are counted."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.failing: set[str] = set()
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise StoreUnavailable(f"{name} did not answer")

    async def snapshot(self) -> Snapshot:
        self._call("snapshot")
        return await super().snapshot()

    async def beats(self) -> dict[str, Beat]:
        self._call("beats")
        return await super().beats()

    async def beat(self, beat: Beat) -> bool:
        self._call("beat")
        return await super().beat(beat)

    async def take_term(self, incarnation: str, observed_term: int) -> int | None:
        self._call("take_term")
        return await super().take_term(incarnation, observed_term)

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        self._call("changed")
        return await super().changed(timeout_s, since, concerning=concerning)

    async def set_node_state(self, incarnation: str, state: NodeState, reason: str) -> bool:
        self._call("set_node_state")
        return await super().set_node_state(incarnation, state, reason)


class FaultyStore(MemoryStore):
    """One Master's own handle."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.faulty = Faulty(state)

    @property
    def control(self) -> Faulty:
        return self.faulty


def row(name: str, role: Role = Role.COREAPP, state: NodeState = NodeState.READY) -> Node:
    return Node(name, name, role, "host", 1, f"unix:/{name}", 0, state)


async def eventually(state: MemoryState, holds: Callable[[Snapshot], object]) -> Snapshot:
    """Wait, woken by each change, until a snapshot is as wanted."""
    control = MemoryControl(state)
    async with asyncio.timeout(DEADLINE_S):
        while not holds(snapshot := await control.snapshot()):
            await control.changed(0.05)
    return snapshot


def owners(snapshot: Snapshot) -> set[str | None]:
    return {slot.owner for slot in snapshot.slots}


def names_of(snapshot: Snapshot) -> set[str]:
    """The owners, of a map in which every slot has one."""
    return {slot.owner or "nobody" for slot in snapshot.slots}


async def beat_for(control: MemoryControl, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        await control.beat(Beat(name, count))
