"""A cluster whose disk, or whose database's, fills up under load and has room again [22]."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from multiconnect.model.cluster import NodeState, Snapshot
from tests.support.faulty_cluster import FaultyCluster, RouterLoad, faulty_cluster
from tests.support.postgres import PostgresServer, own_server
from tests.support.stage import recipients_of

__all__ = ["own_server"]

pytestmark = pytest.mark.process


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Let a folder be a file system of 48 MB."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Write until nothing more fits."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


def living(snapshot: Snapshot) -> set[str]:
    return {n.incarnation for n in snapshot.nodes if n.state is not NodeState.DEAD}


def goes_through_it(cluster: FaultyCluster, full: Callable[[], Path]) -> None:
    """Longer than any lease; nobody dies of it, and nobody has to be asked to go on."""
    with RouterLoad(cluster, recipients_of(range(32)), period_s=0.2) as load:
        load.wait_for(200)
        before = cluster.snapshot()
        ballast = full()
        assert stands_still(load)
        ballast.unlink()
        load.wait_for(200)
    assert load.assert_clean().marked_repeats == 0
    after = cluster.snapshot()
    assert living(after) == living(before)
    assert after.slots == before.slots


def stands_still(load: RouterLoad) -> bool:
    """Wait until nothing was acknowledged for 3 s: a database has some room left in its pages."""
    for _ in range(5):
        acknowledged = len(load.talk.acknowledged)
        time.sleep(3)
        if len(load.talk.acknowledged) == acknowledged:
            return True
    return False


OPTIONS = ("--shards", "2", "--spares", "1", "--webs", "0")


def test_a_full_disk_stops_acknowledgements_and_nothing_else(tmp_path: Path) -> None:
    """Everything of SQLite's lies on it: ledgers, the control file and beats."""
    with small_disk(tmp_path / "data") as place, faulty_cluster(tmp_path, *OPTIONS) as cluster:
        goes_through_it(cluster, lambda: fill(place))


@pytest.mark.postgres
def test_a_database_whose_disk_is_full_stops_acknowledgements_and_nothing_else(
    tmp_path: Path, own_server: PostgresServer
) -> None:
    """What messages are written to lies on it; the server itself lives on."""
    url = own_server.url("full")
    with (
        small_disk(own_server.folder / "small") as place,
        faulty_cluster(tmp_path, *OPTIONS, "--store", url) as cluster,
    ):
        shutil.chown(place, own_server.data.stat().st_uid, own_server.data.stat().st_gid)
        own_server.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        for table in ("batch", "progress"):
            own_server.sql(f"ALTER TABLE {table} SET TABLESPACE small", "full")
        goes_through_it(cluster, lambda: fill(place))
        for table in ("batch", "progress"):
            own_server.sql(f"ALTER TABLE {table} SET TABLESPACE pg_default", "full")
        own_server.sql("DROP TABLESPACE small")
