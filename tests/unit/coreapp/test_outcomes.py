"""Whatever a connector says can be acted on and stored; what is not understood is "don't know"."""

import math
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.coreapp.outcomes import sound
from multiconnect.limits import UPSTREAM_ID_CHARS_MAX, UPSTREAM_REASON_CHARS_MAX
from multiconnect.model.message import Outcome

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(1 << 70), st.floats(), st.binary(),
    st.lists(st.integers()), st.text(st.characters()),
)  # fmt: skip


@pytest.mark.parametrize("said", [None, True, "sent", object(), Outcome("delivered"), Outcome("")])
def test_what_is_not_understood_may_have_arrived(said):
    outcome = sound(said)
    assert (outcome.status, outcome.ambiguous) == ("retry", True)


@pytest.mark.parametrize(
    "said",
    [Outcome.sent(), Outcome.sent("wamid.1"), Outcome.failed("no such number", 131026),
     Outcome.retry("busy", after_s=2.5, code=130429), Outcome.retry("?", ambiguous=True)],
)  # fmt: skip
def test_a_plain_outcome_is_what_it_was(said):
    assert sound(said) == said


@settings(derandomize=True, max_examples=300)
@given(st.sampled_from(["sent", "failed", "retry"]), *[ANYTHING] * 5)
def test_any_outcome_can_be_stored(status, upstream_id, code, reason, after_s, ambiguous):
    outcome = sound(Outcome(status, upstream_id, code, reason, after_s, ambiguous))
    assert outcome.status == status
    assert orjson.dumps([outcome.reason, outcome.upstream_id]), "valid text"
    assert len(outcome.reason) <= UPSTREAM_REASON_CHARS_MAX
    assert outcome.upstream_id is None or len(outcome.upstream_id) <= UPSTREAM_ID_CHARS_MAX
    assert outcome.after_s is None or 0 <= outcome.after_s < math.inf
    assert outcome.code is None or -(1 << 63) <= outcome.code < 1 << 63


def test_a_reason_does_not_carry_a_phone_number():
    said = Outcome.failed("131026: +1 631 555 0001 is not on WhatsApp")
    assert "555" not in sound(said).reason
    assert "131026" in sound(said).reason
    assert sound(replace(said, status="retry")).reason == sound(said).reason
