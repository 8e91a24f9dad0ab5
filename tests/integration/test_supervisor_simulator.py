"""The simulator as a child: found, configured, started again, ended."""

import asyncio
import os
import signal

import pytest

from multiconnect.errors import Refused, Unavailable
from multiconnect.supervisor.http_call import HttpConnection
from multiconnect.supervisor.simulator import SimulatorChild

pytestmark = pytest.mark.process


@pytest.fixture
async def simulator(tmp_path):
    child = SimulatorChild(tmp_path, tmp_path / "logs")
    yield child
    await child.aclose()


async def report(url):
    async with HttpConnection(url) as connection:
        return (await connection.get("/simulator/report")).json()


async def test_it_serves_and_takes_our_webhook(simulator):
    url = await simulator.start()
    assert (await report(url))["received"] == 0
    await simulator.configure("http://127.0.0.1:1/webhooks/whatsapp", "secret")
    with pytest.raises(Unavailable, match="refused its webhook"):
        await simulator.configure("nonsense", "secret")


async def test_it_comes_back_on_its_port_after_a_crash(simulator):
    url = await simulator.start()
    os.kill(simulator._process.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        await simulator._ended.wait()
        while True:
            try:
                await report(url)
                break
            except Unavailable:
                await asyncio.sleep(0.02)
    assert simulator.url == url


async def test_one_that_does_not_come_up_is_explained(simulator, monkeypatch):
    monkeypatch.setattr("multiconnect.supervisor.simulator._MODULE", "tests.support.no_such_thing")
    with pytest.raises(Refused, match="no_such_thing"):
        await simulator.start()


async def test_it_ends_with_us(simulator):
    url = await simulator.start()
    await simulator.aclose()
    with pytest.raises(Unavailable):
        await report(url)
