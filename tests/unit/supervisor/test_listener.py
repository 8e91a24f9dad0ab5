"""One port for all Web processes; a taken one is an error with a remedy."""

import socket

import pytest

from multiconnect.errors import Refused
from multiconnect.supervisor.listener import base_url, bind_http


def test_a_free_port_is_found_and_named():
    with bind_http("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert base_url(listener, tls=False) == f"http://127.0.0.1:{port}"
        assert base_url(listener, tls=True) == f"https://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            pass


def test_everywhere_is_reached_on_loopback():
    with bind_http("0.0.0.0", 0) as listener:
        assert base_url(listener, tls=False).startswith("http://127.0.0.1:")


def test_a_taken_port_is_refused_with_the_next_free_one():
    with bind_http("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Refused, match=rf"127.0.0.1:{port} is taken") as caught:
            bind_http("127.0.0.1", port)
        free = int(str(caught.value).rpartition(":")[2])
        assert free > port
        bind_http("127.0.0.1", free).close()


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(Refused, match="choose another --http"):
        bind_http("192.0.2.1", 0)


def test_a_restart_gets_its_port_back():
    with bind_http("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()
    # The last run's connection is still being forgotten by the kernel.
    with client, bind_http("127.0.0.1", port):
        pass
