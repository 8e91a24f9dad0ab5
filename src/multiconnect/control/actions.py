"""What a Master may do: frozen actions, each with the sentence that says why.

The sentence goes to the log and to the audit table, so it names who and how many, never a message.
Performing one is compare-and-set in the store: an action carries the epochs it is valid for, and
the term it was decided under is checked by the store in the same transaction (invariant 11).
"""

from __future__ import annotations

from dataclasses import dataclass

from multiconnect.model.cluster import Move


@dataclass(frozen=True, slots=True)
class TakeTerm:
    """Become Master, if the term is still the one observed."""

    observed_term: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepDown:
    """Hold the term and do nothing with it: my own lease ran out, or the store went back."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeclareDead:
    """Write that an incarnation is dead, if its last beat is the one observed; it never returns."""

    incarnation: str
    observed_beat: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Grant all moves in one commit, and put `shards` in force with it when it is given."""

    moves: tuple[Move, ...]
    shards: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class PutInForce:
    """Put a shard count in force for which every slot is already where it belongs."""

    shards: int
    reason: str


@dataclass(frozen=True, slots=True)
class StartDrain:
    """Ask the owner of a slot to finish what is in flight, so that `to` may take over."""

    slot: int
    epoch: int
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelDrain:
    """Take the request back; the owner goes on as before."""

    slot: int
    epoch: int
    reason: str


Action = TakeTerm | StepDown | DeclareDead | Assign | PutInForce | StartDrain | CancelDrain
