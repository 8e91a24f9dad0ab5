"""Who is alive, ready, silent or gone, as one View shows it; computed once per decision.

A lease death is a judgement by this observer: no new beat for `takeover_s` of its own looking.
Before that a node is merely *suspect*: it keeps what it has and is given nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multiconnect.control.facts import View
from multiconnect.limits import FIRST_BEAT_MAX_S
from multiconnect.model.cluster import Node, NodeState, Role, Snapshot

#: Roles that renew a beat. A supervisor that is only paused joins again under a new incarnation.
_BEATING = frozenset({Role.COREAPP, Role.MASTER, Role.WEB, Role.SUPERVISOR})


@dataclass(frozen=True, slots=True)
class Roster:
    """The nodes of a snapshot, sorted by what may be done with them."""

    #: Neither DEAD nor expired, by incarnation, all roles.
    live: Mapping[str, Node]
    #: Silent for too long and not yet written down as dead.
    expired: tuple[Node, ...]
    #: CoreApps that may own slots.
    ready: tuple[Node, ...]
    #: Live CoreApps that could own slots and missed a beat or two.
    suspects: frozenset[str]

    @property
    def coreapps(self) -> tuple[Node, ...]:
        """The live CoreApps, whatever their state."""
        return tuple(node for node in self.live.values() if node.role is Role.COREAPP)

    @property
    def trusted(self) -> tuple[Node, ...]:
        """The ready CoreApps that are not suspect; all ready ones when every one is."""
        sound = tuple(node for node in self.ready if node.incarnation not in self.suspects)
        return sound or self.ready


def muster(view: View, snapshot: Snapshot) -> Roster:
    """Sort the nodes of the snapshot."""
    alive = [node for node in snapshot.nodes if node.state is not NodeState.DEAD]
    expired = tuple(node for node in alive if is_expired(view, node))
    gone = {node.incarnation for node in expired}
    live = {node.incarnation: node for node in alive if node.incarnation not in gone}
    coreapps = [node for node in live.values() if node.role is Role.COREAPP]
    suspect_s = view.timers.renew_s + view.timers.silence_s
    return Roster(
        live=live,
        expired=expired,
        ready=tuple(node for node in coreapps if node.state is NodeState.READY),
        suspects=frozenset(
            node.incarnation
            for node in coreapps
            if node.state is not NodeState.JOINING and view.beat_age_s(node.incarnation) > suspect_s
        ),
    )


def is_expired(view: View, node: Node) -> bool:
    """Return whether the node's lease ran out; never true of the observer itself."""
    if node.role not in _BEATING or node.incarnation == view.me:
        return False
    limit_s = view.timers.takeover_s
    if view.observed.beat_counts.get(node.incarnation) is None:
        if node.role is Role.WEB:
            return False  # It owns nothing, so one that never beats does no harm by being listed.
        if node.state is NodeState.JOINING:
            limit_s = max(FIRST_BEAT_MAX_S, limit_s)
    return view.beat_age_s(node.incarnation) > limit_s
