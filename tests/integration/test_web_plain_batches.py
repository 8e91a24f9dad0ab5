"""The short way of a batch: nobody can tell it from the long one, except by what it costs."""

import re
from unittest.mock import patch

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multiconnect.dataplane.body_messages import BodyMessages
from multiconnect.web.handlers import batches
from tests.integration.test_web_properties import a_server
from tests.unit.web.serving import Answer, Served, message, serving

PATH = "/v1/messages/batch"
PLAIN = [
    message("1631"),
    message("+16315550000", "two"),
    message("1633", "é" * 2048),
    {"to": "7" * 20, "text": {"body": "a\nb", "preview_url": True}},
]
NOT_PLAIN = [
    message("+1 (632) 5"),
    message("alice@example.org"),
    message(ttl=5),
    message(text=""),
    {"to": "1634", "type": "image", "image": {"id": "7"}},
    {"to": 5},
    [],
]
ENTRIES = st.one_of(st.sampled_from(PLAIN), st.sampled_from(PLAIN), st.sampled_from(NOT_PLAIN))
LINES = st.one_of(ENTRIES.map(orjson.dumps), st.sampled_from([b"", b" \t", b"{", b"\xff"]))
NEWLINES = st.sampled_from([b"\n", b"\r\n", b" \n\n\x0b"])


async def no_short_way(body: bytes) -> None:
    """Stands in for the search for a batch that is plain."""
    del body


def outcome(served: Served, answer: Answer) -> tuple[object, ...]:
    """Return what came of a batch: the answer but for its ids, and what is stored."""
    headers = {name: value for name, value in answer.headers.items() if name != "Date"}
    body = re.sub(rb"gBEG[\w-]{20}", b"ID", answer.body)
    told = re.findall(r"gBEG[\w-]{20}", answer.body.decode())
    assert told == [one.id for one in served.sender.stored]
    stored = [(one.recipient, one.payload, one.kind) for one in served.sender.stored]
    return answer.status, headers, body, stored


async def both_ways(served: Served, body: bytes) -> list[tuple[object, ...]]:
    found = []
    for long_way in (False, True):
        served.sender.stored.clear()
        with patch.object(batches, "_cut_all", no_short_way if long_way else batches._cut_all):
            found.append(outcome(served, await served.call("POST", PATH, body)))
    return found


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(LINES, max_size=6), NEWLINES)
@example([orjson.dumps(entry) for entry in PLAIN], b"\n")
def test_lines_are_answered_alike_on_both_ways(lines, newline):
    with a_server() as (runner, served):
        short, long = runner.run(both_ways(served, newline.join(lines)))
        assert short == long


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(ENTRIES, max_size=5), st.sampled_from([b"", b" ", b"\n"]), st.booleans())
@example(PLAIN, b"", False)
def test_arrays_are_answered_alike_on_both_ways(entries, space, cut_off):
    body = space + b"[" + (space + b",").join(map(orjson.dumps, entries)) + b"]" + space
    with a_server() as (runner, served):
        short, long = runner.run(both_ways(served, body[:-1] if cut_off else body))
        assert short == long


@pytest.mark.parametrize("form", [b"\n".join, lambda parts: b"[%b]" % b",".join(parts)])
async def test_a_batch_that_is_plain_is_stored_without_an_object_for_each(form):
    raw = [orjson.dumps(entry) for entry in PLAIN] * 400
    seen: list[object] = []
    async with serving() as served:
        send_many = served.sender.send_many

        async def spied(items, **options):
            seen.append(items)
            return await send_many(items, **options)

        with patch.object(served.sender, "send_many", spied):
            answer = await served.call("POST", PATH, form(raw))
        assert answer.status == 201
        assert [stored.payload for stored in served.sender.stored] == raw
        (items,) = seen
        assert isinstance(items, BodyMessages)
        assert served.server.services.figures.messages_accepted == len(raw)
