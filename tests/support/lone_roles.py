"""Roles in processes of their own without a supervisor: nobody proves a death, nobody kills.

So a frozen owner or Master stays frozen until the test wakes it up, which is what happens on a host
that was cut off; only leases and epochs are left to keep order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.model.cluster import Role, Snapshot
from tests.support.faulty_cluster import FaultyCluster, coreapps
from tests.support.tickets import VARIABLE


class LoneRoles(FaultyCluster):
    """A store and the roles a test starts on it, each unsupervised."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "data").mkdir()
        self.ready = {"store": f"sqlite:///{folder}/data/multiconnect.db"}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, role: Role, name: str) -> subprocess.Popen[bytes]:
        """Start a role; `name` is its seat and its incarnation."""
        folder = self.folder / "data"
        settings = ProcessSettings(
            store=str(self.ready["store"]), incarnation=name, name=name, role=role,
            host=f"host-of-{name}", data_dir=str(folder),
            log_file=str(folder / f"{name}.log"), pair_rate=False,
        )  # fmt: skip
        if role is Role.COREAPP:
            settings = replace(settings, socket_path=str(folder / f"{name}.sock"))
        variables = {
            **os.environ, VARIABLE: str(self.folder / "tickets"),
            PROCESS_VARIABLE: settings.to_json(),
        }  # fmt: skip
        with (folder / f"{name}.stderr").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.faulty_role", role.value],
                env=variables, stderr=errors, stdin=subprocess.DEVNULL,
                # It will be stopped. A group with a stopped process in it is hung up (SIGHUP to
                # all) when whatever started the tests exits: that must not be pytest's own.
                process_group=0,
            )  # fmt: skip
        self.processes[name] = process
        return process

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a role."""
        self.processes[name].send_signal(number)

    def until_stopped(self, name: str) -> None:
        """Wait until a role is frozen."""
        stat = Path(f"/proc/{self.processes[name].pid}/stat")
        deadline_s = time.monotonic() + 30
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline_s, f"{name} does not stop"
            time.sleep(0.002)

    def until_served(self, by: str) -> Snapshot:
        """Wait until a CoreApp owns every slot."""
        return self.until(lambda seen: {row.owner for row in seen.slots} == {by}, f"all to {by}")

    def until_ready(self, count: int) -> Snapshot:
        """Wait until so many CoreApps are ready."""
        return self.until(lambda seen: len(coreapps(seen)) >= count, f"{count} CoreApps")

    def end(self) -> None:
        """Kill what is left."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


@contextmanager
def lone_roles(folder: Path) -> Iterator[LoneRoles]:
    """An empty store; whatever is started on it is ended."""
    roles = LoneRoles(folder)
    try:
        yield roles
    finally:
        roles.end()
