"""The kinds of faults: what each runs on, and how much of it `--cycles` asks for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.worst_minute import hosts
from bench.worst_minute.cycles import (
    Samples,
    master_cycles,
    masters_down,
    owner_cycles,
    storm,
    under_steal,
)
from bench.worst_minute.ground import Ground, Layout, ground
from bench.worst_minute.resizes import COUNTS, FEW_COUNTS, walks
from bench.worst_minute.results import STORES

MASTERS = 2
_USUAL = Layout(shards=2, spares=3)
#: Both generations are up in a resize, so the load must be small: the slots that move are probed.
_RESIZING = Layout(shards=1, spares=31, period_s=0.1)
_RESIZING_FEW = Layout(shards=1, spares=3, period_s=0.1)
_STORM = Layout(shards=4, spares=5, period_s=0.1, recipients=4)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault."""

    name: str
    layout: Layout
    #: Run it on the ground; the number is that of `--cycles`.
    run: Callable[[Ground, int], Coroutine[Any, Any, Samples]]
    #: Make the ground in a folder, on a store.
    ground: Callable[[Path, Layout, str], AbstractAsyncContextManager[Ground]] = ground
    stores: tuple[str, ...] = STORES


def _owners(number: signal.Signals) -> Callable[[Ground, int], Coroutine[Any, Any, Samples]]:
    return lambda ground, cycles: owner_cycles(
        ground, cycles, number, shards=_USUAL.shards, ready=_USUAL.ready
    )


_ALL = (
    Kind("kill", _USUAL, _owners(signal.SIGKILL)),
    Kind("stop", _USUAL, _owners(signal.SIGSTOP)),
    # Hosts need a store that they can share.
    Kind("host", hosts.LAYOUT, hosts.host_cycles, hosts.hosts_ground, ("postgresql",)),
    Kind("master",
        _USUAL, lambda ground, cycles: master_cycles(ground, cycles, masters=MASTERS)
    ),
    # With the back-off, because Masters are started in vain all the time.
    Kind("masters-down",
        Layout(shards=2, spares=3, quick_restarts=False),
        lambda ground, cycles: masters_down(ground, 0.6 * cycles, masters=MASTERS),
    ),
    Kind("resize",
        _RESIZING,
        lambda ground, cycles: walks(
            ground, -(-cycles // 28), counts=COUNTS, ready=_RESIZING.ready
        ),
    ),
    Kind("resize-few",
        _RESIZING_FEW,
        lambda ground, cycles: walks(
            ground, -(-cycles // 7), counts=FEW_COUNTS, ready=_RESIZING_FEW.ready
        ),
    ),
    Kind("steal", _USUAL, lambda ground, cycles: under_steal(ground, 3.0 * cycles)),
    Kind("storm",
        _STORM,
        lambda ground, cycles: storm(
            ground, 2 * cycles, shards=_STORM.shards, ready=_STORM.ready
        ),
    ),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}
