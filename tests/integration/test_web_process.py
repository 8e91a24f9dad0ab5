"""The web role as a process of its own, over a store on disk."""

import asyncio
import os
import signal
import socket
import sys

import pytest

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.model.cluster import NodeState, Role, Snapshot
from multiconnect.store.open import open_store
from multiconnect.web.auth import create_user, issue_token
from tests.unit.web.serving import PASSWORD, WAIT_S, Wire, request

pytestmark = pytest.mark.process


def _is_ready(snapshot: Snapshot) -> bool:
    node = snapshot.node("web-1-test")
    return node is not None and (node.role, node.state) == (Role.WEB, NodeState.READY)


async def test_it_serves_shows_itself_and_ends_on_sigterm(tmp_path):
    url = f"sqlite:///{tmp_path}/cluster/multiconnect.db"
    store = await open_store(url)
    assert await create_user(store.control, "admin", PASSWORD, "admin")
    token = (await issue_token(store.control, "admin")).token
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    settings = ProcessSettings(
        store=url,
        incarnation="web-1-test",
        name="web-1",
        role=Role.WEB,
        host="here",
        listen_fd=listening.fileno(),
        http_url=f"http://127.0.0.1:{address[1]}",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "multiconnect.web",
        env={**os.environ, PROCESS_VARIABLE: settings.to_json()},
        pass_fds=[listening.fileno()],
        stderr=asyncio.subprocess.PIPE,
    )
    listening.close()
    try:
        wire = Wire(*await asyncio.open_connection(*address))
        await wire.send(request("GET", "/livez"))
        assert (await wire.answer()).status == 200
        await wire.send(request("GET", "/v1/users", token=token))
        assert (await wire.answer()).json["users"][0]["username"] == "admin"
        await wire.send(request("GET", "/readyz"))
        answer = await wire.answer()
        assert (answer.status, answer.json["reasons"][0][:24]) == (503, "32 of 32 slots have no l")
        async with asyncio.timeout(10):
            while not _is_ready(await store.control.snapshot()):
                await store.control.changed(0.1)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert token not in errors.decode()
        node = (await store.control.snapshot()).node("web-1-test")
        assert node is not None
        assert node.state is NodeState.DEAD
        assert await wire.rest() == b""
        await wire.aclose()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
        await store.aclose()
