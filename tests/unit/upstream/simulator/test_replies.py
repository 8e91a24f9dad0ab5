import orjson

from multiconnect.upstream.simulator.replies import (
    accepted_json,
    refusal_json,
    refusal_of,
    wamid_of,
)
from tests.unit.upstream.simulator.requests import request


def test_an_acceptance_in_meta_s_shape():
    assert orjson.loads(accepted_json(request(), "wamid.1")) == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "16315550000", "wa_id": "16315550000"}],
        "messages": [{"id": "wamid.1"}],
    }


def test_a_user_id_is_not_called_wa_id():
    contact = orjson.loads(accepted_json(request(recipient="US.1"), "wamid.1"))["contacts"][0]
    assert contact == {"input": "US.1", "user_id": "US.1"}


def test_an_error_in_meta_s_shape():
    refusal = refusal_of(131056)
    assert refusal.status == 429
    assert orjson.loads(refusal_json(refusal, "A1")) == {
        "error": {
            "message": "(#131056) (Business Account, Consumer Account) pair rate limit hit",
            "type": "OAuthException",
            "code": 131056,
            "error_data": {
                "messaging_product": "whatsapp",
                "details": "(Business Account, Consumer Account) pair rate limit hit",
            },
            "fbtrace_id": "A1",
        }
    }


def test_a_status_may_be_given_and_a_code_left_out():
    assert refusal_of(131026, 503).status == 503
    assert refusal_of(42).status == 400
    bare = refusal_of(None, 502)
    assert (bare.status, refusal_json(bare, "A1")) == (502, b"")


def test_ids_differ_and_look_like_meta_s():
    ids = {wamid_of(run, n) for run in (b"12345678", b"87654321") for n in range(100)}
    assert len(ids) == 200
    assert all(text.startswith("wamid.") and len(text) <= 128 for text in ids)
