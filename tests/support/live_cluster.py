"""A real cluster for tests: `multiconnect up` (and a simulator apart) as child processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

START_MAX_S = 60.0


class Simulator:
    """`multiconnect simulator` in a process of its own, so that it outlives a power cut."""

    def __init__(self, folder: Path) -> None:
        ready = folder / "simulator.json"
        self.process = _spawn(
            ["simulator", "--listen", "127.0.0.1:0", "--ready-file", str(ready)],
            folder / "simulator.log",
        )
        self.url = str(_wait_for_json(ready, self.process)["url"])

    def report(self) -> dict[str, Any]:
        """Return what it counted."""
        return dict(get_json(f"{self.url}/simulator/report"))

    def messages(self) -> list[dict[str, Any]]:
        """Return every arrival, in order."""
        found: list[dict[str, Any]] = []
        while True:
            since = found[-1]["n"] if found else 0
            page = get_json(f"{self.url}/simulator/messages?since={since}")
            if not page:
                return found
            found += page

    def stop(self) -> None:
        """End it."""
        _end(self.process)


class LiveCluster:
    """`multiconnect up` on a data directory; may be killed and started again on the same one."""

    program = "multiconnect.cli"
    environment: dict[str, str] | None = None

    def __init__(self, folder: Path, upstream: str, *options: str) -> None:
        self.folder = folder
        self._upstream = upstream
        self._options = options
        self._starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._starts += 1
        ready = self.folder / f"ready-{self._starts}.json"
        self.process = _spawn(
            [
                "up",
                "--data-dir",
                str(self.folder / "data"),
                "--http",
                "127.0.0.1:0",
                "--upstream",
                self._upstream,
                "--ready-file",
                str(ready),
                *self._options,
            ],
            self.folder / f"up-{self._starts}.log",
            self.program,
            self.environment,
        )
        self.ready = _wait_for_json(ready, self.process)

    # --- looking -----------------------------------------------------------------------------
    @property
    def http(self) -> str:
        """The base URL."""
        return str(self.ready["http"])

    @property
    def headers(self) -> dict[str, str]:
        """What an authorised request carries."""
        return {"Authorization": f"Bearer {self.ready['token']}"}

    def status(self) -> dict[str, Any]:
        """Return `multiconnect status --json`."""
        command = [
            sys.executable,
            "-m",
            "multiconnect.cli",
            "status",
            "--json",
            "--store",
            str(self.ready["store"]),
        ]
        done = subprocess.run(command, capture_output=True, check=True, timeout=30)
        return dict(json.loads(done.stdout))

    def node(self, **wanted: Any) -> dict[str, Any]:
        """Return the first live node whose fields are as wanted; `shard=N` means "owns N"."""
        shard = wanted.pop("shard", None)
        for node in self.status()["nodes"]:
            if (
                node["state"] != "dead"
                and all(node[k] == v for k, v in wanted.items())
                and (shard is None or shard in node["shards"])
            ):
                return dict(node)
        raise AssertionError(f"no live node with {wanted} (shard {shard}) in {self.status()}")

    def wait_until(self, holds: Any, what: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait until `holds(status)`; return that status."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status()
            if holds(status):
                return status
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}: {status}"
            time.sleep(0.05)

    # --- breaking ----------------------------------------------------------------------------
    def signal_node(self, node: dict[str, Any], number: signal.Signals) -> None:
        """Send a signal to a node of this cluster."""
        os.kill(int(node["pid"]), number)

    def cut_power(self) -> None:
        """SIGKILL every process of the cluster at once."""
        assert self.process is not None
        # Frozen first, so that nobody has time to act on another's death.
        self.signal_all(signal.SIGSTOP)
        self.signal_all(signal.SIGKILL)
        self.process.wait()
        _wait_for_session_end(self.process.pid)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the cluster."""
        assert self.process is not None
        signal_session(self.process.pid, number)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        return _end(self.process)


@contextlib.contextmanager
def live_cluster(folder: Path, *options: str) -> Iterator[tuple[LiveCluster, Simulator]]:
    """A started cluster and its simulator; everything is gone afterwards."""
    simulator = Simulator(folder)
    cluster = LiveCluster(folder, simulator.url, *options)
    try:
        cluster.start()
        yield cluster, simulator
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.stop()
        simulator.stop()


def get_json(url: str, headers: dict[str, str] | None = None) -> Any:
    """GET a JSON document."""
    with urlopen(Request(url, headers=headers or {}), timeout=30) as reply:
        return json.loads(reply.read())


def _spawn(
    arguments: list[str],
    log: Path,
    program: str = "multiconnect.cli",
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )


def _wait_for_json(path: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline:
        if path.exists():
            return dict(json.loads(path.read_text()))
        if process.poll() is not None:
            break
        time.sleep(0.02)
    log = "\n".join(p.read_text()[-3000:] for p in sorted(path.parent.glob("*.log")))
    if process.poll() is None:
        _end(process)
    raise AssertionError(f"{path.name} did not appear (exit {process.returncode}):\n{log}")


def _end(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        signal_session(process.pid, signal.SIGKILL)
        process.wait()
        raise


def session_pids(session: int) -> list[int]:
    """Return the processes of a session: a supervisor's children have groups of their own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def signal_session(session: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a session."""
    for pid in session_pids(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_for_session_end(session: int) -> None:
    deadline = time.monotonic() + 10
    while session_pids(session):
        assert time.monotonic() < deadline, f"processes {session_pids(session)} still live"
        time.sleep(0.01)
