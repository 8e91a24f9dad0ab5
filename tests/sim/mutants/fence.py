"""Mutants of the fence: who may write under which epoch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from multiconnect.store.memory.control import MemoryControl
from multiconnect.store.memory.log import MemoryLog
from multiconnect.store.rules import without_slots
from tests.sim import store_client
from tests.sim.mutants.registry import mutant, put


def _fenced_by(stands: Callable[[Any, str, int, int], bool]) -> None:
    """Let the memory store commit under another rule than its fence."""

    async def commit(self: MemoryLog, write: Any) -> frozenset[int]:
        refused = frozenset(
            slot for slot, epoch in write.epochs.items()
            if not stands(self._state, self._incarnation, slot, epoch)
        )  # fmt: skip
        allowed = without_slots(write, refused)
        for append in allowed.appends:
            self._append(append)
        self._write_states(allowed)
        self._write_exceptional(allowed)
        return refused

    put(MemoryLog, "commit", commit)


@mutant("a write is not checked against the slot's epoch")
def no_fence() -> None:
    _fenced_by(lambda _state, _me, _slot, _epoch: True)


@mutant("a write is checked against the slot's owner, not its epoch", "aba")
def fence_by_owner_only() -> None:
    _fenced_by(lambda state, me, slot, _epoch: state.slots[slot].owner == me)


@mutant("the epoch is checked when the write sets out, not in its transaction", "late_commit")
def fence_before_transaction() -> None:
    plain = store_client.StoreClient.call

    def call(self: Any, name: str, method: Any, args: Any, kwargs: Any) -> Any:
        if name != "commit":
            return plain(self, name, method, args, kwargs)
        write, fences = args[0], dict(self.server.state.fences)

        async def commit(write: Any) -> frozenset[int]:
            log = method.__self__
            saved, log._state.fences = log._state.fences, fences
            try:
                return await MemoryLog.commit(log, write)
            finally:
                log._state.fences = saved

        return plain(self, name, commit, (write,), kwargs)

    put(store_client.StoreClient, "call", call)


@mutant("a grant to a slot whose owner is dead reuses its epoch")
def epoch_reuse() -> None:
    plain = MemoryControl.assign

    async def assign(self: Any, moves: Any, *args: Any, **kwargs: Any) -> bool:
        done = await plain(self, moves, *args, **kwargs)
        for move in moves if done else ():
            if move.old_owner is not None and not self._is_alive(move.old_owner):
                row = self._state.slots[move.slot]
                self._state.slots[move.slot] = replace(row, epoch=row.epoch - 1)
        return done

    put(MemoryControl, "assign", assign)
