"""When a cluster serves, and the file that says so."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from multiconnect.control.health import describe
from multiconnect.errors import Unavailable
from multiconnect.model.cluster import NodeState, Snapshot
from multiconnect.supervisor.http_call import HttpConnection
from multiconnect.supervisor.process import Supervisor
from multiconnect.supervisor.provision import WebhookSecrets, write_private
from multiconnect.supervisor.supervision import ROLES
from multiconnect.web.account import Account

WEBHOOK_PATH: Final = "/webhooks/whatsapp"
_LOOK_S: Final = 0.05
_COMPLAIN_AFTER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ready file says beside the nodes."""

    http: str
    store: str
    #: None where the cluster has no first user or no account yet (`node` before `up`).
    token: str | None = dataclasses.field(repr=False)
    account: Account | None
    webhook: WebhookSecrets
    user: str
    password_file: str | None
    simulator: str


def ready_document(facts: Facts, snapshot: Snapshot) -> dict[str, Any]:
    """Return the ready file's content."""
    document: dict[str, Any] = {
        "http": facts.http,
        "token": facts.token,
        "store": facts.store,
        "account": _account(facts.account),
        "webhook": {
            "url": facts.http + WEBHOOK_PATH,
            **dataclasses.asdict(facts.webhook),
        },
        "user": {"name": facts.user, "password_file": facts.password_file},
        "nodes": [
            {
                "name": node.name,
                "role": str(node.role),
                "pid": node.pid,
                "shards": list(node.shards),
                "incarnation": node.incarnation,
                "generation": node.generation,
            }
            for node in describe(snapshot).live
        ],
    }
    if facts.simulator:
        document["simulator"] = {"url": facts.simulator}
    return document


def _account(account: Account | None) -> dict[str, str | None] | None:
    """Return what set-shards wants to see; a PIN that was never set is null."""
    if account is None:
        return None
    return {
        "cc": account.cc,
        "phone_number": account.phone_number,
        "cert": account.cert,
        "pin": account.pin or None,
    }


def write_ready_file(path: Path, facts: Facts, snapshot: Snapshot) -> None:
    """Write the file, readable by this user only: it holds a token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(ready_document(facts, snapshot), indent=2) + "\n")


def missing(supervisor: Supervisor) -> list[str]:
    """Return what is not there yet for this host to serve, in words."""
    snapshot = supervisor.snapshot
    if snapshot is None:
        return ["the store has not been read"]
    found = []
    for role in ROLES:
        ready = sum(child.ready for child in supervisor.seats.children(role))
        if ready < supervisor.wanted.of(role):
            found.append(f"{ready} of {supervisor.wanted.of(role)} {role} processes are ready")
    cluster = snapshot.cluster
    if cluster.shards != cluster.target_shards:
        found.append(f"{cluster.shards} of {cluster.target_shards} shards are in force")
    live = {n.incarnation for n in snapshot.nodes if n.state != NodeState.DEAD}
    orphans = sum(slot.owner not in live for slot in snapshot.slots)
    if orphans:
        found.append(f"{orphans} slots have no owner")
    return found


async def until_ready(
    supervisor: Supervisor, http: str, say: Callable[[str], None], stop: asyncio.Event
) -> bool:
    """Wait until the cluster serves; False when told to stop first. Says what it waits for."""
    loop = asyncio.get_running_loop()
    complain_at_s = loop.time() + _COMPLAIN_AFTER_S
    async with HttpConnection(http or "http://127.0.0.1", timeout_s=5.0) as connection:
        while not (stop.is_set() or supervisor.finished.is_set()):
            waits_for = missing(supervisor)
            if not waits_for and supervisor.wanted.webs:
                waits_for = await _readiness(connection)
            if not waits_for:
                return True
            if loop.time() >= complain_at_s:
                complain_at_s += _COMPLAIN_AFTER_S
                say(f"still waiting: {'; '.join(waits_for + supervisor.complaints())}")
            await asyncio.sleep(_LOOK_S)
    return False


async def _readiness(connection: HttpConnection) -> list[str]:
    try:
        answer = await connection.get("/readyz")
    except Unavailable as error:
        return [str(error)]
    if answer.status == 200:
        return []
    return [f"/readyz answers {answer.status}: {answer.body[:200].decode(errors='replace')}"]
