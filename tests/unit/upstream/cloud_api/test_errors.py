import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.limits import RETRY_DELAY_MAX_S, UPSTREAM_RETRY_AFTER_MAX_S
from multiconnect.upstream.cloud_api.errors import DEFAULT_ACTIONS, Action, ErrorTable


def outcome(code=None, status=400, table=None, **fields):
    return (table or ErrorTable()).outcome("why", code=code, status=status, **fields)


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
@pytest.mark.parametrize("code", [1, 2, 4, 80007, 131000, 131016, 133004, 130429, 131056, 131057])
def test_passing_errors_are_tried_again_whatever_the_status(code, status):
    found = outcome(code, status)
    assert (found.status, found.ambiguous, found.code) == ("retry", False, code)


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("code", [0, 100, 190, 200, 299, 368, 131026, 131047, 131051, 132000])
def test_permanent_errors_fail_whatever_the_status(code, status):
    found = outcome(code, status)
    assert (found.status, found.code, found.reason) == ("failed", code, "why")


def test_one_to_one_with_the_documented_retry_set():
    kept = {code for code, action in DEFAULT_ACTIONS.items() if action is not Action.PERMANENT}
    assert kept == {1, 2, 4, 80007, 130429, 131000, 131016, 131056, 131057, 133004}


def test_the_pair_rate_waits_four_to_the_attempt():
    delays = [outcome(131056, attempt=attempt).after_s for attempt in (1, 2, 3, 4, 1000)]
    assert delays == [1, 4, 16, RETRY_DELAY_MAX_S, RETRY_DELAY_MAX_S]


@pytest.mark.parametrize(
    ("status", "expected", "ambiguous"),
    [
        (400, "failed", False),
        (401, "failed", False),
        (404, "failed", False),
        (302, "failed", False),
        (429, "retry", False),
        (408, "retry", True),
        (500, "retry", True),
        (502, "retry", True),
        (504, "retry", True),
    ],
)
@pytest.mark.parametrize("code", [None, 999_999])
def test_without_a_known_code_the_status_decides(status, expected, ambiguous, code):
    found = outcome(code, status)
    assert (found.status, found.ambiguous, found.code) == (expected, ambiguous, code)


@pytest.mark.parametrize(
    ("code", "status", "asked", "waited"),
    [
        (None, 429, 7.0, 7.0),
        (None, 503, 7.0, 7.0),
        (None, 429, None, None),
        (130429, 429, 7.0, 7.0),
        (130429, 429, 0.0, 1.0),
        (131056, 429, 0.5, 1.0),
        (None, 429, 1e9, UPSTREAM_RETRY_AFTER_MAX_S),
        (None, 429, -5.0, 0.0),
    ],
)
def test_retry_after_is_honoured_within_bounds(code, status, asked, waited):
    assert outcome(code, status, retry_after_s=asked).after_s == waited


def test_the_user_may_change_the_table():
    table = ErrorTable({131049: "retry", 131000: Action.PERMANENT, 555: "pause"})
    assert outcome(131049, table=table).status == "retry"
    assert outcome(131000, table=table).status == "failed"
    assert outcome(555, table=table).after_s == 10
    assert outcome(131049).status == "failed"


def test_the_dispatcher_can_ask_what_a_code_means():
    table = ErrorTable()
    assert table.action(131056) is Action.PACE
    assert table.action(130429) is Action.THROTTLE
    assert table.action(131057) is Action.PAUSE
    assert table.action(77) is None
    assert table.action(None) is None


@pytest.mark.parametrize("changes", [{1: "often"}, {"1": "retry"}, {True: "retry"}])
def test_a_wrong_change_is_refused(changes):
    with pytest.raises(InvalidSettings):
        ErrorTable(changes)
