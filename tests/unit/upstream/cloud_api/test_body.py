import pytest

from multiconnect.errors import InvalidPayload
from multiconnect.model.message import Kind
from multiconnect.upstream.cloud_api.body import cloud_body
from tests.unit.upstream.messages import TEXT, message

FRAME = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": "16315550000"}


def converted(payload, **fields):
    sent = message(payload, **fields)
    body = cloud_body(sent)
    assert body.pop("biz_opaque_callback_data") == sent.id
    return body


def test_a_text():
    assert converted(TEXT) == {**FRAME, "type": "text", "text": {"body": "hi"}}


def test_the_type_may_be_left_out_for_a_text():
    assert converted({"text": {"body": "hi"}})["type"] == "text"


def test_preview_url_moves_into_the_text():
    body = converted({**TEXT, "preview_url": True})
    assert body["text"] == {"body": "hi", "preview_url": True}
    assert "preview_url" not in body


def test_preview_url_in_the_text_wins():
    text = {"body": "hi", "preview_url": False}
    assert converted({**TEXT, "text": text, "preview_url": True})["text"] == text


def test_fields_of_the_old_dialect_are_dropped():
    assert converted({**TEXT, "ttl": {"foo": 1}}) == converted(TEXT)


def test_the_client_s_own_tracking_text_gives_way_to_our_id():
    assert converted({**TEXT, "biz_opaque_callback_data": "mine"}) == converted(TEXT)


def test_what_both_dialects_know_passes_through():
    extra = {"context": {"message_id": "wamid.1"}, "new_field": [1]}
    assert converted({**TEXT, **extra}) == {**converted(TEXT), **extra}


def test_a_cloud_body_stays_what_it_is():
    cloud = {**FRAME, "type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "👍"}}
    assert converted(cloud) == cloud


def test_the_recipient_is_the_message_s_own():
    assert converted({**TEXT, "to": "someone else"})["to"] == "16315550000"


@pytest.mark.parametrize("field", ["to", "recipient"])
def test_a_business_scoped_id_goes_into_recipient_never_into_to(field):
    user = "US.13491208655302741918"
    payload = {field: user, "type": "text", "text": {"body": "hi"}}
    body = converted(payload, recipient=user)
    assert body["recipient"] == user
    assert "to" not in body


def test_a_phone_number_never_goes_into_recipient():
    body = converted({**TEXT, "recipient": "16315550000"})
    assert body["to"] == "16315550000"
    assert "recipient" not in body


def test_a_template_loses_its_namespace_and_media_their_provider():
    image = {"link": "https://x/y.png", "provider": {"name": "p"}}
    payload = {
        "to": "1",
        "type": "template",
        "template": {
            "namespace": "n",
            "name": "hello",
            "language": {"policy": "deterministic", "code": "en"},
            "components": [
                {"type": "header", "parameters": [{"type": "image", "image": image}, "odd"]},
                {"type": "body", "parameters": [{"type": "text", "text": "a"}]},
                {"type": "footer"},
                "odd",
            ],
        },
    }
    plain = {"type": "image", "image": {"link": "https://x/y.png"}}
    assert converted(payload)["template"] == {
        "name": "hello",
        "language": {"policy": "deterministic", "code": "en"},
        "components": [
            {"type": "header", "parameters": [plain, "odd"]},
            {"type": "body", "parameters": [{"type": "text", "text": "a"}]},
            {"type": "footer"},
            "odd",
        ],
    }


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
def test_media_lose_their_provider(kind):
    payload = {"to": "1", "type": kind, kind: {"link": "https://x", "provider": {"name": "p"}}}
    assert converted(payload)[kind] == {"link": "https://x"}


def test_the_payload_is_left_as_it_was():
    sent = message({**TEXT, "preview_url": True})
    before = dict(sent.payload)
    cloud_body(sent)
    assert sent.payload == before


@pytest.mark.parametrize("field", ["message_id", "id"])
def test_marking_as_read_is_a_body_of_its_own(field):
    sent = message({field: "wamid.9", "status": "read"}, kind=Kind.MARK_READ)
    assert cloud_body(sent) == {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.9",
    }


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"not json, but secret", Kind.SEND),
        (b"[1,2]", Kind.SEND),
        ({"type": "image", "text": {"body": "hi"}}, Kind.SEND),
        ({"type": "text", "text": "hi"}, Kind.SEND),
        ({"type": 3}, Kind.SEND),
        ({"status": "read"}, Kind.MARK_READ),
        (TEXT, Kind.STATUS),
    ],
)
def test_what_cannot_be_sent_is_said_without_quoting_it(payload, kind):
    with pytest.raises(InvalidPayload) as caught:
        cloud_body(message(payload, kind=kind))
    assert "secret" not in str(caught.value)
