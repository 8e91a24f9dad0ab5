"""The plain way in: both implementations take the same things, and never what is not plain."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect._native import reference
from multiconnect.dataplane.body_messages import BodyMessages
from tests.twin.twins import STEADY, changed, changes, on_both

LINE = b"POST /v1/messages HTTP/1.1\r\n"
BODY_MAX = 1000
GOOD = b'{"to":"16315550000","type":"text","text":{"body":"hi"}}'


def request(*headers: bytes, body: bytes = b"{}", line: bytes = LINE) -> bytes:
    lines = [b"Host: h", b"Content-Length: %d" % len(body), *headers, b"", b""]
    return line + b"\r\n".join(lines) + body


def lines_of(body: bytes, count: int) -> tuple[int, list[tuple[str, bytes] | bytes]]:
    """Read lines with both implementations, which must agree."""
    found: list[tuple[str, bytes] | bytes] = []
    readable: list[tuple[str, bytes] | bytes] = []
    at, others = native.plain_lines(body, 0, count, found)
    assert reference.plain_lines(body, 0, count, readable) == (at, others)
    assert found == readable
    assert others == sum(isinstance(entry, bytes) for entry in found)
    return at, found


# --- heads ---------------------------------------------------------------------------------------
HEADERS = st.sampled_from(
    [
        *(b"Host: h", b"HOST:h", b"Content-Length: 2", b"content-length: 02", b"Content-Length: 3"),
        *(b"Authorization: Bearer t", b"authorization:  x", b"Idempotency-Key: k"),
        *(b"Connection: keep-alive", b"Connection: Keep-Alive", b"Connection: close"),
        *(b"Accept: */*", b"X-1: a b", b"X:", b"X: ", b"X:  a", b"X: a ", b"X:\ta", b" X: a"),
        *(b"X : a", b"X_Y: a", b": a", b"X", b"X: \xe9", b"X: \x01", b"X: a\rb", b"X: a\nY: b"),
        *(b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: h2c", b"Trailer: x"),
        *(b"Proxy-Connection: close", b"X-Hub-Signature-256: x", b"Content-Type: a"),
    ]
)


@STEADY
@given(st.lists(HEADERS, max_size=6), st.sampled_from([b"", b"{}", b"{}POST", b"{"]))
@example([b"Host: h", b"Content-Length: 2"], b"{}")
def test_heads_are_judged_alike(headers, rest):
    data = LINE + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + rest
    on_both("plain_head", data, 0, LINE, BODY_MAX)


@STEADY
@given(changes)
def test_a_damaged_request_is_judged_alike(damage):
    data = request(b"Authorization: Bearer t", b"Idempotency-Key: k", b"Accept: */*")
    on_both("plain_head", changed(data, damage), 0, LINE, BODY_MAX)


def test_a_plain_request_is_taken_apart():
    data = b"?" + request(b"authorization:Bearer t", b"Idempotency-KEY:  k ".strip(), body=GOOD)
    found = on_both("plain_head", data + b"POST", 1, LINE, BODY_MAX)
    assert found == ("returned", (len(data) - len(GOOD), len(data), b"Bearer t", b"k"))


def test_a_request_that_is_not_all_there_is_not_plain():
    data = request(b"Accept: */*", body=GOOD)
    for end in range(len(data)):
        assert on_both("plain_head", data[:end], 0, LINE, BODY_MAX) == ("returned", None)
    assert on_both("plain_head", data, 0, LINE, len(GOOD))[1] is not None
    assert on_both("plain_head", data, 0, LINE, len(GOOD) - 1)[1] is None
    assert on_both("plain_head", data, 1, LINE, BODY_MAX)[1] is None
    assert on_both("plain_head", data, len(data) + 5, LINE, BODY_MAX)[1] is None


@pytest.mark.parametrize(
    "header",
    [
        *(b"Host: g", b"Content-Length: 2", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
        *(b"Connection: close", b"Connection: upgrade", b"Upgrade: h2c", b"Bare: a\nfeed: b"),
        *(b"Folded: a\r\n b", b"Space : a", b"Nul: \0", b"Carriage: a\rb", b"No colon"),
    ],
)
def test_what_a_proxy_might_read_differently_is_not_plain(header):
    assert on_both("plain_head", request(header), 0, LINE, BODY_MAX) == ("returned", None)


def test_many_headers_are_not_plain():
    for count in range(28, 34):
        found = on_both("plain_head", request(*[b"X: y"] * count), 0, LINE, BODY_MAX)[1]
        assert (found is not None) == (count + 2 <= 32)
    for size in range(3990, 4200):
        head = request(b"X: " + b"y" * size).partition(b"\r\n\r\n")[0]
        found = on_both("plain_head", head + b"\r\n\r\n{}", 0, LINE, BODY_MAX)[1]
        assert (found is not None) == (len(head) - len(LINE) + 4 <= 4096)


# --- messages ------------------------------------------------------------------------------------
SPACES = st.text(" \t\r\n", max_size=2)
DIGITS = st.text("0123456789", min_size=1, max_size=22)
TOS = st.one_of(DIGITS, DIGITS.map("+{}".format), st.sampled_from(["", "+", "a", "1 2", "++1"]))
BODIES = st.one_of(st.text(max_size=40), st.text('"\\/\b\f\n\r\té\u2028😀\0', max_size=10))
EXTRA: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["messaging_product", "recipient_type", "preview_url", "ttl", "context", "x"]),
    st.sampled_from(["whatsapp", "individual", True, False, 5, None, {}, []]),
    max_size=3,
)


@st.composite
def written(draw):
    """Return JSON near a plain text message, with white space, in any order."""
    text = {"body": draw(BODIES), **draw(st.sampled_from([{}, {"preview_url": True}, {"x": 1}]))}
    fields = {"to": draw(TOS), "type": draw(st.sampled_from(["text", "image"])), "text": text}
    fields |= draw(EXTRA)
    fields.pop(draw(st.sampled_from(["", "", "type", "to", "text"])), None)
    items = draw(st.permutations(list(fields.items())))
    ascii_only = draw(st.booleans())
    parts = [
        f"{draw(SPACES)}{_json(k, False)}{draw(SPACES)}:{_json(v, ascii_only)}" for k, v in items
    ]
    return (draw(SPACES) + "{" + ",".join(parts) + "}" + draw(SPACES)).encode()


def _json(value: object, ascii_only: bool) -> str:
    text = orjson.dumps(value).decode()
    if not ascii_only:
        return text
    return "".join(c if c.isascii() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


@STEADY
@given(written())
@example(GOOD)
def test_messages_are_judged_alike(message):
    outcome = on_both("plain_text", message)
    if outcome[1] is not None:
        assert orjson.loads(message)["to"].removeprefix("+") == outcome[1]


@STEADY
@given(written(), changes)
def test_damaged_messages_are_judged_alike(message, damage):
    damaged = changed(message, damage)
    if on_both("plain_text", damaged)[1] is not None:
        orjson.loads(damaged)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b'"\\ud83d\\ude00"',
            b'"\\uD83D\\uDE00"',
            b'"\\u00e9"',
            b'"\\n\\"\\\\\\/"',
            b'"\xc3\xa9"',
        ),
        *(b'"' + b"x" * 4096 + b'"', b'"' + b"\xc3\xa9" * 2048 + b'"'),
    ],
)
def test_texts_that_are_plain(body):
    message = b'{"to":"1","text":{"body":%b}}' % body
    assert orjson.loads(message)
    assert on_both("plain_text", message) == ("returned", "1")


@pytest.mark.parametrize(
    "body",
    [
        *(
            b'"\\ud83d"',
            b'"\\ude00"',
            b'"\\ud83d\\u0041"',
            b'"\\ud83dx"',
            b'"\\u12"',
            b'"\\x"',
            b'"',
        ),
        *(b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\n"', b'"\0"', b'""', b"1", b"null", b'"a'),
        b'"' + b"x" * 4097 + b'"',
    ],
)
def test_texts_that_are_not_plain(body):
    message = b'{"to":"1","text":{"body":%b}}' % body
    assert on_both("plain_text", message) == ("returned", None)


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b" ", b"{}", b"[]", b"{", b'{"to":"1"}', b'{"text":{"body":"a"}}', GOOD + b"x"),
        *(GOOD[:-1] + b',"to":"2"}', GOOD[:-1] + b",}", b'{"to":"1","text":{"body":"a",}}'),
        *(b'{"to":"1","text":{"body":"a","body":"b"}}', b'{"to":"1","text":{}}', GOOD + GOOD),
        *(b'\xef\xbb\xbf{"to":"1","text":{"body":"a"}}', b'{"to":1,"text":{"body":"a"}}'),
        *(b'{"t\\u006f":"1","text":{"body":"a"}}', b'{"to":"1","text":{"body":"a"},"ttl":5}'),
        b'{"to":"1","text":{"body":"a"}' + b" " * 17_000 + b"}",
    ],
)
def test_messages_that_are_not_plain(message):
    assert on_both("plain_text", message) == ("returned", None)


# --- many messages -------------------------------------------------------------------------------
@STEADY
@given(
    st.lists(st.one_of(st.just(GOOD), written(), st.binary(max_size=9)), max_size=5),
    st.integers(1, 4),
)
def test_lines_are_read_alike_and_in_steps(messages, count):
    body = b"\r\n".join(messages)
    at, first = lines_of(body, count)
    _, everything = lines_of(body, 100)
    assert first == everything[:count]
    rest: list[tuple[str, bytes] | bytes] = []
    assert native.plain_lines(body, at, 100, rest)[0] == len(body)
    assert first + rest == everything
    flat = [entry if isinstance(entry, bytes) else entry[1] for entry in everything]
    assert flat == [line for raw in body.split(b"\n") if (line := raw.strip())]


@STEADY
@given(
    st.lists(st.one_of(st.just(GOOD), written(), st.sampled_from([b"", b" ", b"5"])), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n\t"]),
    st.integers(1, 4),
)
def test_lines_are_cut_where_all_are_plain(messages, newline, count):
    body = newline.join(messages)
    at, found = lines_of(body, count)
    outcome = on_both("cut_lines", body, 0, count)
    if any(isinstance(entry, bytes) for entry in found):
        assert outcome == ("returned", None)
    else:
        assert outcome[1][0] == at
        assert list(BodyMessages(body, outcome[1][1])) == found
        assert len(BodyMessages(body, outcome[1][1])) == len(found)
        assert on_both("cut_lines", body, at, 100)[0] == "returned"


@STEADY
@given(changes)
def test_damaged_lines_are_cut_alike(damage):
    on_both("cut_lines", changed(b"\n".join([GOOD, b"", GOOD, GOOD]), damage), 0, 100)


def test_places_outside_of_a_body_are_a_mistake_or_its_end():
    assert on_both("cut_lines", GOOD, -1, 5) == ("raised", ValueError)
    assert on_both("cut_lines", GOOD, len(GOOD), 5) == ("returned", (len(GOOD), b""))
    assert on_both("cut_lines", GOOD, len(GOOD) + 7, 5) == ("returned", (len(GOOD), b""))
    assert on_both("cut_lines", GOOD, 0, 0) == ("returned", (0, b""))


@STEADY
@given(st.lists(st.one_of(st.just(GOOD), written()), max_size=4), SPACES, changes)
def test_arrays_are_cut_alike(messages, space, damage):
    body = (space.encode() + b",").join(messages).join([b"[", b"]"])
    outcome = on_both("cut_array", body, 100)
    if outcome[1] is not None:
        found = list(BodyMessages(body, outcome[1]))
        assert [orjson.loads(raw) for _, raw in found] == orjson.loads(body)
        assert [orjson.loads(raw)["to"].removeprefix("+") for _, raw in found] == [
            recipient for recipient, _ in found
        ]
        assert on_both("cut_array", body, 1)[1] == outcome[1][:16]
    on_both("cut_array", changed(body, damage), 100)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 40), 1 << 40), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@STEADY
@given(st.lists(VALUES, max_size=5), st.booleans())
def test_elements_of_an_array_are_what_it_consists_of(values, indented):
    body = orjson.dumps(values, option=orjson.OPT_INDENT_2 if indented else None)
    outcome = on_both("array_elements", body)
    assert [orjson.loads(raw) for raw in outcome[1]] == values
