"""`/v1/messages`: what is stored, what is refused, and what a repeat gets."""

import asyncio

import orjson
import pytest

from multiconnect.dataplane.router import Router
from multiconnect.errors import (
    Closed,
    DeadlineExceeded,
    IdempotencyConflict,
    InvalidPayload,
    Overloaded,
    StoreUnavailable,
)
from multiconnect.model.message import Kind, Stream
from multiconnect.model.message_id import decode_id, encode_id
from multiconnect.web.ports import SendPort
from tests.unit.web.sender import MemorySender
from tests.unit.web.serving import message, request, serving, until

PATH = "/v1/messages"
NUMBER = "16315550000"


def the_router_is_a_send_port(router: Router) -> SendPort:
    """Checked by mypy alone."""
    return router


def the_fake_is_one_too(sender: MemorySender) -> SendPort:
    return sender


# --- one message ---------------------------------------------------------------------------------


async def test_the_bytes_that_came_are_stored_and_the_id_leads_to_them():
    async with serving() as served:
        body = b' {"type" : "text","text":{"body":"h\\u00e9"} , "to":"+1 (631) 555-0000"}\n'
        answer = await served.call("POST", PATH, body)
        (stored,) = served.sender.stored
        assert answer.status == 201
        assert (stored.recipient, stored.payload, stored.kind) == (NUMBER, body, Kind.SEND)
        address = decode_id(answer.json["messages"][0]["id"])
        assert address is not None
        assert (address.slot, address.stream) == (stored.slot, Stream.OUTBOUND)
        assert served.sender.timeouts == [served.server.services.settings.send_timeout_s]


async def test_created_is_not_said_before_it_is_durable():
    async with serving() as served:
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(request("POST", PATH, message(), token=served.admin))
        await until(lambda: served.sender.calls == 1)
        assert served.sender.stored == []
        reading = asyncio.create_task(wire.answer())
        assert (await served.call("GET", "/livez")).status == 200
        assert not reading.done()
        served.sender.gate.set()
        assert (await reading).status == 201
        assert len(served.sender.stored) == 1
        await wire.aclose()


async def test_a_time_to_live_becomes_a_moment():
    async with serving() as served:
        before_ms = served.clock.wall_ms()
        assert (await served.call("POST", PATH, message(ttl=60))).status == 201
        (stored,) = served.sender.stored
        assert before_ms + 60_000 <= stored.expires_at_ms <= served.clock.wall_ms() + 60_000


@pytest.mark.parametrize(
    "body",
    [
        {"to": NUMBER, "text": {"body": "no type means text"}},
        {"to": "US.13491208655302741918", "type": "text", "text": {"body": "x"}},
        message(text="x" * 4096, recipient_type="individual", preview_url=True),
        message(messaging_product="whatsapp", biz_opaque_callback_data="x" * 512),
        {"to": NUMBER, "type": "text", "text": {"body": "x", "preview_url": False}},
        {"to": NUMBER, "type": "image", "image": {"link": "https://example.test/a.png"}},
        {"to": NUMBER, "type": "document", "document": {"id": "1", "caption": "c"}},
        {"to": NUMBER, "type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]},
        {"to": NUMBER, "type": "location", "location": {"latitude": 1.5, "longitude": 2}},
        {"to": NUMBER, "type": "interactive", "interactive": {"type": "button", "body": {}}},
        {
            "to": NUMBER,
            "type": "template",
            "template": {"namespace": "n", "name": "t", "language": {"code": "en"}},
        },
    ],
)
async def test_good_messages_are_stored(body):
    async with serving() as served:
        assert (await served.call("POST", PATH, body)).status == 201
        assert served.sender.stored[0].payload == orjson.dumps(body)


BAD = [
    (b"", 1025, "the body is not JSON"),
    (b"{", 1025, "line 1, column 2"),
    (b'{"to": NaN}', 1025, "not JSON"),
    (b'{"to":"\xff"}', 1025, "not JSON"),
    (b"[" * 100_000, 1025, "not JSON"),
    (b"[]", 1009, "the body is a list of 0; expected a JSON object"),
    (b'"text"', 1009, "expected a JSON object"),
    (b"null", 1009, "the body is null"),
    ({"text": {"body": "x"}}, 1008, "to is missing"),
    (message(to=None), 1009, "to is null"),
    (message(to=16315550000), 1009, "to is +16*****00; expected a phone number or user id"),
    (message(to=["1"]), 1009, "to is a list of 1"),
    (message(to=""), 1009, "to: recipient '' is refused because it is empty"),
    (message(to="  "), 1009, "to: "),
    (message(to="a\u0000b"), 1009, "to: "),
    (message(to="x" * 300), 1009, "to: "),
    (message(to="x" * 5000), 1009, "to: "),
    (message(type="telegram"), 1009, "type is 'telegram'; expected one of audio"),
    (message(type=7), 1009, "type is 7"),
    (message(type=["text"]), 1009, "type is a list of 1"),
    (message(surprise=1), 1010, "'surprise' is not a parameter"),
    (message(image={"id": "1"}), 1010, "'image' is not a parameter of this request; type is text"),
    ({"to": NUMBER, "type": "text"}, 1008, "text is missing"),
    ({"to": NUMBER, "type": "text", "text": "hi"}, 1009, "text is 'hi'"),
    ({"to": NUMBER, "type": "text", "text": {}}, 1008, "text.body is missing"),
    ({"to": NUMBER, "type": "text", "text": {"body": ""}}, 1009, "text.body is ''"),
    ({"to": NUMBER, "type": "text", "text": {"body": 1}}, 1009, "text.body is 1"),
    (message(text="x" * 4097), 1001, "text.body has 4097 characters; expected at most 4096"),
    ({"to": NUMBER, "text": {"body": "x", "colour": 1}}, 1010, "'text.colour'"),
    ({"to": NUMBER, "text": {"body": "x", "preview_url": 1}}, 1009, "text.preview_url is 1"),
    (message(recipient_type="group"), 1002, "recipient_type is 'group'; expected individual"),
    (message(recipient_type=1), 1009, "recipient_type is 1"),
    (message(messaging_product="telegram"), 1009, "messaging_product is 'telegram'"),
    (message(preview_url="yes"), 1009, "preview_url is 'yes'; expected true or false"),
    (message(context=[]), 1009, "context is a list of 0"),
    (message(ttl=0), 1009, "ttl is 0"),
    (message(ttl=True), 1009, "ttl is true"),
    (message(ttl=1.5), 1009, "ttl is 1.5"),
    (message(ttl=10**18), 1009, "ttl is "),
    (message(biz_opaque_callback_data="x" * 513), 1001, "has 513 characters"),
    (message(biz_opaque_callback_data=1), 1009, "biz_opaque_callback_data is 1"),
    ({"to": NUMBER, "type": "image"}, 1008, "image is missing"),
    ({"to": NUMBER, "type": "image", "image": []}, 1009, "image is a list"),
    ({"to": NUMBER, "type": "image", "image": {"id": 1}}, 1008, "image.id is missing"),
    ({"to": NUMBER, "type": "contacts", "contacts": {}}, 1009, "contacts is an object of 0"),
    ({"to": NUMBER, "type": "template", "template": {"x": 1}}, 1008, "template.name is missing"),
    (
        {"to": NUMBER, "type": "template", "template": {"name": "t"}},
        1009,
        "template.language is null",
    ),
    (
        {"to": NUMBER, "type": "template", "template": {"name": "t", "language": {}}},
        1008,
        "template.language.code is missing",
    ),
]


async def test_bad_messages_are_refused_with_the_field_the_value_and_what_was_expected():
    async with serving() as served:
        for body, code, details in BAD:
            answer = await served.call("POST", PATH, body)
            assert (answer.status, answer.error["code"]) == (400, code), body
            assert details in answer.error["details"], body
            assert "5550000" not in answer.body.decode()
        assert served.sender.stored == []


@pytest.mark.parametrize(
    ("error", "status", "code", "details"),
    [
        (Overloaded("full: 16315550000 waits"), 503, 1016, "full: +16*****00 waits"),
        (DeadlineExceeded("late"), 503, 1011, "it may or may not be stored"),
        (StoreUnavailable("secret dsn"), 503, 1023, "the store does not answer"),
        (Closed("closed"), 503, 1011, "closed"),
        (InvalidPayload("payload is too large"), 400, 1009, "too large"),
        (IdempotencyConflict("used before"), 409, 1009, "used before"),
        (RuntimeError("secret"), 500, 1014, "an error inside the server"),
        (asyncio.CancelledError(), 503, 1011, "stopping"),
    ],
)
async def test_what_the_sender_raises_has_its_own_answer(error, status, code, details):
    async with serving() as served:
        served.sender.error = error
        answer = await served.call("POST", PATH, message())
        assert (answer.status, answer.error["code"]) == (status, code)
        assert details in answer.error["details"]
        assert "secret" not in answer.body.decode()
        assert ("Retry-After" in answer.headers) == (
            status == 503 and not isinstance(error, asyncio.CancelledError)
        )


# --- idempotency ---------------------------------------------------------------------------------


async def test_the_same_key_and_body_get_the_first_answer_again():
    async with serving() as served:
        key = {"Idempotency-Key": "order 7/1"}
        first = await served.call("POST", PATH, message(), headers=key)
        again = await served.call("POST", PATH, message(), headers=key)
        assert (first.status, again.status) == (201, 201)
        assert first.json == again.json
        assert len(served.sender.stored) == 1
        assert served.sender.stored[0].idempotency_key == "order 7/1"
        other = await served.call("POST", PATH, message(text="other"), headers=key)
        assert (other.status, other.error["code"]) == (409, 1009)
        elsewhere = await served.call("POST", PATH, message(to="49170000000"), headers=key)
        assert elsewhere.status == 201
        figures = served.server.services.figures
        assert (figures.messages_accepted, figures.messages_repeated) == (2, 1)


@pytest.mark.parametrize("key", ["x" * 256, "", " ", "caf\xe9", "a\tb"])
async def test_a_key_that_is_none_is_refused(key):
    async with serving() as served:
        answer = await served.call("POST", PATH, message(), headers={"Idempotency-Key": key})
        assert (answer.status, answer.error["code"]) in {(400, 1001), (400, 1009)}
        assert served.sender.stored == []


async def test_the_longest_key_is_taken():
    async with serving() as served:
        answer = await served.call("POST", PATH, message(), headers={"Idempotency-Key": "x" * 255})
        assert answer.status == 201


# --- marking as read -----------------------------------------------------------------------------


async def test_marking_as_read_is_stored_once():
    async with serving() as served:
        for _ in range(2):
            answer = await served.call("PUT", f"{PATH}/wamid.HBgL%3D", {"status": "read"})
            assert answer.status == 200
            assert answer.json["messages"] == [{"id": "wamid.HBgL="}]
        (stored,) = served.sender.stored
        assert stored.kind is Kind.MARK_READ
        assert orjson.loads(stored.payload) == {"status": "read", "message_id": "wamid.HBgL="}


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("wamid.x", {}, 1008),
        ("wamid.x", {"status": "unread"}, 1009),
        ("wamid.x", {"status": "read", "more": 1}, 1010),
        (encode_id(0, 1, 2), {"status": "read"}, 1009),
        ("x" * 251, {"status": "read"}, 1001),
        ("%00", {"status": "read"}, 1009),
        ("%20", {"status": "read"}, 1009),
    ],
)
async def test_what_cannot_be_marked_as_read_is_refused(name, body, code):
    async with serving() as served:
        answer = await served.call("PUT", f"{PATH}/{name}", body)
        assert (answer.status, answer.error["code"]) == (400, code)
        assert served.sender.stored == []


# --- batches -------------------------------------------------------------------------------------

MIXED = [message(text="0"), {"to": 1}, message(to="\u0001"), b"{", message(text="4"), [1]]


def lines(answer):
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in answer.body.splitlines()]


async def test_a_batch_of_lines_is_stored_line_by_line_and_answered_in_order():
    async with serving() as served:
        raw = [entry if isinstance(entry, bytes) else orjson.dumps(entry) for entry in MIXED]
        answer = await served.call("POST", f"{PATH}/batch", b"\r\n\n ".join(raw))
        assert answer.status == 200
        found = lines(answer)
        assert [line["index"] for line in found] == list(range(6))
        assert [line["errors"][0]["code"] for line in found if "errors" in line] == [
            1009,
            1009,
            1025,
            1009,
        ]
        assert [stored.payload for stored in served.sender.stored] == [raw[0], raw[4]]
        assert [found[0]["id"], found[4]["id"]] == [stored.id for stored in served.sender.stored]
        assert served.sender.calls == 1


async def test_a_batch_may_be_an_array():
    async with serving() as served:
        batch = [message(text=str(number)) for number in range(1200)]
        answer = await served.call("POST", f"{PATH}/batch", batch)
        assert answer.status == 201
        assert [line["id"] for line in lines(answer)] == [s.id for s in served.sender.stored]
        assert [orjson.loads(stored.payload) for stored in served.sender.stored] == batch


async def test_elements_of_an_array_are_stored_as_they_are_written():
    plain = b'{ "to" :"+1631", "text" : {"body":"a\\u0062"} }'
    image = b'{"type":"image","to":"1632","image":{"id":"7","caption":"a ]\\"} ,"}}'
    async with serving() as served:
        for elements in ([plain, plain], [plain, b"[1, {}]", image, b'"]"', b"5", plain]):
            served.sender.stored.clear()
            body = b" [\n" + b" ,\t".join(elements) + b"] "
            answer = await served.call("POST", f"{PATH}/batch", body)
            good = [element for element in elements if element[:1] == b"{"]
            assert answer.status == (201 if len(good) == len(elements) else 200)
            assert [stored.payload for stored in served.sender.stored] == good
            told = [line.get("id") for line in lines(answer)]
            assert [one for one in told if one] == [stored.id for stored in served.sender.stored]
            assert [bool(one) for one in told] == [element in good for element in elements]


async def test_lines_of_every_kind_are_stored_as_they_are_written():
    kinds = [
        {"to": "1631", "type": "image", "image": {"link": "https://a/b"}},
        message("+1 (632) 5", "two"),
        message("1633", "x" * 4096),
        {"to": "1634", "type": "contacts", "contacts": [{}]},
    ]
    async with serving() as served:
        raw = [orjson.dumps(kind) for kind in kinds]
        answer = await served.call("POST", f"{PATH}/batch", b"\n".join(raw))
        assert answer.status == 201
        assert [(stored.recipient, stored.payload) for stored in served.sender.stored] == list(
            zip(["1631", "16325", "1633", "1634"], raw, strict=True)
        )


async def test_a_batch_does_not_keep_others_waiting():
    async with serving() as served:
        batch = b"\n".join([orjson.dumps(message())] * 20_000)
        whole = asyncio.create_task(served.call("POST", f"{PATH}/batch", batch))
        meanwhile = 0
        while not whole.done():
            assert (await served.call("GET", "/livez")).status == 200
            meanwhile += 1
        assert len(lines(await whole)) == 20_000
        assert meanwhile > 5


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, 1025),
        (b"\n \n", 400, 1025),
        (b"[]", 400, 1025),
        (b"[{]", 400, 1025),
        (b"{}\n" * 50_001, 413, 1001),
        (b"[%b]" % b",".join([orjson.dumps(message())] * 50_001), 413, 1001),
        (b"[%b]" % b",".join([b"{}"] * 50_001), 413, 1001),
    ],
)
async def test_a_batch_that_is_none_is_refused(body, status, code):
    async with serving() as served:
        answer = await served.call("POST", f"{PATH}/batch", body)
        assert (answer.status, answer.error["code"]) == (status, code)
        assert served.sender.stored == []


async def test_a_batch_that_cannot_be_stored_says_so_as_a_whole():
    async with serving() as served:
        served.sender.error = StoreUnavailable("down")
        answer = await served.call("POST", f"{PATH}/batch", [message()])
        assert (answer.status, answer.error["code"]) == (503, 1023)


@pytest.mark.parametrize(
    ("batch", "headers", "code"),
    [([message()], {"Idempotency-Key": "k"}, 1010), ([message(ttl=5)], {}, 1010)],
)
async def test_what_only_single_messages_have_is_not_dropped_silently(batch, headers, code):
    async with serving() as served:
        answer = await served.call("POST", f"{PATH}/batch", batch, headers=headers)
        errors = answer.json["errors"]
        assert errors[0]["code"] == code
        assert served.sender.stored == []
