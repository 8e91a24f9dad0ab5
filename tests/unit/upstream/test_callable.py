import logging

import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.model.message import Outcome
from multiconnect.upstream.callable import CallableUpstream, outcomes_of
from tests.unit.upstream.messages import message

SECRET = b'{"type":"text","text":{"body":"the secret text"}}'


def statuses(outcomes):
    return [(outcome.status, outcome.ambiguous) for outcome in outcomes]


def test_none_means_that_all_were_sent():
    assert outcomes_of(None, 3) == [Outcome.sent()] * 3


@pytest.mark.parametrize(
    ("entry", "status", "ambiguous"),
    [
        (None, "sent", False),
        (True, "sent", False),
        ("wamid.1", "sent", False),
        (Outcome.failed("no", 7), "failed", False),
        (Outcome.retry("later", after_s=3), "retry", False),
        (False, "failed", False),
        (OSError("gone"), "retry", True),
        (42, "retry", True),
        (Outcome("weird"), "retry", True),
    ],
)
def test_each_kind_of_entry(entry, status, ambiguous):
    (outcome,) = outcomes_of([entry], 1)
    assert statuses([outcome]) == [(status, ambiguous)]


def test_an_id_is_kept():
    assert outcomes_of(("a", "b"), 2) == [Outcome.sent("a"), Outcome.sent("b")]


@pytest.mark.parametrize("returned", [[], [None], [None] * 3, "ab", b"ab", {"a": 1}, 7, True])
def test_what_does_not_fit_is_an_open_question_for_all(returned):
    assert statuses(outcomes_of(returned, 2)) == [("retry", True)] * 2


async def test_the_function_gets_a_list_and_its_answer_counts():
    got = []

    async def deliver(messages):
        got.append(messages)
        return [m.payload["text"]["body"] for m in messages]

    upstream = CallableUpstream(deliver, batch_max=5, in_flight_max=6)
    await upstream.start()
    sent = message()
    assert await upstream.send((sent,)) == [Outcome.sent("hi")]
    await upstream.aclose()
    assert got == [[sent]]
    assert (upstream.batch_max, upstream.in_flight_max) == (5, 6)


async def test_an_ordinary_function_works_too():
    assert await CallableUpstream(lambda _: ["x"]).send([message()]) == [Outcome.sent("x")]


async def test_a_raise_is_ambiguous_for_all_and_logged_without_the_message(caplog):
    async def deliver(messages):
        raise RuntimeError(f"cannot deliver {messages[0].body!r} to {messages[0].recipient}")

    with caplog.at_level(logging.DEBUG):
        outcomes = await CallableUpstream(deliver).send([message(SECRET), message(SECRET)])
    assert statuses(outcomes) == [("retry", True)] * 2
    assert outcomes[0].reason.startswith("RuntimeError: cannot deliver")
    assert "16315550000" not in outcomes[0].reason
    assert "RuntimeError" in caplog.text
    assert "deliver:" in caplog.text
    assert "secret" not in caplog.text
    assert "1631555" not in caplog.text


def test_what_cannot_be_called_is_refused():
    with pytest.raises(InvalidSettings, match="int"):
        CallableUpstream(3)  # type: ignore[arg-type]
