"""The simulator from outside: what it answers, what it counts, the webhooks it sends."""

import asyncio
import hashlib
import hmac

import orjson
import pytest

from multiconnect.model.message_id import encode_id
from multiconnect.upstream.simulator.faults import parse_script
from multiconnect.upstream.simulator.webhooks import WebhookTarget
from tests.unit.upstream.simulator_client import Receiver, body, calling
from tests.unit.upstream.waiting import until

MARK = {"X-Multiconnect-Possible-Duplicate": "1"}
INBOUND = {"from": "16315550000", "text": "hello"}

# --- the send endpoint ---------------------------------------------------------------------------


async def test_a_message_is_answered_and_reported():
    async with calling() as caller:
        status, answer = await caller.send(body())
        report = await caller.report()
    assert status == 200
    assert answer["messages"][0]["id"].startswith("wamid.")
    assert answer["contacts"] == [{"input": "16315550000", "wa_id": "16315550000"}]
    names = ("received", "distinct", "duplicates", "duplicates_unmarked", "out_of_order")
    assert [report[name] for name in names] == [1, 1, 0, 0, 0]
    assert (report["recipients"], report["by_status"]) == (1, {"200": 1})


async def test_planted_repeats_and_disorder_are_reported():
    async with calling() as caller:
        for sequence in (0, 2, 1):
            await caller.send(body(sequence, text=f"seq:{sequence}"))
        await caller.send(body(2))
        await caller.send(body(1), MARK)
        report = await caller.report()
    assert report["received"] == 5
    assert (report["duplicates"], report["duplicates_unmarked"]) == (2, 1)
    assert (report["out_of_order"], report["out_of_order_by_text"]) == (1, 1)


@pytest.mark.parametrize(
    ("value", "headers", "status", "code"),
    [
        (b"{", None, 400, 100),
        (b"", None, 400, 100),
        ({"to": "1"}, None, 400, 100),
        (body(text="x" * 5000), None, 400, 100),
        (b" " * 300_000, None, 413, 100),
        (body(), {"Authorization": ""}, 401, 190),
    ],
)
async def test_bad_requests_are_refused_in_meta_s_shape(value, headers, status, code):
    async with calling() as caller:
        found, answer = await caller.send(value, headers)
        assert (await caller.report())["received"] == 0
    assert (found, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"].startswith(f"(#{code})")


async def test_a_wrong_version_is_refused():
    async with calling() as caller:
        status, _ = await caller.post("/24/1065/messages", body(), {"Authorization": "Bearer t"})
    assert status == 400


async def test_a_user_id_in_to_is_answered_and_dropped():
    async with calling() as caller:
        status, _ = await caller.send(body(to="US.13491208655302741918"))
        report = await caller.report()
    assert (status, report["dropped_bsuid"], report["received"]) == (200, 1, 0)


async def hung_up(fault):
    """Return what a sender reads from a raw connection when `fault` strikes."""
    async with calling(script=parse_script([{"fault": fault}])) as caller:
        host, port = caller.simulator.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        text = orjson.dumps(body())
        head = f"POST /v24.0/1065/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n"
        writer.write(f"{head}Authorization: Bearer t\r\n\r\n".encode() + text)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_reset_is_a_reset_and_a_lost_reply_is_an_end():
    assert await hung_up("lose_reply") == b""
    with pytest.raises(ConnectionResetError):
        await hung_up("reset")


async def test_a_held_request_ends_with_its_connection():
    async with calling(script=parse_script([{"fault": "timeout"}])) as caller:
        before = len(asyncio.all_tasks())
        held = asyncio.create_task(caller.send(body()))
        await until(lambda: caller.simulator.report()["requests"])
        assert len(asyncio.all_tasks()) > before
        held.cancel()
        await until(lambda: len(asyncio.all_tasks()) <= before)


# --- the control endpoints -----------------------------------------------------------------------


async def test_messages_are_listed_in_order_of_arrival():
    async with calling() as caller:
        for sequence in (1, 0, 1):
            await caller.send(body(sequence, to=str(sequence)))
        _, listed = await caller.get("/simulator/messages?since=0")
        _, rest = await caller.get("/simulator/messages?since=2")
        _, of_one = await caller.get("/simulator/recipient/1")
    ids = [encode_id(1, 3, sequence) for sequence in (1, 0, 1)]
    assert [(entry["n"], entry["id"]) for entry in listed] == list(enumerate(ids, 1))
    assert [entry["duplicate"] for entry in listed] == [False, False, True]
    assert set(listed[0]) == {"n", "id", "recipient", "at_ms", "duplicate", "marked"}
    assert rest == listed[2:]
    assert of_one == {"recipient": "1", "messages": [listed[0], listed[2]]}


async def test_a_page_holds_ten_thousand():
    async with calling() as caller:
        ledger = caller.simulator.simulation.ledger
        for n in range(10_001):
            ledger._arrivals.add(None, "x", "1", at_ms=n, duplicate=False, marked=False, previous=n)
        _, first = await caller.get("/simulator/messages")
        _, second = await caller.get(f"/simulator/messages?since={first[-1]['n']}")
    assert (len(first), len(second)) == (10_000, 1)


async def test_faults_are_replaced_live_and_counts_are_reset():
    async with calling() as caller:
        fault = {"match": {"to_prefix": "1"}, "fault": "error", "code": 131016, "times": 1}
        assert await caller.post("/simulator/faults", [fault]) == (200, {"faults": 1})
        assert [(await caller.send(body()))[0] for _ in range(2)] == [503, 200]
        assert (await caller.report())["by_fault"] == {"error": 1}
        _, report = await caller.post("/simulator/reset")
        assert (report["requests"], report["received"]) == (0, 0)
        # What is remembered for judging duplicates is forgotten too, and the script starts anew.
        assert [(await caller.send(body()))[0] for _ in range(2)] == [503, 200]
        assert (await caller.report())["duplicates"] == 0
        await caller.post("/simulator/faults", b"")
        assert (await caller.send(body()))[0] == 200


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("/simulator/faults", [{"fault": "explode"}], "faults[0]"),
        ("/simulator/faults", b"{", "not JSON"),
        ("/simulator/inbound", {"from": "1"}, "text"),
        ("/simulator/inbound", [], "object"),
        ("/simulator/inbound", INBOUND, "no webhook"),
        ("/simulator/configure", {"hook": 1}, "'hook' is unknown"),
        ("/simulator/configure", {"webhook": {"url": "ftp://x"}}, "http://"),
        ("/simulator/configure", {"webhook": {"url": "http://x", "statuses": ["x"]}}, "statuses"),
        ("/simulator/configure", {"webhook": 3}, "object"),
        ("/simulator/configure", {"token": 3}, "token"),
    ],
)
async def test_a_control_request_that_is_not_understood_is_refused(path, value, words):
    async with calling() as caller:
        status, answer = await caller.post(path, value)
    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize("since", ["-1", "x", "1e3", "9" * 30])
async def test_since_must_be_a_number(since):
    async with calling() as caller:
        assert (await caller.get(f"/simulator/messages?since={since}"))[0] == 400


async def test_a_token_may_be_insisted_on_later():
    async with calling() as caller:
        await caller.post("/simulator/configure", {"token": "right"})
        assert (await caller.send(body()))[0] == 401
        assert (await caller.send(body(), {"Authorization": "Bearer right"}))[0] == 200


# --- webhooks ------------------------------------------------------------------------------------


async def test_statuses_are_signed_over_the_raw_body_and_come_in_order():
    async with Receiver() as receiver, calling() as caller:
        target = {"url": receiver.url, "app_secret": "s3cret"}
        await caller.post("/simulator/configure", {"webhook": target})
        wamids = [(await caller.send(body(n)))[1]["messages"][0]["id"] for n in range(3)]
        await until(lambda: len(receiver.statuses()) == 9)
        report = await caller.report()
    for raw, signature in receiver.posts:
        assert signature == "sha256=" + hmac.new(b"s3cret", raw, hashlib.sha256).hexdigest()
        assert signature != "sha256=" + hmac.new(b"other", raw, hashlib.sha256).hexdigest()
    for n, wamid in enumerate(wamids):
        lines = [line for line in receiver.statuses() if line["id"] == wamid]
        assert [line["status"] for line in lines] == ["sent", "delivered", "read"]
        assert {line["biz_opaque_callback_data"] for line in lines} == {encode_id(1, 3, n)}
    assert report["webhooks"]["delivered"] == 3


async def test_many_statuses_travel_in_one_post():
    async with Receiver() as receiver, calling(webhook=None) as caller:
        simulator = caller.simulator
        simulator._webhooks.set_target(WebhookTarget(receiver.url, statuses=("sent",)))
        await asyncio.gather(*(caller.send(body(n)) for n in range(100)))
        await until(lambda: len(receiver.statuses()) == 100)
    assert len(receiver.posts) < 100
    assert all(signature == "" for _, signature in receiver.posts)


async def test_a_webhook_is_repeated_until_it_is_taken():
    async with (
        Receiver(500, 301, 204) as receiver,
        calling(webhook=WebhookTarget(receiver.url, "s")) as caller,
    ):
        await caller.send(body())
        await until(lambda: caller.simulator.report()["webhooks"]["delivered"])
        report = await caller.report()
    assert len({raw for raw, _ in receiver.posts}) == 1
    webhooks = report["webhooks"]
    assert (webhooks["posts"], webhooks["retries"], webhooks["failed"]) == (4, 3, 0)


async def test_attempts_and_queue_are_bounded(monkeypatch):
    place = "multiconnect.upstream.simulator.webhooks"
    monkeypatch.setattr(f"{place}.SIMULATOR_WEBHOOK_ATTEMPTS_MAX", 2)
    monkeypatch.setattr(f"{place}.SIMULATOR_STATUSES_QUEUED_MAX", 6)
    async with calling(webhook=WebhookTarget("http://127.0.0.1:1/hook")) as caller:
        for n in range(5):
            assert (await caller.send(body(n)))[0] == 200
        assert (await caller.report())["webhooks"]["dropped"] >= 1
        await until(lambda: caller.simulator.report()["webhooks"]["failed"])
        await until(lambda: not caller.simulator.report()["webhooks"]["queued"])


async def test_a_user_writes():
    async with Receiver() as receiver, calling(webhook=WebhookTarget(receiver.url)) as caller:
        status, answer = await caller.post("/simulator/inbound", INBOUND)
        await until(lambda: receiver.posts)
    (value,) = receiver.values()
    assert status == 200
    assert value["messages"][0]["id"] == answer["id"]
    assert value["messages"][0]["text"] == {"body": "hello"}
    assert value["contacts"][0]["wa_id"] == "16315550000"


async def test_a_message_may_fail_later():
    script = parse_script([{"fault": "fail_later", "code": 131047}])
    async with (
        Receiver() as receiver,
        calling(script=script, webhook=WebhookTarget(receiver.url)) as caller,
    ):
        assert (await caller.send(body()))[0] == 200
        await until(receiver.statuses)
    (line,) = receiver.statuses()
    assert (line["status"], line["errors"][0]["code"]) == ("failed", 131047)


async def test_webhooks_may_be_switched_off():
    async with Receiver() as receiver, calling(webhook=WebhookTarget(receiver.url)) as caller:
        await caller.post("/simulator/configure", {"webhook": None})
        await caller.send(body())
        assert (await caller.report())["webhooks"]["queued"] == 0
    assert receiver.posts == []


def test_the_secret_is_not_in_the_repr():
    assert "s3cret" not in repr(WebhookTarget("http://x", "s3cret"))
