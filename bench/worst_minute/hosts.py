"""Whole hosts that are cut off: packets vanish, nobody is told, and only leases are left to tell.

Six hosts in network namespaces, one PostgreSQL that all but the one cut off can reach. A host is
healed as soon as its slots are served elsewhere, and comes back while the next one is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

from bench.worst_minute.cycles import AFTER_S, CALM_S, Samples
from bench.worst_minute.ground import Ground, Layout, in_memory, under_load
from multiconnect.limits import SLOTS
from tests.support.hosts import HostCluster
from tests.support.netns import network
from tests.support.postgres import new_server

PLAN = {host: f"--coreapps 1 --masters {int(host in 'abc')}" for host in "abcdef"}
LAYOUT = Layout(shards=2, spares=len(PLAN) - 2)
#: CoreApps that must be ready before the next host is cut off: the owners and two spares.
READY = 4


@contextlib.asynccontextmanager
async def hosts_ground(folder: Path, layout: Layout, store: str) -> AsyncIterator[Ground]:
    """Start hosts and load on them; all is ended afterwards. The store is always one of its own."""
    del store
    await asyncio.to_thread(folder.mkdir)
    with network(*PLAN) as net, new_server(_missing, net.here) as server, in_memory() as quick:
        server.settings["fsync"] = "on"
        server.restart("fast")
        cluster = HostCluster(folder, net, server.url(), PLAN)
        cluster.prepare_to_measure(quick / "arrivals.tsv", quick_restarts=layout.quick_restarts)
        try:
            await asyncio.to_thread(cluster.start_hosts, layout.shards)
            async with under_load(cluster, layout, lambda: _pids(cluster)) as here:
                yield here
        finally:
            await asyncio.to_thread(cluster.end)


def _missing(reason: str) -> NoReturn:
    raise SystemExit(reason)


def _pids(cluster: HostCluster) -> list[int]:
    return [pid for host in cluster.plan for pid in cluster.pids(host)]


async def host_cycles(ground: Ground, cycles: int) -> Samples:
    """Cut a host with an owner off: the longest gap of its slots."""
    cluster = ground.cluster
    assert isinstance(cluster, HostCluster)
    samples: Samples = defaultdict(list)
    for _ in range(cycles):
        seen = await ground.until_whole(LAYOUT.shards, READY)
        await asyncio.sleep(CALM_S)
        owner = seen.node(seen.slots[ground.rng.randrange(SLOTS)].owner)
        assert owner is not None
        hit = [row.slot for row in seen.slots if row.owner == owner.incarnation]
        holds_term = owner.host == getattr(seen.node(seen.cluster.master), "host", None)
        ground.kills += 1
        at_s = await asyncio.to_thread(cluster.cut, owner.host)
        try:
            await ground.until_relieved([owner.incarnation])
            await ground.until_acknowledged(hit, at_s)
            await asyncio.sleep(AFTER_S)
        finally:
            await asyncio.to_thread(cluster.heal, owner.host)
        gap_s = max(ground.acks.longest_gap_s(slot, at_s, ground.now_s) for slot in hit)
        samples["gap"].append(gap_s)
        samples["gap with the Master"] += [gap_s] * holds_term
    return samples
