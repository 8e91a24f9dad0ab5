"""Three hosts with addresses of their own, and one of them cut off: packets vanish, nobody is told.

Real supervisors in network namespaces, one PostgreSQL, lanes that are authenticated, Webs, CoreApps
and Masters on different hosts, traffic from routers here and over HTTP. One cluster serves all
tests of this file; each leaves it whole. The figures in brackets are the cases of docs/faults.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NoReturn
from urllib.request import Request, urlopen

import pytest

from multiconnect.limits import SLOTS
from multiconnect.model.cluster import AuditEntry, Node, NodeState, Role, Snapshot
from tests.support.faulty_cluster import RouterLoad, coreapps
from tests.support.history import judge
from tests.support.hosts import HostCluster, host_cluster
from tests.support.load import Load
from tests.support.netns import network
from tests.support.postgres import new_server
from tests.support.stage import recipients_of
from tests.support.upstreams import arrivals_in, senders_in
from tools import services

pytestmark = [pytest.mark.netns, pytest.mark.postgres, pytest.mark.process]

SHARDS, COREAPPS = 2, 3
PLAN = {
    "a": "--coreapps 1 --masters 1",
    "b": "--coreapps 1 --masters 1 --webs 1",
    "c": "--coreapps 1 --webs 1",
}
#: Many times what the timers allow (lease_ttl_s is 2 s): machines of CI are slow in bursts.
TAKEN_OVER_MAX_S = 15.0


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, service_missing: Callable[[str], NoReturn]
) -> Iterator[HostCluster]:
    if services.netns_problem():
        pytest.skip(services.netns_problem())
    with network(*PLAN) as net, new_server(service_missing, net.here) as server:
        folder = tmp_path_factory.mktemp("hosts")
        url = server.url()
        with host_cluster(folder, net, url, PLAN, shards=SHARDS, ready=COREAPPS) as cluster:
            cluster.ready["token"] = log_in(cluster)
            yield cluster


@pytest.fixture
def cluster(running: HostCluster) -> HostCluster:
    running.until_whole(SHARDS, COREAPPS)
    return running


def command(cluster: HostCluster, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of ours here, which is one more machine of the network."""
    store = str(cluster.ready["store"])
    return subprocess.run(
        [sys.executable, "-m", "multiconnect.cli", *words, "--store", store],
        capture_output=True, text=True, timeout=60, check=False, input=typed,
    )  # fmt: skip


def log_in(cluster: HostCluster) -> str:
    """Make a user and return a token of it."""
    login = "operator:Pass-of-0perator"
    name, _, password = login.partition(":")
    made = command(cluster, "users", "create", name, "--password-stdin", typed=password)
    assert made.returncode == 0, made.stderr
    cluster.ready["http"] = cluster.http_of("c")
    request = Request(f"{cluster.http}/v1/users/login", method="POST", data=b"")
    request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    with urlopen(request, timeout=30) as reply:
        return str(json.loads(reply.read())["users"][0]["token"])


# --- looking -------------------------------------------------------------------------------------
def owned_by(snapshot: Snapshot, host: str) -> list[int]:
    """Return the slots that live on a host."""
    return [
        row.slot
        for row in snapshot.slots
        if (owner := snapshot.node(row.owner)) is not None and owner.host == host
    ]


def primary(snapshot: Snapshot) -> Node:
    """Return the Master that holds the term."""
    node = snapshot.node(snapshot.cluster.master)
    assert node is not None
    return node


def living(snapshot: Snapshot, host: str, role: Role) -> list[Node]:
    """Return the nodes of a role on a host that are ready."""
    return [
        n
        for n in snapshot.nodes
        if n.host == host and n.role is role and n.state is NodeState.READY
    ]


def assert_no_split_brain(audit: list[AuditEntry]) -> None:
    """One owner per slot and epoch, epochs only rise, terms never fall."""
    owners: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    epochs: defaultdict[int, list[int]] = defaultdict(list)
    for entry in audit:
        if entry.slot is not None and entry.new_owner and entry.new_epoch is not None:
            owners[entry.slot, entry.new_epoch].add(entry.new_owner)
            epochs[entry.slot].append(entry.new_epoch)
    assert set(epochs) == set(range(SLOTS))
    assert [key for key, names in owners.items() if len(names) > 1] == []
    assert [s for s, seen in epochs.items() if any(b <= a for a, b in pairwise(seen))] == []
    terms = [entry.term for entry in audit]
    assert terms == sorted(terms)


# --- the hosts -----------------------------------------------------------------------------------
def test_lanes_between_hosts_want_the_secret(cluster: HostCluster) -> None:
    send = ("send", "16315550000", "hi", "--timeout", "20", "--json")
    known = command(cluster, *send, "--lane-secret-file", str(cluster.secret_file))
    assert known.returncode == 0, known.stderr
    nothing = command(cluster, *send)
    assert nothing.returncode == 2
    assert "--lane-secret-file" in nothing.stderr
    other = cluster.folder / "another-secret"
    other.write_text("another" * 8)
    short = ("send", "16315550000", "hi", "--timeout", "1")
    wrong = command(cluster, *short, "--lane-secret-file", str(other))
    assert wrong.returncode == 6
    assert "hung up before it had greeted us" in wrong.stderr
    secret = cluster.secret_file.read_text().strip()
    assert secret not in cluster.logs() + nothing.stderr + wrong.stderr + known.stdout


def test_a_host_without_the_secret_serves_nothing_and_says_why(
    cluster: HostCluster, tmp_path: Path
) -> None:
    log = tmp_path / "node.log"
    with log.open("wb") as out:
        node = subprocess.Popen(
            [
                sys.executable, "-m", "multiconnect.cli", "node", "--host", "here",
                "--store", str(cluster.ready["store"]), "--data-dir", str(tmp_path / "here"),
                "--coreapps", "0", "--masters", "0", "--http", "127.0.0.1:0", "--upstream", "null",
            ],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 60
        while "no lane credentials here" not in log.read_text():
            assert time.monotonic() < deadline_s, log.read_text()
            assert node.poll() is None, log.read_text()
            time.sleep(0.05)
        assert not living(cluster.snapshot(), "here", Role.WEB)
    finally:
        node.terminate()
        node.wait(timeout=30)


def off_the_master(cluster: HostCluster, seen: Snapshot) -> str:
    """Return a host with an owner and without the primary Master."""
    hosts = [host for host in PLAN if owned_by(seen, host)]
    return next(host for host in hosts if host != primary(seen).host)


def with_the_master(cluster: HostCluster, seen: Snapshot) -> str:
    """Return the host of the primary Master; it gets an owner's slots first if it has none."""
    host = primary(seen).host
    while not owned_by(seen, host):
        # Whoever restarts last is the spare; slots go to those who are ready before.
        cluster.restart()
        seen = cluster.until_whole(SHARDS, COREAPPS)
        host = primary(seen).host
    return host


@pytest.mark.parametrize("choose", [off_the_master, with_the_master])
def test_a_host_that_is_cut_off_is_replaced_and_comes_back_as_a_spare(
    cluster: HostCluster, choose: Callable[[HostCluster, Snapshot], str]
) -> None:
    """[36] Nobody can prove its death, nobody can tell it: leases and epochs are all there is."""
    host = choose(cluster, cluster.snapshot())
    cluster.loads.append(host)
    number = len(cluster.loads)
    recipients = recipients_of(range(SLOTS), prefix=f"163157{number:02d}")
    # Over a Web on a host that stays.
    cluster.ready["http"] = cluster.http_of("b" if host == "c" else "c")
    web = Load(cluster, recipients=16, pause_s=0.1, prefix=f"163158{number}").start()
    with RouterLoad(cluster, recipients, period_s=0.1) as load:
        load.wait_for(100)
        before = cluster.snapshot()
        hit = owned_by(before, host)
        held = recipients[[load_slot(load, r) for r in recipients].index(hit[0])]
        hold(cluster, load, held)
        zombies = cluster.pids(host)
        with cut_off(cluster, host, hit):
            load.wait_for(200)
            web.wait_for(20)
            # Its lease ended before anybody was given its slots; one message was under way.
            taken_over = len(senders_in(cluster.arrivals))
            cluster.tickets.fall("hold")
            load.wait_for(200)
            assert sent_by(cluster, zombies, taken_over) in ([], [held])
        comes_back(cluster, host, before)
        load.wait_for(100)
        web.wait_for(20)
        web.stop()
    verdict = load.assert_clean()
    assert verdict.marked_repeats <= SLOTS * 64
    assert not web.failures, web.failures[:3]
    assert_delivered(cluster, web)
    assert_no_split_brain(cluster.audit())


def load_slot(load: RouterLoad, recipient: str) -> int:
    """Return the slot of a recipient, as an acknowledgement told it."""
    at = next(n for n, a in enumerate(load.talk.acknowledged) if a.recipient == recipient)
    return load.talk.slots[at]


def hold(cluster: HostCluster, load: RouterLoad, recipient: str) -> None:
    """Let a recipient's next message be under way at its owner, and more wait behind it."""
    cluster.tickets.stand("hold", recipient)
    acknowledged = sum(a.recipient == recipient for a in load.talk.acknowledged)
    for _ in range(5):
        load.send(recipient)
    while sum(a.recipient == recipient for a in load.talk.acknowledged) < acknowledged + 5:
        load.wait_for(1)


@contextmanager
def cut_off(cluster: HostCluster, host: str, hit: list[int]) -> Iterator[None]:
    """Cut a host off for as long as the block takes, which begins once others have its slots."""
    cluster.cut(host)
    try:
        seen = cluster.until(
            lambda now: not owned_by(now, host) and all(now.slots[slot].owner for slot in hit),
            "others have its slots", TAKEN_OVER_MAX_S,
        )  # fmt: skip
        assert primary(seen).host != host
        assert {node.host for node in coreapps(seen)} == set(PLAN) - {host}
        yield
    finally:
        cluster.tickets.fall("hold")
        cluster.heal(host)


def sent_by(cluster: HostCluster, pids: list[int], since: int) -> list[str]:
    """Return the recipients of what these processes sent after so many arrivals."""
    # The second reading may know a little more than the first.
    rows = zip(arrivals_in(cluster.arrivals), senders_in(cluster.arrivals), strict=False)
    return [row.recipient for row, pid in list(rows)[since:] if pid in pids]


def comes_back(cluster: HostCluster, host: str, before: Snapshot) -> None:
    """Wait until a healed host serves again: a spare, under other names; the old ones are dead."""
    old = [node.incarnation for node in living(before, host, Role.COREAPP)]
    seen = cluster.until_whole(SHARDS, COREAPPS)
    (new,) = living(seen, host, Role.COREAPP)
    assert new.incarnation not in old
    assert owned_by(seen, host) == []
    for incarnation in old:
        node = seen.node(incarnation)
        assert node is not None
        assert node.state is NodeState.DEAD
        assert "lease" in node.reason
    cluster.until(lambda now: living(now, host, Role.SUPERVISOR), "its supervisor is back")


def assert_delivered(cluster: HostCluster, web: Load) -> None:
    """What was acknowledged over HTTP arrives, in order, and nothing twice without a mark."""
    mine = {a.recipient for a in web.acknowledged}
    deadline_s = time.monotonic() + 30
    while True:
        arrivals = [a for a in arrivals_in(cluster.arrivals) if a.recipient in mine]
        verdict = judge(web.acknowledged, arrivals)
        if not verdict.lost or time.monotonic() > deadline_s:
            break
        time.sleep(0.05)
    assert verdict.clean, verdict


def test_hosts_and_lines_leave_nothing_behind(tmp_path: Path) -> None:
    """Not even when the process that made them is killed."""
    if services.netns_problem():
        pytest.skip(services.netns_problem())
    program = (
        "import os, signal, subprocess; from tests.support.netns import Network\n"
        "net = Network('x'); net.make(); print(net._own_line, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    line = Path("/sys/class/net") / done.stdout.strip()
    assert line.name.startswith("mc"), done.stderr
    deadline_s = time.monotonic() + 10
    while line.exists():
        assert time.monotonic() < deadline_s, f"{line} is still there"
        time.sleep(0.02)
