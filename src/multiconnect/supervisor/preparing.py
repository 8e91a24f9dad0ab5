"""What a host needs before its children start: a port, an upstream, counts, their programs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path

from multiconnect.config.process import ProcessSettings
from multiconnect.config.settings import ClusterSettings
from multiconnect.errors import Refused
from multiconnect.model.cluster import Node, NodeState, Role, Snapshot
from multiconnect.store.port import ControlStore, Store
from multiconnect.supervisor import identity, listener, provision
from multiconnect.supervisor.programs import Programs, socket_directory
from multiconnect.supervisor.ready import Facts
from multiconnect.supervisor.simulator import SimulatorChild
from multiconnect.supervisor.supervision import Wanted
from multiconnect.web.account import read_account

Say = Callable[[str], None]


@dataclasses.dataclass(slots=True)
class Host:
    """A host under construction: what has been taken so far."""

    settings: ClusterSettings
    #: `up` makes accounts and decides the upstream; `node` follows the cluster it joins.
    founding: bool
    say: Say
    store: Store
    name: str
    logs: Path
    http: str = ""
    listener: socket.socket | None = None
    simulator: SimulatorChild | None = None

    @property
    def control(self) -> ControlStore:
        """The control side of the store."""
        return self.store.control


async def known_facts(host: Host, secrets: provision.WebhookSecrets) -> Facts:
    """Return what the ready file says of accounts and users; `up` makes them, `node` reads them."""
    control = host.control
    if host.founding:
        await provision.ensure_account(control, host.settings)
        await provision.ensure_admin(control, host.settings.data_dir)
    password_file = provision.password_file(host.settings.data_dir)
    return Facts(
        http=host.http,
        store=host.settings.store,
        token=await provision.admin_token(control),
        account=await read_account(control),
        webhook=secrets,
        user=provision.ADMIN,
        password_file=str(password_file) if password_file else None,
        simulator=host.simulator.url if host.simulator else "",
    )


def open_port(host: Host, stack: contextlib.AsyncExitStack) -> None:
    """Bind the HTTP port, if there are Web processes to serve it."""
    if not host.settings.webs:
        return
    host.listener = listener.bind_http(*host.settings.http_address)
    stack.callback(host.listener.close)
    host.http = listener.base_url(host.listener, tls=bool(host.settings.tls_cert))


async def choose_upstream(host: Host, stack: contextlib.AsyncExitStack) -> provision.UpstreamChoice:
    """Decide where messages go; `node` without a choice of its own follows the cluster's."""
    settings = host.settings
    if not settings.upstream:
        stored = await provision.stored_upstream(host.control)
        if stored is None:
            raise Refused(
                "no `multiconnect up` has said yet where this cluster's messages go; "
                "start one on this store, or set --upstream"
            )
        return stored
    url = settings.upstream
    if url == "simulator":
        host.simulator = SimulatorChild(settings.data_dir, host.logs)
        stack.push_async_callback(host.simulator.aclose)
        url = await host.simulator.start()
    choice = provision.UpstreamChoice(
        settings.upstream,
        url,
        settings.upstream_phone_number_id,
        settings.upstream_version,
        settings.effective_number_rate(),
        settings.effective_pair_rate(),
    )
    if host.founding:
        await provision.store_upstream(host.control, choice)
    return choice


async def wanted_counts(host: Host) -> Wanted:
    """Return how many children to run; at the very first start also say how many shards."""
    settings = host.settings
    if not host.founding:
        return Wanted(settings.coreapps, settings.masters, settings.webs)
    snapshot = await host.control.snapshot()
    target = snapshot.cluster.target_shards
    if target != settings.shards and _is_new(snapshot):
        await host.control.set_target(settings.shards, snapshot.cluster.generation)
        target = settings.shards
    elif settings.shards not in (target, 1):
        # Not for 1, the default: then most likely nobody asked for anything.
        host.say(
            f"the cluster has {target} shards already; --shards {settings.shards} counts at the "
            f"first start only: `multiconnect shards set {settings.shards}` changes them"
        )
    coreapps = max(target, settings.shards) + settings.spares
    return Wanted(coreapps, settings.masters, settings.webs)


def _is_new(snapshot: Snapshot) -> bool:
    """Return whether no slot was ever granted, so that a shard count moves nothing."""
    return snapshot.cluster.generation == 0 and all(row.owner is None for row in snapshot.slots)


def child_programs(
    host: Host, choice: provision.UpstreamChoice, secrets: provision.WebhookSecrets
) -> Programs:
    """Return what all children of this host have in common."""
    settings = host.settings
    template = ProcessSettings(
        store=settings.store,
        incarnation="",
        name="",
        role=Role.WEB,
        profile=settings.profile,
        host=host.name,
        data_dir=str(settings.data_dir),
        lane_listen="" if settings.lanes == "unix" else settings.lanes,
        lane_secret=settings.lane_secret,
        lane_tls_cert=_absolute(settings.lane_tls_cert),
        lane_tls_key=_absolute(settings.lane_tls_key),
        lane_tls_ca=_absolute(settings.lane_tls_ca),
        upstream=choice.url,
        upstream_token=settings.upstream_token,
        upstream_phone_number_id=choice.phone_number_id,
        upstream_version=choice.version,
        number_rate=choice.number_rate,
        pair_rate=choice.pair_rate,
        verify_token=secrets.verify_token,
        app_secret=secrets.app_secret,
        http_url=host.http,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        log_level=settings.log_level,
    )
    descriptor = host.listener.fileno() if host.listener is not None else -1
    return Programs(template, socket_directory(settings.data_dir), host.logs, descriptor)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def own_node(host: str) -> Node:
    """Return a new row for this supervisor."""
    pid = os.getpid()
    return Node(
        incarnation=identity.new_incarnation("supervisor"),
        name="supervisor",
        role=Role.SUPERVISOR,
        host=host,
        pid=pid,
        address="",
        generation=0,
        state=NodeState.JOINING,
        start_ticks=identity.start_ticks(pid),
        boot_id=identity.boot_id(),
    )
