"""How what an observer knows grows with each look: `observe(before, snapshot, beats, now) → after`.

Guarantees:

* A node is silent only for time in which this observer was looking. A gap between two looks longer
  than one renewal (a pause of this process, a slow store, a suspended host) counts as one renewal
  and no more, so whoever wakes up from a pause accuses nobody of it.
* After a failed read all stopwatches start again (`forget_times`): a store that crashed may have
  lost beats.
* A drain that disappears without a grant after its full time is a failed drain, and earns a pause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from multiconnect.control.facts import DrainPause, DrainSeen, HighWater, Observed, SlotEpoch
from multiconnect.limits import DRAIN_PAUSE_MAX_S, DRAIN_PAUSE_MIN_S
from multiconnect.model.cluster import Beat, NodeState, Snapshot
from multiconnect.model.timers import Timers


def observe(
    before: Observed | None,
    snapshot: Snapshot,
    beats: Mapping[str, Beat],
    now_s: float,
    timers: Timers,
) -> Observed:
    """Return what is known after one more look; `before` is None at the first."""
    seen = Observed(now_s) if before is None else _without_gap(before, now_s, timers)
    live = [n.incarnation for n in snapshot.nodes if n.state is not NodeState.DEAD]
    ready = [n.incarnation for n in snapshot.nodes if n.state is NodeState.READY]
    counts = {name: beats[name].count if name in beats else None for name in live}
    return Observed(
        at_s=now_s,
        beat_counts=counts,
        beat_changed_s={
            name: seen.beat_changed_s[name] if _is_unchanged(seen, name, count) else now_s
            for name, count in counts.items()
        },
        arrived_s={name: seen.arrived_s.get(name, now_s) for name in live},
        ready_since_s={name: seen.ready_since_s.get(name, now_s) for name in ready},
        drains=_drains(seen, snapshot, now_s),
        pauses=_pauses(seen, snapshot, now_s, timers),
        high_water=_high_water(snapshot),
        went_back=seen.went_back or _what_went_back(seen.high_water, snapshot),
    )


def forget_times(before: Observed | None) -> Observed | None:
    """Return what is left after a failed read: every stopwatch starts again at the next look."""
    if before is None:
        return None
    return replace(before, beat_counts={}, beat_changed_s={}, drains={})


def pause_after(failures: int) -> float:
    """Return how long (s) a slot rests after its drain failed `failures` times in a row."""
    return min(DRAIN_PAUSE_MAX_S, DRAIN_PAUSE_MIN_S * 2.0 ** min(failures - 1, 16))


def _without_gap(before: Observed, now_s: float, timers: Timers) -> Observed:
    """Move all stamps forward by the time in which nobody looked."""
    unseen_s = now_s - before.at_s - timers.renew_s
    if unseen_s <= 0:
        return before
    return replace(
        before,
        beat_changed_s=_later(before.beat_changed_s, unseen_s),
        arrived_s=_later(before.arrived_s, unseen_s),
        ready_since_s=_later(before.ready_since_s, unseen_s),
        drains={
            key: DrainSeen(drain.to, drain.since_s + unseen_s)
            for key, drain in before.drains.items()
        },
    )


def _later(stamps: Mapping[str, float], by_s: float) -> dict[str, float]:
    return {name: stamp_s + by_s for name, stamp_s in stamps.items()}


def _is_unchanged(seen: Observed, name: str, count: int | None) -> bool:
    return name in seen.beat_changed_s and seen.beat_counts.get(name) == count


def _drains(seen: Observed, snapshot: Snapshot, now_s: float) -> dict[SlotEpoch, DrainSeen]:
    drains = {}
    for row in snapshot.slots:
        if row.drain_to is None:
            continue
        known = seen.drains.get((row.slot, row.epoch))
        same = known is not None and known.to == row.drain_to
        drains[row.slot, row.epoch] = known if known and same else DrainSeen(row.drain_to, now_s)
    return drains


def _pauses(
    seen: Observed, snapshot: Snapshot, now_s: float, timers: Timers
) -> dict[SlotEpoch, DrainPause]:
    """Keep the pauses of epochs still in force, and add one for each drain that was cancelled."""
    pauses = {}
    for row in snapshot.slots:
        key = (row.slot, row.epoch)
        pause = seen.pauses.get(key)
        ended = seen.drains.get(key) if row.drain_to is None else None
        if ended is not None and now_s - ended.since_s > timers.drain_max_s:
            failures = 1 + (pause.failures if pause else 0)
            pause = DrainPause(failures, now_s + pause_after(failures))
        if pause is not None:
            pauses[key] = pause
    return pauses


def _high_water(snapshot: Snapshot) -> HighWater:
    cluster = snapshot.cluster
    epochs = {row.slot: row.epoch for row in snapshot.slots}
    return HighWater(cluster.term, cluster.map_version, epochs)


def _what_went_back(high: HighWater, snapshot: Snapshot) -> str:
    cluster = snapshot.cluster
    if cluster.term < high.term:
        return f"the term fell from {high.term} to {cluster.term}"
    if cluster.map_version < high.map_version:
        return f"the map version fell from {high.map_version} to {cluster.map_version}"
    for row in snapshot.slots:
        if row.epoch < high.epochs.get(row.slot, 0):
            return f"the epoch of slot {row.slot} fell from {high.epochs[row.slot]} to {row.epoch}"
    return ""
