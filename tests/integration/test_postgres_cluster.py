"""`multiconnect up --store postgresql://…` on real processes: the worst minute, the sessions."""

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_survival import verdict_after_drain
from tests.support.live_cluster import LiveCluster, Simulator, live_cluster
from tests.support.load import Load
from tests.support.postgres import PostgresServer, own_server, postgres_server
from tests.support.shards import set_shards

__all__ = ["own_server", "postgres_server"]

pytestmark = [pytest.mark.postgres, pytest.mark.process]

DEADLINE_S = 30.0


def assert_clean(load: Load, simulator: Simulator) -> None:
    verdict = verdict_after_drain(load, simulator)
    assert verdict.clean, verdict
    assert len(load.acknowledged) > 100


def test_an_owner_dies_shards_come_and_go_and_the_server_crashes(
    tmp_path: Path, own_server: PostgresServer
):
    url = own_server.url("multiconnect")
    options = ("--store", url, "--shards", "2", "--spares", "2")
    with live_cluster(tmp_path, *options) as (cluster, simulator):
        load = Load(cluster).start()
        load.wait_for(200)
        # The grant to the spare finds a stopped client in its way, with a lock on every fence.
        with frozen_client(own_server, "multiconnect"):
            victim = cluster.node(role="coreapp", shard=0)
            cluster.signal_node(victim, signal.SIGKILL)
            load.wait_for(300)
            cluster.wait_until(
                lambda status: victim["incarnation"] not in owners_of(status), "it is replaced"
            )
        assert not load.failures, load.failures[:3]
        cluster.wait_until(lambda status: ready_coreapps(status) == 4, "the dead one is back")
        for shards in (4, 2):
            status, text = set_shards(cluster, shards)
            assert status == 201, text
            load.wait_for(200)
        assert not load.failures, load.failures[:3]
        before = cluster.status()
        assert before["shards"] == 2
        own_server.restart("immediate")
        load.wait_for(300)
        load.stop()
        # Nobody was taken for dead because the store was away.
        assert owners_of(cluster.status()) == owners_of(before)
        assert_clean(load, simulator)
        assert all(failure.startswith("503") for failure in load.failures), load.failures[:3]


def ready_coreapps(status: dict[str, Any]) -> int:
    ready = ("owner", "spare")
    return sum(n["role"] == "coreapp" and n["state"] in ready for n in status["nodes"])


def owners_of(status: dict[str, Any]) -> dict[str, list[int]]:
    return {n["incarnation"]: n["shards"] for n in status["nodes"] if n["shards"]}


def test_connections_cut_again_and_again_lose_nothing(
    tmp_path: Path, postgres_server: PostgresServer
):
    url = postgres_server.url()
    with live_cluster(tmp_path, "--store", url, "--shards", "2", "--spares", "1") as (
        cluster,
        simulator,
    ):
        load = Load(cluster).start()
        load.wait_for(100)
        before = owners_of(cluster.status())
        for _ in range(8):
            postgres_server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'multiconnect%'"
            )
            load.wait_for(60)
        load.stop()
        assert owners_of(cluster.status()) == before
        assert_clean(load, simulator)
        assert not load.failures, load.failures[:3]
        check_sessions(postgres_server, cluster, most=2)


FREEZER = """
import asyncio, asyncpg, os, signal, sys
async def main():
    c = await asyncpg.connect(sys.argv[1], server_settings={"search_path": sys.argv[2]})
    await c.execute("BEGIN")
    await c.fetch("SELECT slot FROM slot FOR SHARE")
    print("holds", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    await c.execute("COMMIT")
    print("committed", flush=True)
asyncio.run(main())
"""


@contextlib.contextmanager
def frozen_client(server: PostgresServer, schema: str) -> Iterator[None]:
    """A process that is stopped inside a transaction; woken at the end, it finds itself ended."""
    url = server.url(schema).partition("&schema")[0]
    process = subprocess.Popen(
        [sys.executable, "-c", FREEZER, url, schema],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        process_group=0,  # it stops itself: see tests/support/lone_roles.py
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=DEADLINE_S)
        assert "committed" not in said
        assert process.returncode != 0
    finally:
        process.kill()
        process.wait()


# --- sessions ------------------------------------------------------------------------------------


def sessions_of(server: PostgresServer) -> Counter[str]:
    """Return how many sessions each incarnation has on the server."""
    rows = server.sql(
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'multiconnect %'"
    )
    return Counter(line.removeprefix("multiconnect ") for line in rows.splitlines())


def check_sessions(server: PostgresServer, cluster: LiveCluster, *, most: int) -> int:
    """Check that every live node has 1 to `most` sessions and nobody else has any; return them."""
    nodes = {n["incarnation"] for n in cluster.status()["nodes"] if n["state"] != "dead"}
    deadline = time.monotonic() + DEADLINE_S
    # Whoever is not from this cluster (another test's, a command's) may take a moment to go.
    while set(found := sessions_of(server)) - nodes and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(found) == nodes
    assert max(found.values()) <= most
    return sum(found.values())


@contextlib.contextmanager
def cluster_without_upstream(folder: Path, *options: str) -> Iterator[LiveCluster]:
    cluster = LiveCluster(folder, "null", *options)
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.stop()


def test_the_largest_cluster_has_at_most_80_sessions(tmp_path: Path, own_server: PostgresServer):
    options = ("--shards", "32", "--spares", "2", "--masters", "2", "--webs", "2")
    url = own_server.url("multiconnect")
    with cluster_without_upstream(tmp_path, "--store", url, *options) as cluster:
        roles = Counter(n["role"] for n in cluster.status()["nodes"] if n["state"] != "dead")
        assert roles == {"coreapp": 34, "master": 2, "web": 2, "supervisor": 1}
        assert check_sessions(own_server, cluster, most=2) <= 80
