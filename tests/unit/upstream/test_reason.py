import pytest

from multiconnect.limits import UPSTREAM_REASON_CHARS_MAX
from multiconnect.upstream.reason import safe_reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no 16315550042 here", "no …42 here"),
        ("+1 (631) 555-0042 is not valid", "+…42 is not valid"),
        ("US.13491208655302741918", "US.…18"),
        ("(#131056) pair rate limit hit", "(#131056) pair rate limit hit"),
        ("two\nlines\tand  spaces", "two lines and spaces"),
    ],
)
def test_long_numbers_are_masked_and_codes_are_not(text, expected):
    assert safe_reason(text) == expected


def test_a_secret_is_masked():
    assert safe_reason("got Bearer EAAB123x back", secret="EAAB123x") == "got Bearer *** back"


def test_long_text_is_cut():
    reason = safe_reason("x" * 10_000)
    assert len(reason) == UPSTREAM_REASON_CHARS_MAX
    assert reason.endswith("…")
