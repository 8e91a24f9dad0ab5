import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.model.message import Kind, Outcome
from multiconnect.upstream.cloud_api.codec import CloudApiCodec, retry_after_s
from tests.unit.upstream.messages import message

CODEC = CloudApiCodec("v24.0", "1065")
ACCEPTED = {"messaging_product": "whatsapp", "messages": [{"id": "wamid.X"}]}


def decode(reply, status=200, headers=None, **fields):
    body = reply if isinstance(reply, bytes) else orjson.dumps(reply)
    return CODEC.decode(message(**fields), status, headers or {}, body)


def error(code, text="(#1) title", details=None):
    data = {"messaging_product": "whatsapp", "details": details}
    return {"error": {"message": text, "code": code, "error_data": data if details else None}}


def test_the_request_has_the_number_s_path_and_a_json_body():
    sent = message()
    path, body = CODEC.encode(sent)
    assert path == "/v24.0/1065/messages"
    assert orjson.loads(body)["biz_opaque_callback_data"] == sent.id


def test_acceptance_carries_the_upstream_s_id():
    assert decode(ACCEPTED) == Outcome.sent("wamid.X")


def test_marked_as_read():
    assert decode({"success": True}, kind=Kind.MARK_READ) == Outcome.sent()
    assert decode({"success": False}, kind=Kind.MARK_READ).ambiguous


@pytest.mark.parametrize(
    "reply",
    [b"", b"<html>", b"[]", b"\xff", {}, {"messages": []}, {"messages": [{}]}, {"messages": [3]}],
)
def test_a_success_that_cannot_be_read_is_an_open_question(reply):
    found = decode(reply)
    assert (found.status, found.ambiguous) == ("retry", True)


def test_an_error_is_decided_by_its_code_and_says_why():
    found = decode(error(132000, "(#132000) count mismatch", "expected 2, got 1"), 500)
    reason = "HTTP 500: (#132000) count mismatch: expected 2, got 1"
    assert found == Outcome.failed(reason, 132000)


def test_a_code_written_as_text_counts():
    assert decode(error("131016"), 503).code == 131016


@pytest.mark.parametrize("code", [None, True, 1.5, "x", [], {}])
def test_a_code_that_is_none_leaves_it_to_the_status(code):
    assert decode(error(code), 400).status == "failed"
    assert decode(error(code), 502).ambiguous


def test_an_error_inside_a_200_is_not_sent():
    assert decode(error(131026), 200).status == "failed"
    assert decode(error(None), 200).ambiguous


def test_a_phone_number_in_the_text_is_masked():
    assert "16315550042" not in decode(error(131030, "16315550042 is not allowed"), 400).reason


def test_a_redirect_names_the_remedy():
    found = decode(b"", 301)
    assert found.status == "failed"
    assert "base URL" in found.reason


def test_the_attempt_sets_the_pace():
    assert decode(error(131056), 429, attempt=3).after_s == 16


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": " 3 "}, 3.0),
        ({"Retry-After": "9" * 400}, 999_999_999.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:28:30 -0000",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            None,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0.0,
        ),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(headers, seconds):
    assert retry_after_s(headers) == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
    | st.sampled_from(["error", "code", "messages", "id", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["error", "code", "messages", "id", "message"]), inner),
    max_leaves=8,
)  # fmt: skip


@given(
    st.one_of(JSON.map(orjson.dumps), st.binary(max_size=40)),
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text(max_size=12)),
)
def test_every_reply_has_one_outcome_and_none_raises(body, status, headers):
    found = CODEC.decode(message(), status, headers, body)
    assert found.status in ("sent", "failed", "retry")
    if found.status == "sent":
        assert 200 <= status < 300
