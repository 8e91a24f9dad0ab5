import hashlib
import hmac

import orjson

from multiconnect.upstream.simulator.simulation import Accepted
from multiconnect.upstream.simulator.webhook_body import Inbound, signature, webhook_body
from tests.unit.upstream.simulator.requests import request

STATUSES = ("sent", "delivered")


def changes(accepted=(), inbound=(), statuses=STATUSES):
    body = orjson.loads(webhook_body(accepted, inbound, statuses))
    assert body["object"] == "whatsapp_business_account"
    found = body["entry"][0]["changes"]
    assert {change["field"] for change in found} == {"messages"}
    assert {change["value"]["messaging_product"] for change in found} == {"whatsapp"}
    return [change["value"] for change in found]


def test_statuses_in_order_with_our_id():
    (value,) = changes([Accepted(request(opaque_id="id-1"), "wamid.1", 7000)])
    assert value["metadata"]["phone_number_id"] == "1065"
    line = {
        "id": "wamid.1",
        "timestamp": "7",
        "recipient_id": "16315550000",
        "biz_opaque_callback_data": "id-1",
    }
    assert value["statuses"] == [{**line, "status": "sent"}, {**line, "status": "delivered"}]


def test_a_failure_replaces_the_statuses():
    (value,) = changes([Accepted(request(), "wamid.1", 0, fails_with=131026)])
    (line,) = value["statuses"]
    assert line["status"] == "failed"
    assert line["errors"][0]["code"] == 131026


def test_a_user_id_has_a_field_of_its_own():
    (value,) = changes([Accepted(request(recipient="US.1"), "wamid.1", 0)], statuses=("sent",))
    assert value["statuses"][0]["recipient_user_id"] == "US.1"
    assert "recipient_id" not in value["statuses"][0]


def test_no_tracking_text_no_field():
    (value,) = changes([Accepted(request(opaque_id=""), "wamid.1", 0)], statuses=("sent",))
    assert "biz_opaque_callback_data" not in value["statuses"][0]


def test_one_change_per_number_and_kind():
    accepted = [
        Accepted(request(phone_number_id=number), f"wamid.{number}", 0)
        for number in ("a", "b", "a")
    ]
    inbound = [Inbound("b", "16315550000", "hello", "wamid.in", 3000)]
    values = changes(accepted, inbound, ("sent",))
    assert [value["metadata"]["phone_number_id"] for value in values] == ["a", "b", "b"]
    assert [len(value.get("statuses", ())) for value in values] == [2, 1, 0]


def test_an_inbound_message():
    (value,) = changes(inbound=[Inbound("1065", "16315550000", "hello", "wamid.in", 3000)])
    assert value["contacts"][0]["wa_id"] == "16315550000"
    assert value["messages"] == [
        {
            "from": "16315550000",
            "id": "wamid.in",
            "timestamp": "3",
            "type": "text",
            "text": {"body": "hello"},
        }
    ]


def test_an_inbound_message_of_a_user_without_a_number():
    (value,) = changes(inbound=[Inbound("1065", "US.1", "hello", "wamid.in", 3000)])
    assert value["messages"][0]["from_user_id"] == "US.1"
    assert value["contacts"][0]["user_id"] == "US.1"


def test_the_signature_is_meta_s():
    expected = hmac.new(b"secret", b"raw body", hashlib.sha256).hexdigest()
    assert signature("secret", b"raw body") == f"sha256={expected}"
