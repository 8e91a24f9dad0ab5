"""A Master as a process of its own: what `python -m multiconnect.master` does, on SQLite."""

import asyncio
import os
import signal
import sys

import pytest

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.model.cluster import NodeState, Role
from multiconnect.store.open import open_store
from tests.unit.master.faulty_store import DEADLINE_S

pytestmark = pytest.mark.process


def settings(url, name):
    return ProcessSettings(
        store=url, incarnation=f"{name}-1", name=name, role=Role.MASTER, generation=3, host="here"
    )


async def start(url, name):
    environment = {**os.environ, PROCESS_VARIABLE: settings(url, name).to_json()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "multiconnect.master", env=environment
    )


async def until(control, holds):
    async with asyncio.timeout(DEADLINE_S):
        while not holds(seen := await control.snapshot()):
            await control.changed(0.1)
    return seen


async def test_it_joins_takes_the_term_and_leaves_in_order(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/multiconnect.db")
    control = store.control
    first = await start(store.url, "master-1")
    second = None
    try:
        seen = await until(control, lambda seen: seen.cluster.master == "master-1-1")
        row = seen.node("master-1-1")
        assert (row.pid, row.generation, row.host) == (first.pid, 3, "here")
        assert (row.state, row.start_ticks > 0) == (NodeState.READY, True)
        second = await start(store.url, "master-2")
        await until(control, lambda seen: seen.node("master-2-1") is not None)
        first.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            assert await first.wait() == 0
        seen = await until(control, lambda seen: seen.cluster.master == "master-2-1")
        row = seen.node("master-1-1")
        assert (row.state, row.reason) == (NodeState.DEAD, "stopped")
    finally:
        for child in filter(None, (first, second)):
            if child.returncode is None:
                child.kill()
                await child.wait()
        await store.aclose()
