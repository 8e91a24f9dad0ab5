"""Base URLs: what is understood, and what is refused without being shown."""

import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.upstream.cloud_api.address import Address, address_of

BOOKS = "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://graph.example", Address("graph.example", 443, True, "graph.example", "")),
        ("HTTPS://Graph.Example:443/", Address("graph.example", 443, True, "graph.example", "")),
        ("http://h:80", Address("h", 80, False, "h", "")),
        ("http://h:8080/a/b/", Address("h", 8080, False, "h:8080", "/a/b")),
        ("http://[::1]:9/x", Address("::1", 9, False, "[::1]:9", "/x")),
        ("http://bücher.example", Address(BOOKS, 80, False, BOOKS, "")),
        ("http://h/a b/ü%20", Address("h", 80, False, "h", "/a%20b/%C3%BC%20")),
    ],
)
def test_a_url_is_taken_apart(url, expected):
    assert address_of(url) == expected


def test_the_origin_is_for_people():
    assert address_of("https://graph.example/base").origin == "https://graph.example"
    assert address_of("http://h:8080").origin == "http://h:8080"


@pytest.mark.parametrize(
    "url",
    [
        *("", "graph.example", "ftp://h", "http://", "http://h:99999", "http://h:x", "http://[::1"),
        *("http://user@h", "http://user:secret@h", "http://h?secret", "http://h#secret"),
        "http://h h",
    ],
)
def test_what_is_no_base_is_refused_without_being_shown(url):
    with pytest.raises(InvalidSettings) as caught:
        address_of(url)
    assert "secret" not in str(caught.value)
