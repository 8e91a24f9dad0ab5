"""What a role process does when told to stop, when it fails, and when its supervisor dies."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.limits import ORPHAN_EXIT_S
from multiconnect.model.cluster import Role
from multiconnect.supervisor.child import HARD_EXIT
from tests.support.supervised import DUMMY

pytestmark = pytest.mark.process

#: Generous, because the machine may be busy; the bound itself is ORPHAN_EXIT_S.
ORPHAN_BOUND_S = ORPHAN_EXIT_S + 3.0


class Nursery:
    """Starts dummy children as a supervisor would, without being one."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.ours, self.theirs = socket.socketpair()
        self.process = None

    def start(self, way):
        settings = ProcessSettings(
            store="memory://", incarnation="coreapp-1-0000abcd", name="coreapp-1",
            role=Role.COREAPP, data_dir=str(self.data_dir), pipe_fd=self.theirs.fileno(),
            log_file=str(self.data_dir / "log.jsonl"),
        )  # fmt: skip
        environment = {
            **os.environ, PROCESS_VARIABLE: settings.to_json(), "MULTICONNECT_DUMMY": way
        }  # fmt: skip
        self.process = subprocess.Popen(
            DUMMY, env=environment, pass_fds=[self.theirs.fileno()],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.theirs.close()
        return self.process

    def wait_until_ready(self):
        self.ours.settimeout(20)
        heard = b""
        while b"r" not in heard:
            piece = self.ours.recv(64)
            assert piece, "it ended before it was ready"
            heard += piece

    def diary(self):
        return (self.data_dir / "coreapp-1-0000abcd.txt").read_text().split()

    def log(self):
        return [json.loads(line) for line in (self.data_dir / "log.jsonl").read_text().splitlines()]

    def close(self):
        self.ours.close()
        self.theirs.close()
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def nursery(tmp_path):
    found = Nursery(tmp_path)
    yield found
    found.close()


def test_it_shows_life_until_told_to_stop_and_exits_0(nursery):
    process = nursery.start("serve")
    nursery.wait_until_ready()
    assert nursery.ours.recv(64)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert nursery.diary() == ["started", "ready", "stopping", "stopped"]


def test_sigint_is_an_order_too(nursery):
    process = nursery.start("serve")
    nursery.wait_until_ready()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_a_second_sigterm_ends_it_at_once(nursery):
    process = nursery.start("stubborn")
    nursery.wait_until_ready()
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 10
    while "stopping" not in nursery.diary():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == HARD_EXIT


@pytest.mark.parametrize("way", ["stubborn", "block"])
def test_an_orphan_that_does_not_end_is_ended(nursery, way):
    process = nursery.start(way)
    nursery.wait_until_ready()
    begun = time.monotonic()
    nursery.ours.close()
    assert process.wait(ORPHAN_BOUND_S) == 1
    assert time.monotonic() - begun > ORPHAN_EXIT_S / 2
    # What it hung in is shown.
    assert b"dummy_role.py" in process.stderr.read()


def test_an_orphan_gives_up_by_itself(nursery):
    process = nursery.start("serve")
    nursery.wait_until_ready()
    nursery.ours.close()
    assert process.wait(ORPHAN_BOUND_S) == 0
    assert nursery.diary()[-1] == "stopped"


def test_a_failing_role_exits_1_and_its_log_hides_the_number(nursery):
    assert nursery.start("raise").wait(20) == 1
    failure = nursery.log()[-1]
    assert failure["event"] == "ended by an error"
    assert "RuntimeError: told to fail" in failure["error"]
    assert "16315550123" not in (nursery.data_dir / "log.jsonl").read_text()


def test_a_role_started_by_hand_says_what_to_do():
    environment = {k: v for k, v in os.environ.items() if k != PROCESS_VARIABLE}
    done = subprocess.run(DUMMY, env=environment, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"multiconnect up" in done.stderr


def test_children_end_when_their_supervisor_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.dummy_supervisor", tmp_path], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = json.loads(supervisor.stdout.readline())
        watched = {name: os.pidfd_open(pid) for name, pid in pids.items()}
        try:
            supervisor.kill()
            assert len(watched) == 3
            for name, descriptor in watched.items():
                ended, _, _ = select.select([descriptor], [], [], ORPHAN_BOUND_S)
                assert ended, f"{name} outlived its supervisor"
        finally:
            for descriptor in watched.values():
                os.close(descriptor)


PARENT = """
import subprocess, sys
child = subprocess.Popen({command!r}, pass_fds=[{fd}])
print(child.pid, flush=True)
child.wait()
"""


def test_a_leaked_copy_of_the_supervisors_end_does_not_keep_a_child_alive(nursery, monkeypatch):
    # We hold the supervisor's end, so no end of file will ever come; only the kernel tells.
    settings = ProcessSettings(
        store="memory://", incarnation="coreapp-1-0000abcd", name="coreapp-1", role=Role.COREAPP,
        data_dir=str(nursery.data_dir), pipe_fd=nursery.theirs.fileno(),
    )  # fmt: skip
    monkeypatch.setenv(PROCESS_VARIABLE, settings.to_json())
    script = PARENT.format(command=DUMMY, fd=nursery.theirs.fileno())
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, pass_fds=[nursery.theirs.fileno()]
    ) as parent:
        assert parent.stdout is not None
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        try:
            nursery.wait_until_ready()
            parent.kill()
            ended, _, _ = select.select([descriptor], [], [], ORPHAN_BOUND_S)
            assert ended
        finally:
            os.close(descriptor)
    assert nursery.diary()[-1] == "stopped"
