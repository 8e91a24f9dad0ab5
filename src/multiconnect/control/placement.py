"""Which CoreApp should hold which shard: deterministic, balanced, and moving as little as it can.

Guarantees, for any input:

* the order of the candidates and the names of those that hold nothing do not matter;
* loads differ by at most one shard: with enough CoreApps each holds at most one shard, with fewer
  they share evenly;
* a CoreApp keeps the shards of which it holds most slots, as far as balance allows; what it found
  is what it returns when asked again (`place` of its own result changes nothing);
* holes go to the least loaded, then to the newest generation, then by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A CoreApp that may be given slots."""

    incarnation: str
    generation: int


class _Quota:
    """How much each candidate may take: `floor` shards each, and one more while extras last."""

    def __init__(self, shards: int, candidates: Sequence[Candidate]) -> None:
        self.floor, self.extras = divmod(shards, len(candidates))
        self.load = {candidate.incarnation: 0 for candidate in candidates}

    def may_take(self, incarnation: str) -> bool:
        load = self.load[incarnation]
        return load < self.floor or (load == self.floor and self.extras > 0)

    def take(self, incarnation: str) -> None:
        if self.load[incarnation] == self.floor:
            self.extras -= 1
        self.load[incarnation] += 1


def place(
    shards: int, candidates: Sequence[Candidate], holders: Sequence[str | None]
) -> tuple[str, ...]:
    """Return the incarnation for each shard; empty when there is no candidate.

    `holders[slot]` is who has the slot now (or is about to get it); anybody who is no candidate
    counts as nobody.
    """
    ranked = sorted(candidates, key=lambda one: (-one.generation, one.incarnation))
    if not ranked:
        return ()
    quota = _Quota(shards, ranked)
    placed = _keep(shards, ranked, holders, quota)
    for shard in range(shards):
        if shard not in placed:
            # `min` takes the first of equals, so `ranked` decides between equal loads.
            placed[shard] = min((one.incarnation for one in ranked), key=quota.load.__getitem__)
            quota.take(placed[shard])
    return tuple(placed[shard] for shard in range(shards))


def _keep(
    shards: int, ranked: Sequence[Candidate], holders: Sequence[str | None], quota: _Quota
) -> dict[int, str]:
    """Leave each shard, largest holding first, with whoever holds most of it."""
    rank = {one.incarnation: position for position, one in enumerate(ranked)}
    held = Counter((slot % shards, name) for slot, name in enumerate(holders) if name in rank)
    placed: dict[int, str] = {}
    for shard, holder in sorted(held, key=lambda at: (-held[at], at[0], rank[at[1]])):
        if shard not in placed and quota.may_take(holder):
            quota.take(holder)
            placed[shard] = holder
    return placed
