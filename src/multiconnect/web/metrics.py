"""What `/metrics` shows: this process's counters, and the cluster as the store has it.

A collector that renders what is there when it is asked; nothing is counted twice. Labels hold route
patterns, node names and states only: no id, user or number of anybody (invariant 17).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from multiconnect.control.health import ClusterState, describe
from multiconnect.model.cluster import NodeState
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.figures import BUCKETS_S, Figures
from multiconnect.web.snapshots import View

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


def render(
    node: str, figures: Figures, connections: ConnectionSet, logins_refused: int, view: View | None
) -> bytes:
    """Return the text for Prometheus; `view` None: the store did not answer."""
    registry = CollectorRegistry()
    registry.register(_Process(node, figures, connections, logins_refused))
    registry.register(_Cluster(node, view))
    return generate_latest(registry)


class _Process(Collector):
    """What this process counted."""

    def __init__(
        self, node: str, figures: Figures, connections: ConnectionSet, logins_refused: int
    ) -> None:
        self._node = node
        self._figures = figures
        self._connections = connections
        self._logins_refused = logins_refused

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        yield self._answers()
        yield self._latencies()
        yield from self._gauges()
        yield from self._counters()

    def _answers(self) -> Metric:
        family = CounterMetricFamily(
            "multiconnect_web_requests",
            "Requests answered.",
            labels=("node", "method", "route", "status"),
        )
        for (method, path, status), count in self._figures.answers.items():
            family.add_metric((self._node, method, path, str(status)), count)
        return family

    def _latencies(self) -> Metric:
        family = HistogramMetricFamily(
            "multiconnect_web_request_seconds",
            "Time from a complete request to its answer.",
            labels=("node", "method", "route"),
        )
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        for (method, path), latency in self._figures.latencies.items():
            buckets = list(zip(bounds, accumulate(latency.counts), strict=True))
            family.add_metric((self._node, method, path), buckets, latency.sum_s)
        return family

    def _gauges(self) -> Iterator[Metric]:
        connections = self._connections
        yield self._gauge("connections", "Open connections.", len(connections))
        yield self._gauge("running", "Requests that wait for something.", connections.waiting)
        yield self._gauge("body_bytes", "Bytes of large bodies held.", connections.held_bytes)

    def _counters(self) -> Iterator[Metric]:
        figures, connections = self._figures, self._connections
        yield self._counter("connections_admitted", "Connections admitted.", connections.accepted)
        yield self._counter(
            "connections_turned_away", "Connections beyond the cap.", connections.turned_away
        )
        yield self._counter("deadlines", "Connections past a deadline.", connections.expired)
        yield self._counter("messages_accepted", "Messages stored.", figures.messages_accepted)
        yield self._counter(
            "messages_repeated", "Messages known by their key.", figures.messages_repeated
        )
        yield self._counter("logins_refused", "Log-ins refused.", self._logins_refused)
        webhooks = {
            "statuses": (figures.webhook_statuses, "Statuses of our messages."),
            "messages": (figures.webhook_messages, "Messages that came in."),
            "foreign": (figures.webhook_foreign, "Statuses of messages that are not ours."),
            "malformed": (figures.webhook_malformed, "Entries that could not be read."),
            "signatures_refused": (figures.webhook_signatures_refused, "Wrong signatures."),
        }
        for name, (count, text) in webhooks.items():
            yield self._counter(f"webhook_{name}", text, count)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"multiconnect_web_{name}", text, labels=("node",))
        family.add_metric((self._node,), value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"multiconnect_web_{name}", text, labels=("node",))
        family.add_metric((self._node,), value)
        return family


class _Cluster(Collector):
    """What the store says of the cluster."""

    def __init__(self, node: str, view: View | None) -> None:
        self._node = node
        self._view = view

    def collect(self) -> Iterable[Metric]:
        """Yield the families; only the first when the store did not answer."""
        yield self._plain("store_up", "Whether the store answered.", self._view is not None)
        if self._view is None:
            return
        cluster = describe(self._view.snapshot)
        yield self._plain("shards", "Shards in force.", cluster.shards)
        yield self._plain("shards_wanted", "Shards asked for.", cluster.target_shards)
        yield self._plain("generation", "Generation asked for.", cluster.generation)
        yield self._plain("map_version", "Version of the shard map.", cluster.map_version)
        yield self._plain("term", "Term of the Master.", cluster.term)
        state = GaugeMetricFamily("multiconnect_state", "The cluster's state.", labels=("state",))
        for name in ClusterState:
            state.add_metric((name.value,), name is cluster.state)
        yield state
        yield from self._nodes(self._view)

    def _nodes(self, view: View) -> Iterator[Metric]:
        described = describe(view.snapshot).nodes
        states = Counter((str(node.role), node.state) for node in described)
        nodes = GaugeMetricFamily(
            "multiconnect_nodes", "Nodes by role and state.", labels=("role", "state")
        )
        for labels, count in states.items():
            nodes.add_metric(labels, count)
        yield nodes
        slots = GaugeMetricFamily(
            "multiconnect_slots_owned", "Slots a CoreApp owns.", labels=("node",)
        )
        for node in described:
            if node.role == "coreapp" and node.state != NodeState.DEAD:
                slots.add_metric((node.name,), len(node.slots))
        yield slots
        yield from self._figures(view)

    def _figures(self, view: View) -> Iterator[Metric]:
        """Yield what nodes report with their beats; whatever is a number."""
        families: dict[str, GaugeMetricFamily] = {}
        for node in view.snapshot.nodes:
            beat = view.beats.get(node.incarnation)
            if beat is None or node.state is NodeState.DEAD:
                continue
            for key, value in beat.figures.items():
                if isinstance(value, int | float):
                    name = f"multiconnect_node_{_NOT_A_NAME.sub('_', str(key))}"
                    family = families.setdefault(
                        name, GaugeMetricFamily(name, "Reported with beats.", labels=("node",))
                    )
                    family.add_metric((node.name,), value)
        yield from families.values()

    def _plain(self, name: str, text: str, value: float) -> Metric:
        return GaugeMetricFamily(f"multiconnect_{name}", text, value=value)
