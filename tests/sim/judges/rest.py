"""Judges the end: after the last fault everything comes to rest (invariants 3, 10, 16)."""

from collections.abc import Callable, Mapping

from multiconnect._native import records
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.dataplane.router import Router
from multiconnect.model.cluster import NodeState
from multiconnect.model.message import State, Stream
from multiconnect.store.memory import MemoryState
from tests.sim.judges.log import LogJudge
from tests.sim.ledger import Ledger

_SENT = (State.SENT, State.DELIVERED, State.READ)


class RestJudge:
    """Looks at owners, routers and the whole log."""

    def __init__(
        self, state: MemoryState, ledger: Ledger, log: LogJudge, found: Callable[[str, str], None]
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._log = log
        self._found = found

    def unfinished(self, apps: Mapping[str, CoreApp], routers: Mapping[str, Router]) -> str:
        """Return why the cluster has not come to rest, "" when it has."""
        cluster = self._state.cluster
        if cluster.shards != cluster.target_shards:
            return f"{cluster.shards} shards are in force, {cluster.target_shards} are wanted"
        for row in self._state.slots:
            owner = self._state.nodes.get(row.owner or "")
            if owner is None or owner.state is not NodeState.READY or row.owner not in apps:
                return f"slot {row.slot} is {row.owner}'s, {owner.state if owner else 'nobody'}"
            if row.drain_to is not None or owner.generation != cluster.generation:
                return f"slot {row.slot} is on its way from {row.owner} to {row.drain_to}"
        if self._log.unsettled:
            return f"{self._log.unsettled} messages are not final"
        for name, app in apps.items():
            figures = app.figures()
            if figures["in_flight"] or figures["backlog"]:
                return f"{name} counts {figures['in_flight']} in flight, {figures['backlog']} to do"
        parked = {name: router.parked_bytes for name, router in routers.items()}
        return next((f"{name} holds {held} bytes" for name, held in parked.items() if held), "")

    def check(self) -> None:
        """Everything acknowledged is there and final, and what is called sent was sent."""
        for (slot, sequence), sent in self._ledger.at.items():
            lane = self._state.lanes[Stream.OUTBOUND, slot]
            batch = next(lane.batches_from(sequence), None)
            if batch is None or batch.base_seq > sequence:
                self._found("3", f"{sent} is gone from the store")
            elif records(batch.body, sequence - batch.base_seq, 1)[0][3] != sent.payload:
                self._found("3", f"another message is stored in the place of {sent}")
            elif not lane.progress[batch.base_seq].settled:
                self._found("16", f"the batch of {sent} is final, and not called settled")
            state = self._log.state_of(slot, sequence)
            if state in _SENT and not sent.effects:
                self._found("3", f"{sent} is {state.name} and never reached the upstream")
