"""Parcels, cuts and connections."""

import asyncio
import random
from functools import partial

import pytest

from tests.sim.connections import Connections
from tests.sim.loop import SimLoop
from tests.sim.network import Lane, Network
from tests.sim.process import SimProcess


class Peer(asyncio.BufferedProtocol):
    def __init__(self):
        self.data, self.events, self.transport = b"", [], None
        self._buffer = bytearray(64)

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def get_buffer(self, sizehint):
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes):
        self.data += self._buffer[:nbytes]

    def connection_lost(self, exc):
        self.events.append("lost")


class Wires:
    def __init__(self):
        self.loop = SimLoop(random.Random(1))
        self.network = Network(self.loop, "seed", 1.0)
        self.connections = Connections(self.loop, self.network)
        self.near, self.far = self.process("near", "one"), self.process("far", "two")
        self.server = Peer()
        self.connections.listen(self.far, "unix:far", lambda: self.server)

    def process(self, name, host):
        process = SimProcess(self.loop, name, f"{name}.1", host, "seed")
        process.on_exit.append(lambda _: self.connections.close_all(process))
        return process

    def connect(self):
        client = Peer()

        async def go():
            await self.loop.create_unix_connection(lambda: client, "far")

        task = self.near.spawn(go())
        self.pass_time(1.0)
        if task.done():
            task.result()
        else:
            task.cancel()
        return client

    def pass_time(self, seconds):
        self.loop.run_until_complete(self.loop.create_task(asyncio.sleep(seconds)))


@pytest.fixture
def wires():
    wires = Wires()
    yield wires
    wires.pass_time(1.0)
    wires.loop.close()


def test_parcels_of_a_lane_arrive_in_order_and_others_in_any(wires):
    for lane in (Lane(), None):
        seen: list[int] = []
        for number in range(200):
            wires.network.post(wires.near, wires.far, partial(seen.append, number), lane=lane)
        wires.pass_time(1.0)
        assert sorted(seen) == list(range(200))
        assert (seen == sorted(seen)) == (lane is not None)


@pytest.mark.parametrize(
    ("cut", "there", "back"),
    [(("near", "far"), False, True), (("one", "*"), False, True), (("*", "one"), True, False)],
)
def test_a_cut_direction_keeps_what_is_sent_until_it_is_healed(wires, cut, there, back):
    seen = []
    wires.network.cut(*cut)
    wires.network.post(wires.near, wires.far, lambda: seen.append("there"))
    wires.network.post(wires.far, wires.near, lambda: seen.append("back"))
    wires.pass_time(5.0)
    assert seen == ["there"] * there + ["back"] * back
    wires.network.heal(*cut)
    wires.pass_time(1.0)
    assert sorted(seen) == ["back", "there"]


def test_a_connection_carries_bytes_both_ways(wires):
    client = wires.connect()
    for number in range(100):
        client.transport.write(b"%02d" % number)
    wires.server.transport.writelines([b"x", b"y"])
    wires.pass_time(1.0)
    assert wires.server.data == b"".join(b"%02d" % n for n in range(100))
    assert client.data == b"xy"


def test_what_a_killed_process_has_sent_arrives_before_its_hanging_up(wires):
    client = wires.connect()
    client.transport.write(b"last words")
    wires.near.exit("signal 9")
    wires.pass_time(1.0)
    assert wires.server.data == b"last words"
    assert wires.server.events == ["made", "lost"]


def test_a_stopped_process_is_connected_to_and_reads_later(wires):
    wires.far.stop()
    client = wires.connect()
    client.transport.write(b"hello")
    wires.pass_time(1.0)
    assert client.events == ["made"]
    assert wires.server.events == []
    wires.far.resume()
    wires.pass_time(1.0)
    assert wires.server.data == b"hello"


def test_a_dead_listener_refuses_and_a_cut_one_says_nothing(wires):
    wires.network.cut("near", "far")
    assert wires.connect().events == []
    wires.network.heal_all()
    wires.far.exit("signal 9")
    with pytest.raises(ConnectionRefusedError):
        wires.connect()


def test_a_reset_loses_what_is_on_its_way(wires):
    client = wires.connect()
    client.transport.write(b"lost")
    assert wires.connections.reset("near", "far") == 1
    wires.pass_time(1.0)
    assert wires.server.data == b""
    assert client.events == wires.server.events == ["made", "lost"]


def test_nothing_is_read_while_reading_is_paused(wires):
    client = wires.connect()
    wires.server.transport.pause_reading()
    client.transport.write(b"abc")
    wires.pass_time(1.0)
    assert wires.server.data == b""
    wires.server.transport.resume_reading()
    wires.pass_time(1.0)
    assert wires.server.data == b"abc"
