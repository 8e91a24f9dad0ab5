"""The reader of requests, without a socket."""

import asyncio
import itertools

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.clock import SystemClock
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.errors import ApiError
from multiconnect.web.http_protocol import DONE, IDLE, RequestReader
from multiconnect.web.messages import Request

BODY_MAX = 100


def read(pieces):
    """Feed pieces to a reader; return what it understood and the reader."""

    async def run():
        found: list[Request] = []
        shared = ConnectionSet(SystemClock())
        reader = RequestReader(shared, "peer", lambda _: BODY_MAX, found.append)
        for piece in pieces:
            reader.feed(piece)
        return found, reader

    return asyncio.run(run())


def seen(requests):
    return [(r.method, r.path, r.query, r.headers, r.body, r.keep_alive) for r in requests]


NAMES = st.sampled_from([b"X-A", b"Accept", b"x-b", b"Cookie"])
VALUES = st.text("abc ,;=\xe9", max_size=10).map(lambda text: text.strip().encode("latin-1"))
PATHS = st.sampled_from([b"/", b"/livez", b"/v1/messages?x=1", b"http://h/a"])
BODIES = st.binary(max_size=BODY_MAX)


def written(method, path, headers, body, chunk):
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: h"]
    lines += [b"%b: %b" % header for header in headers]
    if not body:
        return b"\r\n".join(lines) + b"\r\n\r\n"
    if not chunk:
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n" + data + b"0\r\n\r\n"


REQUESTS = st.builds(
    written,
    st.sampled_from([b"GET", b"POST", b"DELETE"]),
    PATHS,
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    BODIES,
    st.integers(0, 7),
)


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=12))
def test_where_the_bytes_are_cut_makes_no_difference(requests, cuts):
    data = b"".join(requests)
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(at)]
    whole, reader = read([data])
    cut, other = read(pieces)
    assert len(whole) == len(requests)
    assert (reader.refusal, other.refusal) == (None, None)
    assert seen(whole) == seen(cut)
    assert reader.phase is other.phase is IDLE


def test_headers_are_lower_case_and_repeated_ones_joined():
    found, _ = read([b"GET /a?b=c HTTP/1.1\r\nHOST: h\r\nX: 1\r\nx: 2\r\nY:\r\n\r\n"])
    assert seen(found) == [
        (b"GET", b"/a", b"b=c", {b"host": b"h", b"x": b"1, 2", b"y": b""}, b"", True)
    ]
    assert found[0].query_value("b") == "c"
    assert found[0].query_value("d") is None


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a?", b"/a", b""),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"//a", b"//a", b""),
        (b"http://h", b"/", b""),
        (b"HTTPS://h:1/a?b", b"/a", b"b"),
        (b"http://h?b", b"/", b"b"),
        (b"*", b"*", b""),
    ],
)
def test_targets_are_split(target, path, query):
    found, _ = read([b"OPTIONS %b HTTP/1.1\r\nHost: h\r\n\r\n" % target])
    assert (found[0].path, found[0].query) == (path, query)


def test_nothing_is_read_after_a_refusal():
    found, reader = read([b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"])
    assert found == []
    assert reader.phase is DONE
    assert isinstance(reader.refusal, ApiError)


def test_nothing_is_read_after_the_last_request():
    last = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    for pieces in ([last + last], [last, last]):
        found, reader = read(pieces)
        assert len(found) == 1
        assert (reader.phase, reader.refusal) == (DONE, None)


def test_a_held_body_is_given_back_when_the_connection_ends(monkeypatch):
    monkeypatch.setattr("multiconnect.web.http_protocol.HTTP_BODY_BYTES_FREE", 10)
    found, reader = read([b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n" + b"x" * 30])
    assert (found, reader._shared.held_bytes) == ([], 30)
    reader.close()
    assert reader._shared.held_bytes == 0


def test_a_held_body_goes_with_its_request(monkeypatch):
    monkeypatch.setattr("multiconnect.web.http_protocol.HTTP_BODY_BYTES_FREE", 10)
    data = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n" + b"x" * 50
    found, reader = read([data[:70], data[70:]])
    assert found[0].held_bytes == reader._shared.held_bytes > 0
    reader.close()
    assert found[0].held_bytes == reader._shared.held_bytes


def test_the_parser_in_use_refuses_what_we_rely_on_it_to_refuse():
    # If a later version becomes lenient, this fails here and not in somebody's proxy.
    lenient = [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    ]
    for data in lenient:
        with pytest.raises(httptools.HttpParserError):
            httptools.HttpRequestParser(object()).feed_data(data)


@given(BODIES, st.sampled_from([0, 7]))
def test_the_rest_of_a_body_is_known_if_its_length_is(body, chunk):
    data = written(b"POST", b"/", [], body, chunk)
    head = data.index(b"\r\n\r\n") + 4
    for end in range(len(data) + 1):
        _, reader = read([data[:end]])
        known = bool(body) and not chunk and end >= head
        assert reader.body_left() == (len(data) - end if known else 0)
