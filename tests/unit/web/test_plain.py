"""What is taken for plain means exactly what the readers that know everything say it means."""

import asyncio

import orjson
from hypothesis import given
from hypothesis import strategies as st

from multiconnect._native import canonical, plain_head, plain_text
from multiconnect.clock import SystemClock
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.fields import json_object
from multiconnect.web.http_protocol import IDLE, RequestReader
from multiconnect.web.message_schema import recipient_of
from multiconnect.web.messages import Request

LINE = b"POST /v1/messages HTTP/1.1\r\n"
GOOD = b'{"to":"+16315550000","type":"text","text":{"body":"hi"},"preview_url":true}'
HEAD = (
    b"Host: h\r\nAuthorization: Bearer t\r\nContent-Length: %d\r\nAccept: */*\r\n"
    b"Idempotency-Key: k\r\nConnection: keep-alive\r\n\r\n" % len(GOOD)
)
BYTES = st.sampled_from([*(bytes([byte]) for byte in b'\r\n\t\0 :;,"\\{}[]-_+0aZ\x80\xff'), b""])
DAMAGE = st.lists(st.tuples(st.integers(0, 400), BYTES, st.integers(0, 2)), max_size=3)
LINES = st.lists(
    st.sampled_from(
        [
            *(
                b"Transfer-Encoding: chunked",
                b"Content-Length: 5",
                b"Host: g",
                b"Connection: close",
            ),
            *(b"Expect: 100-continue", b"Upgrade: h2c", b"X: y", b"x-y:  z", b"Content-Type: a"),
            *(b"Connection: upgrade", b"Proxy-Connection: close", b" folded", b"Trailer: X"),
        ]
    ),
    max_size=2,
)


def damaged(data, damage):
    for position, replacement, removed in damage:
        at = position % (len(data) + 1)
        data = data[:at] + replacement + data[at + removed :]
    return data


def read(data):
    """Return what the full reader makes of bytes."""

    async def run():
        found: list[Request] = []
        reader = RequestReader(ConnectionSet(SystemClock()), "", lambda _: 1 << 20, found.append)
        reader.feed(data)
        return found, reader

    return asyncio.run(run())


@given(DAMAGE, LINES, st.integers(0, 3))
def test_a_plain_request_is_what_the_parser_reads(damage, lines, place):
    headers = HEAD.split(b"\r\n")
    headers[place:place] = lines
    data = LINE + damaged(b"\r\n".join(headers) + GOOD, damage)
    head = plain_head(data, 0, LINE, 1 << 16)
    if head is None:
        return
    body_at, end, authorization, key = head
    found, reader = read(data[:end])
    assert (reader.refusal, reader.phase, len(found)) == (None, IDLE, 1)
    request = found[0]
    assert (request.method, request.path, request.query) == (b"POST", b"/v1/messages", b"")
    assert request.body == data[body_at:end]
    assert request.headers.get(b"authorization") == authorization
    assert request.headers.get(b"idempotency-key") == key
    assert request.keep_alive
    assert not reader.continue_due


@given(DAMAGE, st.booleans())
def test_a_plain_message_passes_all_checks(damage, spaced):
    whole = orjson.dumps(orjson.loads(GOOD), option=orjson.OPT_INDENT_2) if spaced else GOOD
    message = damaged(whole, damage)
    recipient = plain_text(message)
    if recipient is not None:
        assert canonical(recipient_of(json_object(message))) == recipient == canonical(recipient)


def test_the_plain_is_taken_for_it():
    assert plain_head(LINE + HEAD + GOOD, 0, LINE, 1 << 16) is not None
    assert plain_text(GOOD) == "16315550000"
