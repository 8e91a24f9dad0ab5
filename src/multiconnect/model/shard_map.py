"""The one value in which both planes meet: who owns each slot, under which epoch, since when."""

from __future__ import annotations

from dataclasses import dataclass

from multiconnect.errors import InvalidShards
from multiconnect.limits import SHARD_COUNTS, SLOTS


@dataclass(frozen=True, slots=True)
class Owner:
    """A slot's owner: an incarnation and the address its lane listens on.

    `address` is "unix:/path" or "tcp:host:port"; "local:" is this process.
    """

    incarnation: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class SlotOwnership:
    """Epoch and owner of one slot; owner None while nobody holds it.

    `heir` is who is about to get it, if a planned move is under way: it may be connected to.
    """

    epoch: int
    owner: Owner | None
    heir: Owner | None = None


@dataclass(frozen=True, slots=True)
class ShardMap:
    """An immutable, versioned map of all 32 slots (invariant 9: never seen half-changed)."""

    version: int
    cluster: int
    shards: int
    slots: tuple[SlotOwnership, ...]

    def __post_init__(self) -> None:
        """Refuse a map that is not a map."""
        check_shards(self.shards)
        if len(self.slots) != SLOTS:
            raise ValueError(f"a map has {SLOTS} slots, not {len(self.slots)}")

    def shard_of_slot(self, slot: int) -> int:
        """Return the shard of a slot: slot mod N."""
        return slot % self.shards


def check_shards(shards: object) -> int:
    """Return `shards` if it is a legal count; raise InvalidShards naming the value if not."""
    if isinstance(shards, bool) or not isinstance(shards, int) or shards not in SHARD_COUNTS:
        counts = ", ".join(map(str, SHARD_COUNTS))
        raise InvalidShards(f"shards is {shards!r}; expected one of {counts}")
    return shards
