"""A message that kills whoever sends it [30]."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from multiconnect.model.message_id import decode_id
from tests.support.faulty_cluster import RouterLoad, faulty_cluster, is_whole
from tests.support.stage import recipients_of
from tests.support.upstreams import arrivals_in

pytestmark = [pytest.mark.process]


def test_a_poison_message(tmp_path: Path) -> None:
    with faulty_cluster(tmp_path, "--shards", "2", "--spares", "2", "--webs", "0") as cluster:
        cluster.tickets.stand("poison", "seq:7")
        with RouterLoad(cluster, recipients_of([0])) as poisoner, RouterLoad(cluster, recipients_of(range(32), prefix="163199")) as load:
            t=time.monotonic()
            while time.monotonic()-t<25:
                time.sleep(2.5)
                s=cluster.snapshot()
                print(round(time.monotonic()-t,1), "acks", len(load.talk.acknowledged), len(poisoner.talk.acknowledged), "epochs", [r.epoch for r in s.slots][:4], "fails", len(load.talk.failures), len(arrivals_in(cluster.arrivals)), sum(1 for n in s.nodes if n.state.value=="dead"))
