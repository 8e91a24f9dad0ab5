import random

import pytest

from multiconnect.limits import SIMULATOR_HOLD_MAX_S
from multiconnect.upstream.simulator.behaviour import Answer, Behaviour, Verdict
from multiconnect.upstream.simulator.faults import parse_script
from tests.unit.upstream.simulator.requests import request


def behaviour(script, chance=None):
    return Behaviour(parse_script(script), chance or random.Random(1).random)


def decide(script, **fields):
    return behaviour(script).decide(request(**fields), 0.0)


def test_without_a_script_everything_is_taken_at_once():
    assert decide([]) == Verdict(takes_effect=True)


@pytest.mark.parametrize(
    ("fault", "takes_effect", "answer", "delay_s"),
    [
        ({"fault": "error", "code": 131016, "delay_ms": 5}, False, Answer.REPLY, 0.005),
        ({"fault": "timeout"}, False, Answer.CLOSE, SIMULATOR_HOLD_MAX_S),
        ({"fault": "timeout", "delay_ms": 50}, False, Answer.CLOSE, 0.05),
        ({"fault": "reset"}, False, Answer.RESET, 0),
        ({"fault": "slow", "delay_ms": 50}, True, Answer.REPLY, 0.05),
        ({"fault": "lose_reply"}, True, Answer.CLOSE, 0),
        ({"fault": "fail_later", "code": 131047}, True, Answer.REPLY, 0),
    ],
)
def test_each_fault(fault, takes_effect, answer, delay_s):
    found = decide([fault])
    assert (found.takes_effect, found.answer, found.delay_s) == (takes_effect, answer, delay_s)
    assert found.fault == fault["fault"]
    assert (found.refusal is not None) == (fault["fault"] == "error")


def test_a_later_failure_has_a_code():
    assert decide([{"fault": "fail_later"}]).fails_with == 131026
    assert decide([{"fault": "fail_later", "code": 131047}]).fails_with == 131047


def test_a_fault_is_used_up_and_the_next_one_takes_over():
    script = [
        {"fault": "reset", "times": 2, "match": {"to_prefix": "1"}},
        {"fault": "slow", "times": 1},
    ]
    made = behaviour(script)
    assert made.decide(request(recipient="49"), 0.0).fault == "slow"
    assert [made.decide(request(), 0.0).fault for _ in range(4)] == ["reset", "reset", "", ""]


def test_chance_decides_and_a_seed_repeats_it():
    script = [{"fault": "reset", "probability": 0.3}]

    def run():
        made = behaviour(script, random.Random(5).random)
        return [made.decide(request(), 0.0).fault for _ in range(1000)]

    assert run() == run()
    assert 200 < run().count("reset") < 400
    assert behaviour([{"fault": "reset", "probability": 0}]).decide(request(), 0.0).fault == ""


def test_latency_lies_between_its_bounds():
    made = behaviour({"latency_ms": [2, 6]})
    delays = [made.decide(request(), 0.0).delay_s for _ in range(200)]
    assert 0.002 <= min(delays) < 0.003
    assert 0.005 < max(delays) <= 0.006


def test_the_pair_rate_is_enforced_per_number_and_recipient():
    made = behaviour({"pair_rate": True})

    def code(now_s, **fields):
        refusal = made.decide(request(**fields), now_s).refusal
        return refusal and refusal.code

    assert [code(0.0) for _ in range(46)] == [None] * 45 + [131056]
    assert code(0.0, recipient="49") is None
    assert code(0.0, phone_number_id="other") is None
    assert [code(6.0), code(6.0)] == [None, 131056]


def test_the_number_s_rate_is_enforced():
    made = behaviour({"number_rate": 10})
    refused = [made.decide(request(recipient=str(n)), 0.0).refusal is not None for n in range(12)]
    assert refused == [False] * 10 + [True] * 2
    assert made.decide(request(), 1.0).takes_effect


def test_a_refused_message_has_no_effect_even_under_a_fault_that_gives_it_one():
    made = behaviour({"number_rate": 1, "faults": [{"fault": "lose_reply"}]})
    assert made.decide(request(), 0.0).takes_effect
    found = made.decide(request(recipient="49"), 0.0)
    assert (found.takes_effect, found.answer) == (False, Answer.REPLY)


def test_what_is_refused_by_a_fault_does_not_use_up_the_rate():
    made = behaviour({"number_rate": 1, "faults": [{"fault": "error", "code": 1, "times": 5}]})
    assert [made.decide(request(), 0.0).takes_effect for _ in range(6)] == [False] * 5 + [True]
