"""Small words for building snapshots and views by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from multiconnect.control.facts import Observed, View
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Beat, Cluster, Node, NodeState, Role, Slot, Snapshot
from multiconnect.model.timers import Timers

NOW_S = 1000.0
TIMERS = Timers()


def node(
    name: str,
    role: Role = Role.COREAPP,
    state: NodeState = NodeState.READY,
    generation: int = 1,
    reason: str = "",
) -> Node:
    return Node(name, name, role, "host", 1, f"unix:/{name}", generation, state, reason)


def master(name: str = "m1", state: NodeState = NodeState.READY, reason: str = "") -> Node:
    return node(name, Role.MASTER, state, reason=reason)


def cluster(**fields: object) -> Cluster:
    plain = Cluster(
        cluster=7, shards=2, target_shards=2, generation=1, map_version=5, term=3, master="m1"
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def slots(*owners: str | None, **changed: Slot) -> tuple[Slot, ...]:
    """All 32 slots under epoch 1, owned by `owners` in turn; `s5=Slot(...)` replaces one."""
    rows = [Slot(slot, 1, owners[slot % len(owners)]) for slot in range(SLOTS)]
    for key, row in changed.items():
        rows[int(key[1:])] = row
    return tuple(rows)


def snapshot(
    nodes: Iterable[Node], rows: tuple[Slot, ...] = slots(None), **fields: object
) -> Snapshot:
    return Snapshot(cluster(**fields), (master(), *nodes), rows)


def view(
    shown: Snapshot,
    *,
    me: str = "m1",
    silent_s: Mapping[str, float] = {},
    my_deadline_s: float = NOW_S + 1.0,
    **observed: object,
) -> View:
    """A view in which everybody beat just now, but those in `silent_s` that long ago."""
    names = [n.incarnation for n in shown.nodes if n.state is not NodeState.DEAD]
    seen = Observed(
        NOW_S,
        beat_counts=dict.fromkeys(names, 1),
        beat_changed_s={name: NOW_S - silent_s.get(name, 0.0) for name in names},
        arrived_s=dict.fromkeys(names, 0.0),
        ready_since_s=dict.fromkeys(names, 0.0),
    )
    seen = replace(seen, **observed)  # type: ignore[arg-type]
    return View(me, NOW_S, shown, seen, TIMERS, my_deadline_s)


def beats(**counts: int) -> dict[str, Beat]:
    return {name: Beat(name, count) for name, count in counts.items()}
