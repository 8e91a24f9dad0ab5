"""Rules that every store applies in the same way: which steps are forward, what is settled."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from multiconnect.errors import Bug
from multiconnect.model.cluster import NodeState
from multiconnect.model.log import Append, LogWrite, Progress
from multiconnect.model.message import SETTLED, STATE_MASK

_slot_of = attrgetter("slot")
_LIFE: Final = (NodeState.JOINING, NodeState.READY, NodeState.LEAVING, NodeState.DEAD)
_SETTLED_BYTES: Final = bytes(byte for byte in range(256) if byte & STATE_MASK in SETTLED)


def is_forward(old: NodeState, new: NodeState) -> bool:
    """Return whether a node may go from `old` to `new`; standing still is not forward."""
    return _LIFE.index(new) > _LIFE.index(old)


def all_settled(states: bytes) -> bool:
    """Return whether none of these state bytes is pending."""
    return not states.translate(None, _SETTLED_BYTES)


def first_progress(append: Append) -> Progress | None:
    """Return the progress that an append comes with, if it does."""
    if append.states is None:
        return None
    settled = all_settled(append.states)
    at_ms = append.accepted_at_ms
    return Progress(append.stream, append.slot, append.base_seq, append.states, settled, at_ms)


def check_slots(write: LogWrite) -> None:
    """Raise Bug for a row whose slot the group names no epoch for: nothing would fence it."""
    rows = (write.appends, write.progress, write.marks, write.retries, write.failures)
    slots = {slot for _, slot, _ in write.retries_done}
    for kind in (*rows, write.upstream_ids):
        slots.update(map(_slot_of, kind))
    unnamed = slots - write.epochs.keys()
    if unnamed:
        raise Bug(f"a group writes to slots {sorted(unnamed)} and names no epoch for them")


def without_slots(write: LogWrite, refused: frozenset[int]) -> LogWrite:
    """Return what is left of a group when nothing may be written to some slots."""

    def kept(rows: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(row for row in rows if row.slot not in refused)

    return LogWrite(
        epochs={slot: epoch for slot, epoch in write.epochs.items() if slot not in refused},
        appends=kept(write.appends),
        progress=kept(write.progress),
        marks=kept(write.marks),
        retries=kept(write.retries),
        retries_done=tuple(done for done in write.retries_done if done[1] not in refused),
        failures=kept(write.failures),
        upstream_ids=kept(write.upstream_ids),
    )


def milliseconds(seconds: float) -> int:
    """Return a retention from limits in the unit that rows carry."""
    return int(seconds * 1000)
