"""A SendPort that keeps messages in memory, as a Router and its owners would keep them."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from multiconnect._native import canonical, id_lines, slot_of
from multiconnect.dataplane.receipts import Promise
from multiconnect.errors import IdempotencyConflict
from multiconnect.model.message import Kind, Receipt, Stream
from multiconnect.model.message_id import encode_id


@dataclass(frozen=True)
class Stored:
    """One message as it was handed over."""

    recipient: str
    payload: bytes
    kind: Kind
    stream: Stream
    slot: int
    idempotency_key: str
    expires_at_ms: int
    id: str


class StoredReceipts(list[Receipt]):
    """Receipts as a router returns them."""

    def ids(self) -> list[str]:
        return [receipt.id for receipt in self]

    def id_lines(self) -> bytes:
        return id_lines(self.ids(), 0)


class MemorySender:
    """Stores messages once `gate` is open; `error`, if set, is raised instead."""

    def __init__(self, cluster: int, shards: int = 2) -> None:
        self.cluster = cluster
        self.shards = shards
        self.stored: list[Stored] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        #: Recipients whose messages wait for their own event.
        self.held: dict[str, asyncio.Event] = {}
        self.calls = 0
        #: How many came through `post`, which takes nothing while there is no room.
        self.posted = 0
        self.has_room = True
        self.timeouts: list[float | None] = []
        self._next: dict[tuple[Stream, int], int] = {}
        self._keys: dict[tuple[str, str, str], tuple[bytes, Receipt]] = {}

    async def send(
        self,
        recipient: str,
        payload: dict[str, Any] | bytes,
        *,
        account: str = "",
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        kind: Kind = Kind.SEND,
        timeout_s: float | None = None,
    ) -> Receipt:
        name = canonical(recipient)
        await self._enter(timeout_s)
        if name in self.held:
            await self.held[name].wait()
        return self._store(
            Stream.OUTBOUND,
            slot_of(name),
            name,
            payload,
            kind,
            account,
            idempotency_key,
            expires_at_ms,
        )

    def post(
        self,
        recipient: str,
        payload: bytes,
        promise: Promise,
        *,
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        timeout_s: float | None = None,
    ) -> bool:
        if not self.has_room:
            return False
        sending = self.send(
            canonical(recipient),
            payload,
            idempotency_key=idempotency_key,
            expires_at_ms=expires_at_ms,
            timeout_s=timeout_s,
        )
        self.posted += 1
        task = asyncio.get_running_loop().create_task(sending)
        task.add_done_callback(lambda done: _tell(promise, done))
        return True

    async def send_many(
        self,
        items: Iterable[tuple[str, dict[str, Any] | bytes]],
        *,
        account: str = "",
        kind: Kind = Kind.SEND,
        timeout_s: float | None = None,
    ) -> StoredReceipts:
        named = [(canonical(recipient), payload) for recipient, payload in items]
        await self._enter(timeout_s)
        return StoredReceipts(
            self._store(Stream.OUTBOUND, slot_of(name), name, payload, kind, account, "", 0)
            for name, payload in named
        )

    async def send_inbound(
        self,
        slot: int | None,
        recipient: str,
        payload: bytes,
        *,
        kind: Kind,
        idempotency_key: str = "",
        timeout_s: float | None = None,
    ) -> Receipt:
        name = canonical(recipient)
        await self._enter(timeout_s)
        where = slot_of(name) if slot is None else slot
        return self._store(Stream.INBOUND, where, name, payload, kind, "", idempotency_key, 0)

    async def _enter(self, timeout_s: float | None) -> None:
        self.calls += 1
        self.timeouts.append(timeout_s)
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    def _store(
        self,
        stream: Stream,
        slot: int,
        name: str,
        payload: dict[str, Any] | bytes,
        kind: Kind,
        account: str,
        key: str,
        expires_at_ms: int,
    ) -> Receipt:
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        digest = hashlib.sha256(body).digest()
        if key and (known := self._keys.get((account, name, key))) is not None:
            if known[0] != digest:
                raise IdempotencyConflict(f"the key was used for {known[1].id} with another body")
            first = known[1]
            return Receipt(first.id, first.slot, first.shard, first.sequence, repeated=True)
        sequence = self._next.get((stream, slot), 0)
        self._next[stream, slot] = sequence + 1
        message_id = encode_id(self.cluster, slot, sequence, stream)
        receipt = Receipt(message_id, slot, slot % self.shards, sequence)
        if key:
            self._keys[account, name, key] = (digest, receipt)
        self.stored.append(Stored(name, body, kind, stream, slot, key, expires_at_ms, message_id))
        return receipt


def _tell(promise: Promise, done: asyncio.Task[Receipt]) -> None:
    error = done.exception()
    if error is None:
        promise.set_result(done.result())
    else:
        assert isinstance(error, Exception)
        promise.set_exception(error)
