"""The simulator as a process: when it is ready, what it reads, and that it always ends."""

import asyncio
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing

import aiohttp
import orjson
import pytest

from tests.unit.upstream.simulator_client import Receiver, body
from tests.unit.upstream.waiting import until

pytestmark = pytest.mark.process


class Process:
    """`python -m multiconnect.upstream.simulator` with a ready file."""

    def __init__(self, directory, *arguments, environment=None, pass_fds=()):
        self.ready_file = directory / "ready.json"
        command = [sys.executable, "-m", "multiconnect.upstream.simulator"]
        self.child = subprocess.Popen(
            [*command, "--ready-file", str(self.ready_file), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
        )

    def ready(self):
        deadline = time.monotonic() + 15
        while not self.ready_file.exists():
            assert self.child.poll() is None, self.child.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return orjson.loads(self.ready_file.read_bytes())

    def ended(self):
        """Return (exit code, stderr), soon."""
        _, errors = self.child.communicate(timeout=10)
        return self.child.returncode, errors

    def close(self):
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def process(tmp_path):
    started = []

    def start(*arguments, **options):
        started.append(Process(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_when_it_is_ready_and_ends_at_once_on_a_signal(process, number):
    simulator = process()
    ready = simulator.ready()
    assert ready["pid"] == simulator.child.pid
    async with aiohttp.ClientSession() as session:
        fault = [{"fault": "timeout"}]
        async with session.post(ready["url"] + "/simulator/faults", json=fault) as response:
            assert response.status == 200
        # A request that is held does not hold up the end.
        url = ready["url"] + "/v24.0/1065/messages"
        held = asyncio.create_task(
            session.post(url, json=body(), headers={"Authorization": "Bearer t"})
        )
        report_url = ready["url"] + "/simulator/report"

        async def requests():
            async with session.get(report_url) as response:
                return (await response.json())["requests"]

        while not await requests():
            assert not held.done()
        simulator.child.send_signal(number)
        code, _ = await asyncio.to_thread(simulator.ended)
        assert code == 0
        with pytest.raises(aiohttp.ClientError):
            await held


def test_it_ends_when_its_parent_is_gone(process):
    reader, writer = os.pipe()
    with closing(os.fdopen(writer, "wb")) as pipe:
        simulator = process("--parent-pipe", str(reader), pass_fds=(reader,))
        os.close(reader)
        simulator.ready()
        assert simulator.child.poll() is None
        pipe.close()
        assert simulator.ended()[0] == 0


async def test_faults_secret_and_token_come_from_files_and_environment(process, tmp_path):
    faults, secret = tmp_path / "faults.json", tmp_path / "secret"
    faults.write_text('[{"fault": "error", "code": 131016, "times": 1}]')
    secret.write_text("s3cret\n")
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        arguments = ("--faults", str(faults), "--webhook", receiver.url)
        simulator = process(
            *arguments, "--app-secret-file", str(secret),
            environment={"MULTICONNECT_SIMULATOR_TOKEN": "right"},
        )  # fmt: skip
        url = (await asyncio.to_thread(simulator.ready))["url"] + "/v24.0/1065/messages"
        statuses = []
        for token in ("wrong", "right", "right"):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(url, json=body(), headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [401, 503, 200]
        await until(lambda: receiver.posts)
        raw, signature = receiver.posts[0]
        assert signature == "sha256=" + hmac.new(b"s3cret", raw, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "nowhere"), "--listen"),
        (("--listen", "127.0.0.1:99999"), "--listen"),
        (("--faults", "FILE"), "faults[0]"),
        (("--faults", "no such file"), "No such file"),
        (("--webhook", "ftp://x"), "webhook.url"),
    ],
)
def test_wrong_arguments_are_explained(process, tmp_path, arguments, words):
    faults = tmp_path / "faults.json"
    faults.write_text('[{"fault": "explode"}]')
    simulator = process(*(str(faults) if word == "FILE" else word for word in arguments))
    code, errors = simulator.ended()
    assert code == 2
    assert words in errors
    assert "Traceback" not in errors


def test_a_taken_address_is_explained(process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        simulator = process("--listen", address)
        code, errors = simulator.ended()
    assert code == 1
    assert address in errors
    assert "Traceback" not in errors
