"""The control plane's data as one JSON document: one statement reads it all at one instant."""

from __future__ import annotations

from typing import Any, Final

import orjson

from multiconnect.model.cluster import Cluster, Node, NodeState, Role, Slot, Snapshot

_CLUSTER: Final = (
    "cluster", "shards", "target_shards", "generation", "map_version", "term", "master",
)  # fmt: skip
_NODE: Final = (
    "incarnation", "name", "role", "host", "pid", "address", "generation", "state", "reason",
    "start_ticks", "boot_id",
)  # fmt: skip
_SLOT: Final = ("slot", "epoch", "owner", "drain_to", "drained")


def _array(columns: tuple[str, ...]) -> str:
    return f"json_build_array({', '.join(columns)})"


#: Returns one row of one column.
SELECT_SNAPSHOT: Final = f"""
    SELECT json_build_array(
        (SELECT number FROM revision),
        (SELECT {_array(_CLUSTER)} FROM cluster),
        (SELECT json_agg({_array(_NODE)} ORDER BY incarnation) FROM node),
        (SELECT json_agg({_array(_SLOT)} ORDER BY slot) FROM slot JOIN handover USING (slot)))
"""


def snapshot_of(document: str) -> Snapshot:
    """Return the snapshot in what SELECT_SNAPSHOT returned."""
    revision, cluster, nodes, slots = orjson.loads(document)
    return Snapshot(
        Cluster(*cluster),
        tuple(map(_node, nodes or ())),
        tuple(Slot(*row) for row in slots),
        revision,
    )


def _node(row: list[Any]) -> Node:
    fields: dict[str, Any] = dict(zip(_NODE, row, strict=True))
    fields |= {"role": Role(fields["role"]), "state": NodeState(fields["state"])}
    return Node(**fields)
