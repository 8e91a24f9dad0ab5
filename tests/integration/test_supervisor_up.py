"""`multiconnect up` with its real roles: first start, refusals, an orderly end, a second start."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.process

CLI = (sys.executable, "-m", "multiconnect.cli")
BOUND_S = 60.0


class Up:
    """One run of `up` in a directory."""

    def __init__(self, directory, *flags):
        self.directory = directory
        self.ready_file = directory / "ready.json"
        # `up` removes it too, but later than we might look.
        self.ready_file.unlink(missing_ok=True)
        self.log = (directory / "up.log").open("ab")
        self.process = subprocess.Popen(
            (*CLI, "up", "--data-dir", directory / "data", "--http", "127.0.0.1:0",
             "--ready-file", self.ready_file, *flags),
            stdout=self.log, stderr=self.log,
            env={**os.environ, "MULTICONNECT_DIE_WITH_PARENT": "1"},
        )  # fmt: skip

    def ready(self):
        """Wait until it serves; return the ready file."""
        deadline = time.monotonic() + BOUND_S
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)
        return json.loads(self.ready_file.read_text())

    def said(self):
        """Return what it said on stderr."""
        return (self.directory / "up.log").read_text()

    def stop(self):
        """Stop it as an operator would; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(BOUND_S)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def up(tmp_path):
    """Return a function that starts `up`; all end with the test."""
    started = []

    def start(*flags):
        started.append(Up(tmp_path, *flags))
        return started[-1]

    yield start
    for one in started:
        one.close()


def cli(*arguments):
    done = subprocess.run(
        (*CLI, *arguments), capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


def post(url, token, body):
    request = Request(url, json.dumps(body).encode(), {"Authorization": f"Bearer {token}"})
    with urlopen(request, timeout=30) as answer:
        return answer.status, json.load(answer)


def test_a_cluster_comes_up_serves_ends_and_comes_back(up, tmp_path):
    first = up("--shards", "2", "--spares", "1", "--masters", "1")
    ready = first.ready()
    roles = sorted(node["role"] for node in ready["nodes"])
    assert roles == ["coreapp"] * 3 + ["master", "supervisor", "web"]
    assert sorted(s for node in ready["nodes"] for s in node["shards"]) == [0, 1]
    status, answer = post(
        ready["http"] + "/v1/messages", ready["token"],
        {"to": "16315550000", "type": "text", "text": {"body": "hi"}},
    )  # fmt: skip
    assert status == 201
    message_id = answer["messages"][0]["id"]

    code, out, _ = cli("status", "--json", "--store", ready["store"])
    assert code == 0
    assert json.loads(out)["state"] == "ok"
    assert {n["pid"] for n in json.loads(out)["nodes"]} == {n["pid"] for n in ready["nodes"]}

    # The same directory cannot be had twice.
    code, _, err = cli("up", "--data-dir", str(tmp_path / "data"), "--http", "127.0.0.1:0")
    assert (code, f"pid {first.process.pid}" in err) == (5, True)

    assert first.stop() == 0, first.said()
    assert not first.ready_file.exists()
    code, out, err = cli("status", "--json", "--store", ready["store"])
    assert (code, json.loads(out)["nodes"]) == (0, [])
    assert "no process of this cluster is running" in err
    assert [node["pid"] for node in ready["nodes"] if is_alive(node["pid"])] == []

    second = up("--masters", "1")
    again = second.ready()
    for kept in ("account", "user", "store"):
        assert again[kept] == ready[kept]
    assert again["webhook"]["app_secret"] == ready["webhook"]["app_secret"]
    assert again["token"] != ready["token"]
    # Two shards were asked for at the first start, and that is kept; the message too.
    assert sum(node["role"] == "coreapp" for node in again["nodes"]) == 3
    code, out, _ = cli("message", "show", message_id, "--json", "--store", ready["store"])
    assert code == 0
    assert json.loads(out)["state"] in ("sent", "delivered", "read")
    assert second.stop() == 0, second.said()


def test_after_a_crash_of_everything_the_leftovers_are_buried(up, tmp_path):
    first = up("--masters", "1", "--upstream", "null")
    ready = first.ready()
    for node in ready["nodes"]:
        os.kill(node["pid"], signal.SIGKILL)
    first.process.wait(BOUND_S)
    second = up("--masters", "1", "--upstream", "null")
    again = second.ready()
    assert "left over from before are declared dead" in second.said()
    old = {node["incarnation"] for node in ready["nodes"]}
    assert {node["incarnation"] for node in again["nodes"]} & old == set()
    assert second.stop() == 0


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
