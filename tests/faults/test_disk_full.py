"""A cluster whose disk fills up under load, and has room again [22]."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiconnect.model.cluster import NodeState, Snapshot
from tests.support.faulty_cluster import RouterLoad, faulty_cluster
from tests.support.stage import recipients_of

pytestmark = pytest.mark.process


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB, as the `data` folder of a cluster."""
    place = tmp_path / "data"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "tmpfs", str(place)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs is not allowed here")
    yield place
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


def test_a_full_disk_stops_acknowledgements_and_nothing_else(
    small_disk: Path, tmp_path: Path
) -> None:
    """Longer than any lease; nobody dies of it, and nobody has to be asked to go on."""
    with faulty_cluster(tmp_path, "--shards", "2", "--spares", "1", "--webs", "0") as cluster:
        with RouterLoad(cluster, recipients_of(range(32)), period_s=0.05) as load:
            load.wait_for(200)
            before = cluster.snapshot()
            ballast = fill(small_disk)
            time.sleep(0.5)
            acknowledged = len(load.talk.acknowledged)
            time.sleep(3)
            assert len(load.talk.acknowledged) == acknowledged
            ballast.unlink()
            load.wait_for(200)
        assert load.assert_clean().marked_repeats == 0
        after = cluster.snapshot()
        assert living(after) == living(before)
        assert after.slots == before.slots
