"""The worst minutes, on real processes: kills, freezes, a resize under load, a power cut.

Each test runs `multiconnect up` with real load over HTTP, breaks something, and lets the history
checker compare what the client was told with what the upstream received.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from multiconnect import shard_of
from tests.support.history import Arrival, Verdict, judge
from tests.support.live_cluster import LiveCluster, Simulator, live_cluster
from tests.support.load import Load
from tests.support.shards import set_shards

pytestmark = pytest.mark.process


def verdict_after_drain(load: Load, simulator: Simulator, timeout_s: float = 30.0) -> Verdict:
    """Wait until everything acknowledged has arrived (or time is up) and judge."""
    deadline = time.monotonic() + timeout_s
    while True:
        arrivals = [
            Arrival(m["id"], m["recipient"], bool(m["marked"])) for m in simulator.messages()
        ]
        verdict = judge(load.acknowledged, arrivals)
        if not verdict.lost or time.monotonic() > deadline:
            return verdict
        time.sleep(0.1)


def assert_clean(load: Load, simulator: Simulator, *, repeats_max: int = 0) -> None:
    """Nothing lost, nothing reordered, nothing sent twice without a mark."""
    verdict = verdict_after_drain(load, simulator)
    assert verdict.clean, verdict
    assert verdict.marked_repeats <= repeats_max, verdict
    assert len(load.acknowledged) >= 100


def test_killed_owner_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, simulator):
        load = Load(cluster).start()
        load.wait_for(200)
        victim = cluster.node(role="coreapp", shard=0)
        bystander = cluster.node(role="coreapp", shard=1)
        cluster.signal_node(victim, signal.SIGKILL)
        load.wait_for(400)
        heir = cluster.node(role="coreapp", shard=0)
        load.stop()
        assert heir["incarnation"] != victim["incarnation"]
        assert cluster.node(role="coreapp", shard=1)["incarnation"] == bystander["incarnation"]
        assert max(heir["epochs"].values()) > max(victim["epochs"].values())
        assert not load.failures, load.failures[:3]
        assert_clean(load, simulator, repeats_max=64 * 16)


def test_frozen_owner_is_killed_and_replaced(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, simulator):
        load = Load(cluster).start()
        load.wait_for(200)
        victim = cluster.node(role="coreapp", shard=1)
        cluster.signal_node(victim, signal.SIGSTOP)
        cluster.wait_until(
            lambda status: any(
                n["role"] == "coreapp"
                and 1 in n["shards"]
                and n["incarnation"] != victim["incarnation"]
                for n in status["nodes"]
            ),
            "shard 1 has another owner",
        )
        load.wait_for(300)
        load.stop()
        assert not load.failures, load.failures[:3]
        assert_clean(load, simulator, repeats_max=64 * 16)


def test_primary_master_dies_and_the_next_adopts_the_map(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, simulator):
        before = cluster.status()
        load = Load(cluster).start()
        load.wait_for(100)
        primary = cluster.node(role="master", name=before["master"])
        cluster.signal_node(primary, signal.SIGKILL)
        after = cluster.wait_until(
            lambda status: status["term"] > before["term"], "another Master holds the term"
        )
        load.wait_for(200)
        load.stop()
        assert owners(after) == owners(before)
        assert not load.failures, load.failures[:3]
        assert_clean(load, simulator)


def test_traffic_goes_on_without_masters_and_they_come_back(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, simulator):
        before = cluster.status()
        load = Load(cluster).start()
        load.wait_for(100)
        masters = [n for n in before["nodes"] if n["role"] == "master" and n["state"] != "dead"]
        assert len(masters) >= 2
        for master in masters:
            cluster.signal_node(master, signal.SIGKILL)
        load.wait_for(200)
        old = {m["incarnation"] for m in masters}
        after = cluster.wait_until(
            lambda status: status["term"] > before["term"] and not old & live_masters(status),
            "new Masters run and one holds the term",
        )
        load.wait_for(100)
        load.stop()
        assert owners(after) == owners(before)
        assert not load.failures, load.failures[:3]
        assert_clean(load, simulator)


def test_resize_under_load_fails_no_request(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "2") as (cluster, simulator):
        load = Load(cluster).start()
        load.wait_for(200)
        for shards in (4, 2):
            status, text = set_shards(cluster, shards)
            assert status == 201, text
            assert cluster.status()["shards"] == shards
            load.wait_for(200)
        load.stop()
        assert not load.failures, load.failures[:3]
        assert_clean(load, simulator)


def test_too_few_coreapps_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, _):
        before = cluster.status()
        status, text = set_shards(cluster, 8)
        assert status == 403
        assert "8" in text
        assert "3" in text
        after = cluster.status()
        for field in ("shards", "target_shards", "map_version"):
            assert after[field] == before[field]
        assert set_shards(cluster, 3)[0] == 400


def test_power_cut_and_restart_send_everything_acknowledged(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "4", "--spares", "1") as (cluster, simulator):
        for _ in range(2):
            load = Load(cluster).start()
            load.wait_for(300)
            cluster.cut_power()
            load.stop()
            cluster.start()
            assert_clean_after_restart(load, simulator)


def assert_clean_after_restart(load: Load, simulator: Simulator) -> None:
    """What was acknowledged before the power cut is sent after it."""
    verdict = verdict_after_drain(load, simulator)
    assert verdict.clean, verdict


def test_stop_hands_over_and_exits_0(tmp_path: Path) -> None:
    with live_cluster(tmp_path, "--shards", "2", "--spares", "1") as (cluster, simulator):
        load = Load(cluster).start()
        load.wait_for(100)
        load.stop()
        assert cluster.stop() == 0
        assert cluster_is_gone(cluster)
        verdict = verdict_after_drain(load, simulator, timeout_s=1.0)
        unsent = {a.message_id for a in verdict.lost}
        cluster.start()
        assert_clean(load, simulator)
        assert len(unsent) < len(load.acknowledged)


def cluster_is_gone(cluster: LiveCluster) -> bool:
    """Whether no process of the ready file lives."""
    return not any(Path(f"/proc/{node['pid']}").exists() for node in cluster.ready["nodes"])


def owners(status: dict[str, object]) -> dict[str, list[int]]:
    """Return which incarnation owns which shards."""
    nodes: list[dict[str, object]] = status["nodes"]  # type: ignore[assignment]
    return {str(n["incarnation"]): n["shards"] for n in nodes if n["shards"]}  # type: ignore[misc]


def live_masters(status: dict[str, object]) -> set[str]:
    """Return the incarnations of the live Masters."""
    nodes: list[dict[str, object]] = status["nodes"]  # type: ignore[assignment]
    return {str(n["incarnation"]) for n in nodes if n["role"] == "master" and n["state"] != "dead"}


def test_the_load_reaches_every_shard() -> None:
    recipients = [f"1631555{n:04d}" for n in range(48)]
    assert {shard_of(r, shards=4) for r in recipients} == {0, 1, 2, 3}
