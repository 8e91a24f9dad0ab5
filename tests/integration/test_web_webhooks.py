"""Meta's webhooks coming in: who is believed, what is stored, and when 200 is said."""

import asyncio
import hashlib
import hmac

import orjson
import pytest

from multiconnect._native import slot_of
from multiconnect.errors import DeadlineExceeded, StoreUnavailable
from multiconnect.model.message import Kind, Stream
from multiconnect.model.message_id import encode_id
from tests.unit.web.serving import SETTINGS, request, serving, until

PATH = "/webhooks/whatsapp"
NUMBER = "16315550000"


def signature(body, secret=SETTINGS.app_secret):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def webhook(**value):
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", **value}}
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def status(tracking, name="delivered", **more):
    return {
        "id": "wamid.1",
        "recipient_id": NUMBER,
        "status": name,
        "timestamp": "1",
        "biz_opaque_callback_data": tracking,
        **more,
    }


def incoming(wamid="wamid.in", **more):
    return {"from": NUMBER, "id": wamid, "type": "text", "text": {"body": "hi"}, **more}


async def tell(served, value, **headers):
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    lines = {"X-Hub-Signature-256": signature(body), **headers}
    return await served.call("POST", PATH, body, token="", headers=lines)


async def cluster_of(served):
    return (await served.control.snapshot()).cluster.cluster


# --- verification --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("hub.mode=subscribe&hub.challenge=1158%2B201&hub.verify_token=agreed", 200),
        ("hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong", 403),
        ("hub.mode=subscribe&hub.challenge=1&hub.verify_token=agreed2", 403),
        ("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=agreed", 403),
        ("hub.challenge=1&hub.verify_token=agreed", 403),
        ("hub.mode=subscribe", 403),
        ("&".join(["x=1"] * 60) + "&hub.mode=subscribe&hub.verify_token=agreed", 403),
        ("", 403),
    ],
)
async def test_the_challenge_is_echoed_to_who_knows_the_token(query, code):
    async with serving() as served:
        answer = await served.call("GET", f"{PATH}?{query}", token="")
        assert answer.status == code
        if code == 200:
            assert answer.body == b"1158+201"
            assert answer.headers["Content-Type"].startswith("text/plain")
        else:
            assert answer.error["code"] == 1005


async def test_without_a_token_nobody_is_verified():
    async with serving(verify_token="") as served:
        query = "hub.mode=subscribe&hub.challenge=1&hub.verify_token="
        assert (await served.call("GET", f"{PATH}?{query}", token="")).status == 403


# --- signature -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        signature(b"other"),
        signature(orjson.dumps(webhook(messages=[incoming()])), "other secret"),
        signature(orjson.dumps(webhook(messages=[incoming()])))[7:],
        "sha1=" + "0" * 40,
        "\xff",
    ],
)
async def test_what_is_not_signed_is_not_believed(given):
    async with serving() as served:
        headers = {} if given is None else {"X-Hub-Signature-256": given}
        answer = await served.call(
            "POST", PATH, webhook(messages=[incoming()]), token=served.admin, headers=headers
        )
        assert (answer.status, answer.error["code"]) == (401, 1005)
        assert served.sender.calls == 0
        assert served.server.services.figures.webhook_signatures_refused == 1


async def test_an_empty_secret_signs_nothing():
    async with serving(app_secret="") as served:
        body = orjson.dumps(webhook())
        answer = await tell(served, body, **{"X-Hub-Signature-256": signature(body, "")})
        assert answer.status == 401


async def test_both_secrets_are_good_while_they_change():
    async with serving(old_app_secret="before") as served:
        body = orjson.dumps(webhook(messages=[incoming()]))
        for secret in ("before", SETTINGS.app_secret):
            answer = await tell(served, body, **{"X-Hub-Signature-256": signature(body, secret)})
            assert answer.status == 200
        upper = signature(body).upper().replace("SHA256", "sha256")
        assert (await tell(served, body, **{"X-Hub-Signature-256": upper})).status == 200


# --- statuses ------------------------------------------------------------------------------------


async def test_a_status_goes_to_the_slot_of_its_message():
    async with serving() as served:
        cluster = await cluster_of(served)
        slot = (slot_of(NUMBER) + 1) % 32
        told = [status(encode_id(cluster, slot, 7), name) for name in ("sent", "delivered")]
        answer = await tell(served, webhook(statuses=told))
        assert answer.status == 200
        stored = served.sender.stored
        assert [orjson.loads(one.payload) for one in stored] == told
        assert {(one.kind, one.stream, one.slot) for one in stored} == {
            (Kind.STATUS, Stream.INBOUND, slot)
        }
        assert {one.recipient for one in stored} == {NUMBER}


async def test_statuses_of_others_are_counted_and_not_stored():
    async with serving() as served:
        cluster = await cluster_of(served)
        foreign = [
            status("theirs"),
            status(None),
            status(7),
            status(""),
            status(encode_id(cluster ^ 1, 3, 7)),
            status(encode_id(cluster, 3, 7, stream=1)),
            status(encode_id(cluster, 3, 7)[:-1] + "A"),
            {"id": "wamid.1", "recipient_id": NUMBER, "status": "sent"},
        ]
        malformed = [
            {**status(encode_id(cluster, 3, 7)), "recipient_id": 7},
            {**status(encode_id(cluster, 3, 7)), "status": None},
        ]
        good = [status(encode_id(cluster, 3, 8))]
        assert (await tell(served, webhook(statuses=foreign + malformed + good))).status == 200
        assert len(served.sender.stored) == 1
        figures = served.server.services.figures
        assert (figures.webhook_foreign, figures.webhook_malformed) == (8, 2)
        assert figures.webhook_statuses == 1


# --- messages ------------------------------------------------------------------------------------


async def test_a_message_goes_to_the_slot_of_its_sender_with_what_is_known_of_it():
    async with serving() as served:
        contacts = [
            {"wa_id": "49170", "profile": {"name": "No"}},
            {"wa_id": NUMBER, "profile": {"name": "Jo"}},
        ]
        metadata = {"phone_number_id": "1"}
        value = webhook(messages=[incoming()], contacts=contacts, metadata=metadata)
        assert (await tell(served, value)).status == 200
        (stored,) = served.sender.stored
        assert (stored.kind, stored.stream) == (Kind.INBOUND_MESSAGE, Stream.INBOUND)
        assert (stored.recipient, stored.slot) == (NUMBER, slot_of(NUMBER))
        assert stored.idempotency_key == "wamid.in"
        assert orjson.loads(stored.payload) == {
            **incoming(),
            "profile": {"name": "Jo"},
            "metadata": metadata,
        }


async def test_a_sender_may_have_a_user_id_and_no_number():
    async with serving() as served:
        told = {**incoming(), "from_user_id": "US.13491208655302741918"}
        del told["from"]
        contacts = [{"user_id": "US.13491208655302741918", "profile": {"name": "Jo"}}]
        assert (await tell(served, webhook(messages=[told], contacts=contacts))).status == 200
        (stored,) = served.sender.stored
        assert stored.recipient == "US.13491208655302741918"
        assert orjson.loads(stored.payload)["profile"] == {"name": "Jo"}


async def test_what_is_told_twice_is_stored_once_even_in_other_words():
    async with serving() as served:
        for told in (incoming(), incoming(), incoming(context={"id": "x"})):
            assert (await tell(served, webhook(messages=[told]))).status == 200
        assert len(served.sender.stored) == 1


async def test_the_order_of_what_is_told_is_kept():
    async with serving() as served:
        told = [incoming(f"wamid.{number}") for number in range(2500)]
        half = len(told) // 2
        value = webhook(messages=told[:half])
        value["entry"] += webhook(messages=told[half:])["entry"]
        assert (await tell(served, value)).status == 200
        assert [stored.idempotency_key for stored in served.sender.stored] == [
            message["id"] for message in told
        ]


async def test_what_cannot_be_stored_does_not_hold_up_the_rest():
    async with serving() as served:
        told = [
            incoming("wamid.0", **{"from": "\u0001"}),
            incoming("wamid.1", **{"from": ""}),
            incoming("x" * 300),
            incoming(None),
            incoming("wamid.2"),
            "noise",
        ]
        assert (await tell(served, webhook(messages=told))).status == 200
        assert [stored.idempotency_key for stored in served.sender.stored] == ["wamid.2"]
        assert served.server.services.figures.webhook_malformed == 3


# --- durability ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable("x"), 1023), (DeadlineExceeded("x"), 1011)]
)
async def test_what_is_not_durable_is_to_be_told_again(error, code):
    async with serving() as served:
        served.sender.error = error
        answer = await tell(served, webhook(messages=[incoming()]))
        assert (answer.status, answer.error["code"]) == (503, code)
        served.sender.error = None
        assert (await tell(served, webhook(messages=[incoming()]))).status == 200
        assert len(served.sender.stored) == 1


async def test_ok_is_not_said_before_all_is_durable():
    async with serving() as served:
        served.sender.gate.clear()
        body = orjson.dumps(webhook(messages=[incoming("1"), incoming("2")]))
        wire = await served.wire()
        await wire.send(
            request("POST", PATH, body, headers={"X-Hub-Signature-256": signature(body)})
        )
        await until(lambda: served.sender.calls == 2)
        reading = asyncio.create_task(wire.answer())
        assert (await served.call("GET", "/livez")).status == 200
        assert not reading.done()
        served.sender.gate.set()
        assert (await reading).status == 200
        await wire.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"entry":null}',
        b'{"entry":[null,{"changes":[1,{"value":[]}]}]}',
        b'{"entry":[{"changes":[{"value":{"statuses":{},"messages":"x","contacts":1}}]}]}',
        orjson.dumps(webhook(errors=[{"code": 1}])),
    ],
)
async def test_what_holds_nothing_for_us_is_fine(body):
    async with serving() as served:
        assert (await tell(served, body)).status == 200
        assert served.sender.calls == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1"])
async def test_what_is_signed_and_no_webhook_is_refused(body):
    async with serving() as served:
        assert (await tell(served, body)).status == 400
