"""One decision: the term, then the dead, then ownerless slots, then planned moves. No policy here.

Pure: the same view gives the same actions. Stateless: whatever a crash left half done is an
ordinary view, and deciding again finishes it. The order is the policy's frame (design §4): planned
moves wait until nothing is broken that can be mended.
"""

from __future__ import annotations

from multiconnect.control.actions import Action
from multiconnect.control.election import election, holds_term
from multiconnect.control.facts import Unreadable, View
from multiconnect.control.failover import repair
from multiconnect.control.moves import planned_moves
from multiconnect.control.roster import muster


def decide(view: View) -> list[Action]:
    """Return the next actions, in the order they must be performed."""
    snapshot = view.snapshot
    if isinstance(snapshot, Unreadable):
        return []
    term = election(view, snapshot)
    if term is not None:
        return [term]
    if not holds_term(view, snapshot):
        return []
    roster = muster(view, snapshot)
    return repair(view, snapshot, roster) or planned_moves(view, snapshot, roster)
