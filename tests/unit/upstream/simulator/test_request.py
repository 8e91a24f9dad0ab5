import orjson
import pytest

from multiconnect.upstream.simulator.request import (
    ReadRequest,
    Refusal,
    SendRequest,
    parse_request,
)

GOOD = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "to": "16315550000",
    "type": "text",
    "text": {"body": "hi"},
    "biz_opaque_callback_data": "id-1",
}
WITHOUT_TO = {key: value for key, value in GOOD.items() if key != "to"}


def parse(value, **fields):
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return parse_request("1065", body, **fields)


def test_a_good_request():
    assert parse(GOOD, marked=True) == SendRequest(
        "1065", "16315550000", "to", "text", "hi", "id-1", marked=True
    )


def test_a_user_id_in_recipient():
    found = parse({**WITHOUT_TO, "recipient": "US.1"})
    assert (found.recipient, found.field, found.is_dropped) == ("US.1", "recipient", False)


def test_a_user_id_in_to_will_be_dropped():
    assert parse({**GOOD, "to": "US.1"}).is_dropped


def test_other_types_need_their_object_and_have_no_text():
    image = {**GOOD, "type": "image", "image": {"id": "1"}}
    assert (parse(image).type, parse(image).text) == ("image", "")


def test_a_read_receipt():
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"}
    assert parse(read) == ReadRequest("wamid.1")
    assert isinstance(parse({**read, "message_id": ""}), Refusal)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        ({**GOOD, "messaging_product": "sms"}, "messaging_product"),
        (WITHOUT_TO, "to is required"),
        ({**GOOD, "to": 16315550000}, "to is required"),
        ({**GOOD, "type": "image"}, "type"),
        ({**GOOD, "type": ["text"]}, "type"),
        ({**GOOD, "text": {"body": ""}}, "text.body"),
        ({**GOOD, "text": {"body": "x" * 4097}}, "text.body"),
        ({**GOOD, "text": {"body": 3}}, "text.body"),
        ({**GOOD, "biz_opaque_callback_data": "x" * 513}, "biz_opaque"),
        ({**GOOD, "preview_url": True}, "preview_url"),
        ({**GOOD, "ttl": 3}, "ttl"),
        ({**GOOD, "type": "template", "template": {"namespace": "n"}}, "namespace"),
    ],
)
def test_what_the_cloud_api_refuses_is_refused(value, words):
    found = parse(value)
    assert isinstance(found, Refusal)
    assert (found.status, found.code) == (400, 100)
    assert words in found.details
