"""Addresses of a host: tried in turns, and none for too long."""

import socket

import pytest

from multiconnect.upstream.cloud_api.dial import in_turns, open_socket

V4, V6 = socket.AF_INET, socket.AF_INET6
BOTH_LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


def info(family, address):
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)


@pytest.fixture
def refusing():
    """An address that nobody listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@pytest.fixture
def silent():
    """An address that neither takes nor refuses a connection: its queue is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()


@pytest.fixture
def known_at(monkeypatch):
    """Say at which addresses every host is."""

    def know(*addresses):
        infos = [info(V4, address) for address in addresses]

        async def getaddrinfo(*_, **__):
            return infos

        monkeypatch.setattr("multiconnect.upstream.cloud_api.dial.look_up", getaddrinfo)

    return know


def test_families_take_turns():
    found = in_turns([info(V6, 1), info(V6, 2), info(V6, 3), info(V4, 4)])
    assert [one[4] for one in found] == [1, 4, 2, 3]
    assert in_turns([]) == []


@BOTH_LOOPS
async def test_a_name_is_looked_up(listening):
    with await open_socket("localhost", listening[1]) as sock:
        assert sock.getpeername() == listening
        assert not sock.getblocking()


@BOTH_LOOPS
async def test_an_address_that_refuses_is_passed_over(known_at, refusing, listening):
    known_at(refusing, listening)
    with await open_socket("host", 1) as sock:
        assert sock.getpeername() == listening


@BOTH_LOOPS
async def test_an_address_that_keeps_silent_is_passed_over(known_at, silent, listening):
    known_at(silent, listening)
    with await open_socket("host", 1) as sock:
        assert sock.getpeername() == listening


@BOTH_LOOPS
async def test_when_all_refuse_the_last_error_is_told(known_at, refusing):
    known_at(refusing, refusing)
    with pytest.raises(ConnectionRefusedError):
        await open_socket("host", 1)


async def test_a_host_without_addresses_cannot_be_reached(known_at):
    known_at()
    with pytest.raises(OSError, match="no address"):
        await open_socket("host", 1)
