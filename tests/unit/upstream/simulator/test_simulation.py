import orjson
import pytest

from multiconnect.upstream.simulator.behaviour import Answer
from multiconnect.upstream.simulator.faults import parse_script
from multiconnect.upstream.simulator.simulation import Simulation

BODY = {
    "messaging_product": "whatsapp",
    "to": "16315550000",
    "type": "text",
    "text": {"body": "hi"},
    "biz_opaque_callback_data": "id-1",
}


def react(simulation, body=BODY, authorization="Bearer t", marked=False):
    return simulation.react(
        "1065", authorization, orjson.dumps(body), marked=marked, now_s=0.0, now_ms=5
    )


def simulation(script=(), token=""):
    return Simulation(b"12345678", parse_script(list(script)), token)


def test_a_message_is_taken_answered_counted_and_handed_to_the_webhooks():
    made = simulation()
    reaction = react(made)
    assert (reaction.status, reaction.answer) == (200, Answer.REPLY)
    wamid = orjson.loads(reaction.body)["messages"][0]["id"]
    assert (reaction.accepted.wamid, reaction.accepted.at_ms) == (wamid, 5)
    assert made.report()["received"] == 1
    assert react(made).accepted.wamid != wamid


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic x", "t"])
def test_some_bearer_token_is_needed(authorization):
    made = simulation()
    reaction = react(made, authorization=authorization)
    assert reaction.status == 401
    assert orjson.loads(reaction.body)["error"]["code"] == 190
    assert made.report()["received"] == 0


def test_a_configured_token_is_insisted_on():
    made = simulation(token="right")
    assert react(made, authorization="Bearer wrong").status == 401
    assert react(made, authorization="Bearer right").status == 200


@pytest.mark.parametrize(
    ("fault", "received", "answer"),
    [
        ("error", 0, Answer.REPLY),
        ("timeout", 0, Answer.CLOSE),
        ("reset", 0, Answer.RESET),
        ("slow", 1, Answer.REPLY),
        ("lose_reply", 1, Answer.CLOSE),
    ],
)
def test_what_took_effect_is_counted_whatever_the_sender_learns(fault, received, answer):
    made = simulation([{"fault": fault, "code": 131016}])
    reaction = react(made)
    assert reaction.answer is answer
    assert (reaction.accepted is not None) == bool(received)
    report = made.report()
    assert (report["received"], report["requests"], report["by_fault"]) == (received, 1, {fault: 1})


def test_a_user_id_in_to_is_answered_and_dropped():
    made = simulation()
    reaction = react(made, {**BODY, "to": "US.13491208655302741918"})
    assert (reaction.status, reaction.accepted) == (200, None)
    report = made.report()
    assert (report["dropped_bsuid"], report["received"]) == (1, 0)


def test_a_read_receipt():
    made = simulation()
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.1"}
    assert react(made, body).body == b'{"success":true}'
    assert made.report()["reads"] == 1


def test_a_bad_request_is_refused_and_counted():
    made = simulation()
    assert react(made, {"to": "1"}).status == 400
    assert made.report()["by_status"] == {"400": 1}


def test_reset_forgets_the_counts_and_starts_the_script_anew():
    made = simulation([{"fault": "error", "code": 1, "times": 1}])
    assert [react(made).status, react(made).status] == [500, 200]
    made.reset()
    assert made.report()["requests"] == 0
    assert react(made).status == 500


def test_a_new_script_is_in_force_at_once():
    made = simulation()
    made.set_script(parse_script([{"fault": "reset"}]))
    assert react(made).answer is Answer.RESET
