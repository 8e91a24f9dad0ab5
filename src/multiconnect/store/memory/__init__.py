"""The store in this process's memory: tests, simulation, benchmarks without durability.

It keeps the whole contract of the port except surviving the process. No threads, no clock of its
own, no randomness beyond what it is given: the simulation runs on it.
"""

from __future__ import annotations

from multiconnect.store.memory.state import MemoryState, MemoryStates
from multiconnect.store.memory.store import MemoryStore

__all__ = ["MemoryState", "MemoryStates", "MemoryStore"]
