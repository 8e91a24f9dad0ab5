"""Owners that die or freeze at the worst moment, as real processes under a real supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faulty_cluster import RouterLoad, faulty_cluster
from tests.support.stage import recipients_of

pytestmark = pytest.mark.process
OPTIONS = ("--shards", "2", "--spares", "1", "--webs", "1")


@pytest.mark.parametrize(
    "fault",
    ["die-after-commit", "die-at-open", "stop-before-commit", "stop-in-transaction",
     "stop-before-send", "block-loop"],
)
def test_one_fault(tmp_path: Path, fault: str) -> None:
    with faulty_cluster(tmp_path, *OPTIONS) as cluster:
        load = RouterLoad(cluster, recipients_of(range(32)))
        with load:
            load.wait_for(300)
            victim = cluster.owner()
            cluster.tickets.put(fault)
            cluster.until(lambda _: not cluster.tickets.left(fault), "it fails")
            load.wait_for(600)
        load.assert_clean()
