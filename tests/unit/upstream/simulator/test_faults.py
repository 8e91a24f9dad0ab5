import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.upstream.simulator.faults import Fault, FaultKind, Match, Script, parse_script
from tests.unit.upstream.simulator.requests import request


def test_a_list_and_an_object():
    fault = {"match": {"to": "1"}, "fault": "error", "code": 131016, "status": 503, "times": 2}
    expected = Fault(FaultKind.ERROR, Match(to="1"), 131016, 503, 2)
    assert parse_script([fault]) == Script((expected,))
    options = {"seed": 7, "latency_ms": [1, 5], "pair_rate": True, "number_rate": 80}
    assert parse_script({"faults": [fault], **options}) == Script((expected,), 7, (1, 5), True, 80)
    assert parse_script({"latency_ms": 3}).latency_ms == (3, 3)
    assert parse_script([]) == Script()


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"to": "16315550000"}, True),
        ({"to": "1631555000"}, False),
        ({"to_prefix": "1631"}, True),
        ({"to_prefix": "49"}, False),
        ({"type": "text"}, True),
        ({"type": "image"}, False),
        ({"text": "seq:1"}, True),
        ({"text": "seq:2"}, False),
        ({"id": "id-1"}, True),
        ({"id": "id-2"}, False),
        ({"to": "16315550000", "text": "nowhere"}, False),
    ],
)
def test_who_is_meant(match, fits):
    fault = parse_script([{"fault": "reset", "match": match}]).faults[0]
    assert fault.match.fits(request(text="a seq:1", opaque_id="id-1")) is fits


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (3, "script must be an object"),
        ({"fault": []}, "'fault' is unknown"),
        ({"faults": {}}, "faults must not be dict"),
        ({"number_rate": 0}, "number_rate"),
        ({"number_rate": True}, "number_rate"),
        ({"latency_ms": [5, 1]}, "latency_ms"),
        ({"latency_ms": [1]}, "latency_ms"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"seed": 1.5}, "seed"),
        ([{"fault": "explode"}], r"faults\[0\]: fault must be one of error, timeout"),
        ([{"fault": "reset"}, {"fault": "error", "code": "1"}], r"faults\[1\]: code"),
        ([{"fault": "error", "chance": 1}], "'chance' is unknown"),
        ([{"fault": "error", "match": {"from": "1"}}], "'from' is unknown"),
        ([{"fault": "error", "probability": 1.5}], "probability"),
        ([{"fault": "slow", "delay_ms": 1e9}], "delay_ms"),
        ([{"fault": "error", "status": 200}], "status"),
        ([{"match": {}}], "fault must be one of"),
        ([{"fault": "reset"}] * 1001, "1001 faults"),
    ],
)
def test_a_mistake_is_named_with_its_place(script, words):
    with pytest.raises(InvalidSettings, match=words):
        parse_script(script)
