"""The store: the only meeting point of the control plane, and the log.

The methods are sorted by what they must guarantee:

* *atomic*: compare-and-set. False or None means "no, the world is not as you said"; the caller
  rereads. `StoreUnavailable` means "don't know": it may have happened. One is never the other.
* *durable*: when the call returns, the write survives a crash of any process and of the machine.
* *best effort*: may be lost in a crash; nothing may depend on it for safety.

Invariants kept here (design §6): 1 (epochs per slot strictly increase, one owner each), 2 (no write
tagged with an epoch commits after a higher one was granted), 11 (each change of the map carries the
term that is current at its commit, and is audited in the same transaction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from multiconnect.model.cluster import AuditEntry, Beat, Move, Node, NodeState, Snapshot
from multiconnect.model.log import Document, KeyRow, LogWrite, SlotTail, StoredBatch, StoredMessage
from multiconnect.model.message import Stream


class ControlStore(Protocol):
    """Nodes, slots, terms and small documents."""

    # --- atomic ------------------------------------------------------------------------------
    async def join(self, node: Node) -> bool:
        """Add a node; False when its incarnation exists already (even dead)."""

    async def set_node_state(self, incarnation: str, state: NodeState, reason: str) -> bool:
        """Move a node forward (joining → ready → leaving → dead); False if unknown or not forward.

        READY after LEAVING is not forward. DEAD is final and is accepted from every other state.
        """

    async def declare_dead(self, incarnation: str, observed_beat: int | None, reason: str) -> bool:
        """Declare a node dead for its silence: CAS on the count of its last beat (None: no beat).

        Either this sees a beat and says no, or no later beat succeeds: a lease cannot be renewed
        past the verdict that it ran out.
        """

    async def take_term(self, incarnation: str, observed_term: int) -> int | None:
        """Become Master if the term is still `observed_term` and I am not dead: the new term."""

    async def assign(
        self, moves: Sequence[Move], term: int, reason: str, *, shards: int | None = None
    ) -> bool:
        """Grant all moves in one commit, or none: CAS on the term and on every slot's epoch.

        For each move the old owner is fenced first (its epoch can write nothing afterwards), then
        epoch + 1 is granted to the new owner and `drain_to`/`drained` are cleared. Bumps the map
        version. `shards` also puts that count in force in the same commit (with `moves` empty this
        is all it does). False if the term, any epoch or any old owner is not as said, a new owner
        is dead or unknown, or (for a planned move, that is with a live old owner) the slot is not
        drained.
        """

    async def start_drain(self, slot: int, epoch: int, to: str, term: int) -> bool:
        """Ask the owner to drain; CAS on epoch and term.

        False also if a drain is under way or nobody owns the slot.
        """

    async def cancel_drain(self, slot: int, epoch: int, term: int) -> bool:
        """Take the request (and a `drained`) back; CAS on epoch, term and a drain asked."""

    async def report_drained(self, slot: int, epoch: int, incarnation: str) -> bool:
        """The owner says nothing of the slot is in flight; CAS on epoch, owner and drain asked."""

    async def release(self, slot: int, epoch: int, incarnation: str, reason: str) -> bool:
        """Give a slot up: CAS on epoch and owner; fences that epoch and leaves the slot ownerless.

        Also the cure when a slot refuses every write although its row still names me: a Master
        crashed between fencing me and granting the slot (see docs/store.md). Audited; the epoch
        stays, and the next grant is epoch + 1 as ever.
        """

    async def set_target(self, shards: int, observed_generation: int) -> int | None:
        """Wish for N shards: sets the target, generation + 1; None if the generation moved on."""

    async def put_document(
        self, kind: str, key: str, value: Mapping[str, object], observed_version: int | None
    ) -> int | None:
        """Write a document (durable): new version, or None.

        `observed_version` None: any; 0: must not exist; n: must be at version n.
        """

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete a document (durable); False when there is none."""

    # --- durable reads -----------------------------------------------------------------------
    async def snapshot(self) -> Snapshot:
        """Read cluster, nodes (dead ones stay for a day) and all 32 slots in one transaction."""

    async def document(self, kind: str, key: str) -> Document | None:
        """Read one document."""

    async def documents(self, kind: str) -> list[Document]:
        """Read all documents of a kind, by key."""

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Read the newest changes of the map, newest first."""

    # --- best effort -------------------------------------------------------------------------
    async def beat(self, beat: Beat) -> bool:
        """Show life; False when this incarnation is dead or never joined (it must stop at once)."""

    async def beats(self) -> dict[str, Beat]:
        """Read every node's last beat, by incarnation."""

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        """Wait until the control data changed since `since`, or the timeout.

        Without `since`: since this handle's last `snapshot`, whoever of its users took it. Who
        shares a handle with others passes the snapshot that it has acted on itself. With
        `concerning` too, what is not of that incarnation's concern may be slept through: many
        CoreApps wait, and few of them have anything to do with a change.

        True: read again. A spurious True is allowed, a missed change is not (for longer than the
        timeout). Beats are not changes.
        """

    # --- life --------------------------------------------------------------------------------
    async def aclose(self) -> None:
        """Release connections; idempotent."""


class LogStore(Protocol):
    """The log as one owner incarnation sees it. One call of `commit` at a time."""

    # --- atomic ------------------------------------------------------------------------------
    async def open_slot(self, slot: int, epoch: int) -> SlotTail | None:
        """Take a granted slot into use and read its tail; None when the epoch is no longer mine.

        May be called again for the same epoch (after a StoreUnavailable): reads the tail anew.
        """

    async def open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        """Take granted slots (slot → epoch) into use in one step, as `open_slot` does each.

        Slots that are no longer mine are missing from the answer. A failover waits for this.
        """

    async def commit(self, write: LogWrite) -> frozenset[int]:
        """Write a group (durable); return the slots whose fence refused (nothing of them written).

        After StoreUnavailable the caller does not know: it must `open_slot` again before writing.
        """

    # --- durable reads -----------------------------------------------------------------------
    async def find_keys(self, slot: int, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
        """Return those idempotency keys of the slot that are known."""

    async def read_batches(
        self, stream: Stream, slot: int, from_seq: int, limit_bytes: int
    ) -> list[StoredBatch]:
        """Return batches in sequence order that hold a message >= from_seq and are not settled.

        Stops after the batch that passes `limit_bytes` (at least one is returned if there is one).
        """

    async def find_message(self, stream: Stream, slot: int, sequence: int) -> StoredMessage | None:
        """Return what is known of one message, whoever wrote it."""

    # --- best effort -------------------------------------------------------------------------
    async def collect_garbage(self, now_ms: int) -> int:
        """Drop bodies, states and keys past their retention; return the rows dropped."""

    async def aclose(self) -> None:
        """Release connections; idempotent."""


class Store(Protocol):
    """One opened store URL."""

    #: The URL, without any password, for messages and `status`.
    url: str

    @property
    def control(self) -> ControlStore:
        """The control side."""

    async def log(self, incarnation: str) -> LogStore:
        """Open the log for an owner (its node row exists) and make it ready to be granted slots."""

    async def aclose(self) -> None:
        """Close everything opened through this handle; idempotent."""
