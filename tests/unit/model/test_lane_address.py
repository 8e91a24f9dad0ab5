"""Addresses of lanes: taken apart, put together, and whether they leave the machine."""

import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.model.lane_address import LaneAddress, lane_address, listening_place


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("unix:/run/a.sock", ("/run/a.sock", "", 0)),
        ("tcp:10.0.0.1:7000", ("", "10.0.0.1", 7000)),
        ("tcp:[fd00::1]:7000", ("", "fd00::1", 7000)),
        ("tcp:host-a:1", ("", "host-a", 1)),
    ],
)
def test_an_address_is_taken_apart_and_put_together_again(text, parts):
    address = lane_address(text)
    assert (address.path, address.host, address.port) == parts
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "local:", "unix:", "tcp:10.0.0.1", "tcp::1", "udp:a:1", "tcp:a:x"]
)
def test_another_kind_is_refused_by_name(text):
    with pytest.raises(InvalidSettings, match="expected unix:PATH or tcp:HOST:PORT"):
        lane_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", 0),
        ("10.0.0.1:7000", "10.0.0.1", 7000),
        ("fd00::1", "fd00::1", 0),
        ("[fd00::1]", "fd00::1", 0),
        ("[fd00::1]:7000", "fd00::1", 7000),
        ("localhost", "localhost", 0),
    ],
)
def test_a_place_to_listen_at(text, host, port):
    assert listening_place(text) == LaneAddress(host=host, port=port)


@pytest.mark.parametrize(
    "text", ["", "0.0.0.0", "::", "[::]:80", "*", "10.0.0.1:99999", "10.0.0.1:x"]
)
def test_a_place_nobody_could_connect_to_is_refused(text):
    with pytest.raises(InvalidSettings, match="expected unix, or the address"):
        listening_place(text)


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("unix:/run/a.sock", False),
        ("tcp:127.0.0.1:1", False),
        ("tcp:127.9.9.9:1", False),
        ("tcp:[::1]:1", False),
        ("tcp:localhost:1", False),
        ("tcp:10.0.0.1:1", True),
        ("tcp:[fd00::1]:1", True),
        ("tcp:localhost.example:1", True),
        ("tcp:127.0.0.1.example:1", True),
    ],
)
def test_what_is_not_known_to_stay_leaves_the_machine(text, leaves):
    assert lane_address(text).leaves_the_machine is leaves
