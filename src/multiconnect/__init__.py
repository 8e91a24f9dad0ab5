"""Sharded message routing: one fenced owner per recipient, in order, nothing lost."""

from multiconnect._native import canonical, shard_of, shards_of
from multiconnect.dataplane.router import Router
from multiconnect.engine import Engine
from multiconnect.errors import (
    Closed,
    DeadlineExceeded,
    IdempotencyConflict,
    InvalidPayload,
    InvalidRecipient,
    InvalidSettings,
    InvalidShards,
    MulticonnectError,
    Overloaded,
    Refused,
    StoreUnavailable,
)
from multiconnect.model.lane_credentials import LaneCredentials
from multiconnect.model.message import Event, Kind, Message, Outcome, Receipt
from multiconnect.model.shard_map import ShardMap

__version__ = "0.1.0"

__all__ = [
    "Closed",
    "DeadlineExceeded",
    "Engine",
    "Event",
    "IdempotencyConflict",
    "InvalidPayload",
    "InvalidRecipient",
    "InvalidSettings",
    "InvalidShards",
    "Kind",
    "LaneCredentials",
    "Message",
    "MulticonnectError",
    "Outcome",
    "Overloaded",
    "Receipt",
    "Refused",
    "Router",
    "ShardMap",
    "StoreUnavailable",
    "__version__",
    "canonical",
    "shard_of",
    "shards_of",
]
