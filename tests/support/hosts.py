"""A cluster over several hosts: `multiconnect node` on each, one PostgreSQL, authenticated lanes.

    with network("a", "b", "c") as net, new_server(service_missing, net.here) as server:
        plan = {"a": "--coreapps 1 --masters 1", "b": "--coreapps 1 --masters 1", "c": "--webs 1"}
        with host_cluster(folder, net, server.url(), plan, shards=2, ready=2) as cluster:
            host = cluster.host_of(cluster.owner(slot=3))     # a name of the plan
            cluster.cut(host)                                 # a blackhole, not a kill
            …
            cluster.heal(host)

It is a `FaultyCluster`: `snapshot`, `until`, `until_whole`, `audit`, `tickets`, `arrivals` and
`RouterLoad` (tests/support/faulty_cluster.py) work on it. The store, the load and whoever looks are
on the machine itself, which is never cut off. A router of one's own needs the credentials:
`Router(cluster.ready["store"], **cluster.router_options)`. Messages are appended to the file
`arrivals`, which every host reaches even when it is cut off: so whatever a cut-off owner still
sends is seen (`senders_in`, with `pids`).
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from multiconnect import LaneCredentials
from multiconnect.limits import STOP_MAX_S
from multiconnect.model.cluster import Node
from multiconnect.supervisor.liveness import die_with_parent
from tests.support.faulty_cluster import FaultyCluster
from tests.support.live_cluster import session_pids, signal_session
from tests.support.netns import Network

HTTP_PORT = 9090


class HostCluster(FaultyCluster):
    """One supervisor per host of a network; `plan` has the options of each host's `node`."""

    def __init__(
        self, folder: Path, net: Network, store: str, plan: Mapping[str, str], *options: str
    ) -> None:
        super().__init__(folder)
        self.net = net
        self.plan = plan
        self.ready = {"store": store}
        self.secret_file = folder / "lane-secret"
        self.secret_file.write_text(f"{secrets.token_hex(32)}\n")
        self.router_options = {"lanes": LaneCredentials.parse(self.secret_file.read_text())}
        self._extra = options
        self._supervisors: dict[str, subprocess.Popen[bytes]] = {}

    # --- life --------------------------------------------------------------------------------
    def start_hosts(self, shards: int) -> None:
        """Make the store with that many shards, and start every host."""
        self.set_target(shards)
        for host in self.plan:
            self.start_host(host)

    def start_host(self, host: str) -> None:
        """Start a host's supervisor."""
        address = self.net.address(host)
        options = ["--masters", "0", "--webs", "0", "--coreapps", "0", *self.plan[host].split()]
        command = [
            sys.executable, "-m", self.program, "node", "--store", str(self.ready["store"]),
            "--host", host, "--data-dir", str(self.folder / host), "--lanes", address,
            "--lane-secret-file", str(self.secret_file), "--http", f"{address}:{HTTP_PORT}",
            "--upstream", "null", *options, *self._extra,
        ]  # fmt: skip
        with (self.folder / f"{host}.log").open("ab") as log:
            self._supervisors[host] = subprocess.Popen(
                self.net.command(host, *command), env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # A test run that is killed must not leave hosts behind. (One system call only.)
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )  # fmt: skip

    def stop_host(self, host: str) -> int:
        """Ask a host to end, as an operator does; return its exit code."""
        supervisor = self._supervisors[host]
        supervisor.send_signal(signal.SIGTERM)
        return supervisor.wait(timeout=2 * STOP_MAX_S)

    def end(self) -> None:
        """Kill everything, all at once."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for supervisor in self._supervisors.values():
                signal_session(supervisor.pid, number)
        for supervisor in self._supervisors.values():
            supervisor.wait()

    # --- breaking and mending ----------------------------------------------------------------
    def cut(self, host: str) -> float:
        """Cut a host off from everybody; return when (monotonic)."""
        at_s = time.monotonic()
        self.net.cut(host)
        return at_s

    def heal(self, host: str) -> float:
        """Undo it; return when."""
        at_s = time.monotonic()
        self.net.heal(host)
        return at_s

    # --- looking -----------------------------------------------------------------------------
    def host_of(self, node: Node) -> str:
        """Return the host that a node runs on."""
        assert node.host in self.plan, node
        return node.host

    def pids(self, host: str) -> list[int]:
        """Return the processes of a host that run now, its supervisor among them."""
        return session_pids(self._supervisors[host].pid)

    def http_of(self, host: str) -> str:
        """Return the base URL of a host's Web processes."""
        return f"http://{self.net.address(host)}:{HTTP_PORT}"

    def logs(self) -> str:
        """Return the last lines of what every host said, for a failure's message."""
        files = sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*/logs/*"))
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in files)


@contextlib.contextmanager
def host_cluster(
    folder: Path, net: Network, store: str, plan: Mapping[str, str], *options: str,
    shards: int, ready: int,
) -> Iterator[HostCluster]:  # fmt: skip
    """Yield a cluster with that many shards served and CoreApps ready; nothing of it is left."""
    cluster = HostCluster(folder, net, store, plan, *options)
    try:
        cluster.start_hosts(shards)
        try:
            cluster.until_whole(shards, ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{cluster.logs()}") from None
        yield cluster
    finally:
        cluster.end()
