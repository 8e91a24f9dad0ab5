"""Who may act as Master: the term row is the authority, and a beat the only excuse to take it.

Rules (invariant 11, one Master per term):

* the term is taken by compare-and-set, at once when its holder is proven dead or unknown;
* otherwise only when this observer saw no new beat of the holder for `takeover_s`, so a fresh
  observer first waits that long;
* a holder acts only before its own deadline, which only its own successful beat moves;
* a store that went back is acted upon by nobody.
"""

from __future__ import annotations

from multiconnect.control.actions import StepDown, TakeTerm
from multiconnect.control.facts import View
from multiconnect.control.roster import is_expired
from multiconnect.model.cluster import Node, NodeState, Snapshot


def holds_term(view: View, snapshot: Snapshot) -> bool:
    """Return whether the term row names me."""
    return snapshot.cluster.master == view.me


def election(view: View, snapshot: Snapshot) -> TakeTerm | StepDown | None:
    """Return what the term asks of me first; None means go on if the term is mine."""
    unfit = _why_unfit(view, snapshot.node(view.me))
    if holds_term(view, snapshot):
        return StepDown(unfit) if unfit else None
    vacant = _why_vacant(view, snapshot)
    if unfit or not vacant:
        return None
    return TakeTerm(snapshot.cluster.term, vacant)


def _why_unfit(view: View, me: Node | None) -> str:
    if me is None or me.state is not NodeState.READY:
        return f"{view.me} is {me.state if me else 'unknown'}, not ready"
    if view.observed.went_back:
        return f"the store was rolled back ({view.observed.went_back}); restart the cluster"
    if view.now_s >= view.my_deadline_s:
        return f"{view.me} could not renew its own beat in time"
    return ""


def _why_vacant(view: View, snapshot: Snapshot) -> str:
    holder = snapshot.cluster.master
    if holder is None:
        return "nobody holds the term"
    node = snapshot.node(holder)
    if node is None:
        return f"{holder} holds the term and is unknown"
    if node.state is NodeState.DEAD:
        return f"{holder} is dead: {node.reason or 'no reason given'}"
    if is_expired(view, node):
        return f"{holder} showed no beat for {view.timers.takeover_s:.2f} s"
    return ""
