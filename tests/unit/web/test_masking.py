"""What errors and logs may show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.web.errors import ApiError, invalid, of_exception
from multiconnect.web.masking import SHOWN_CHARS_MAX, mask_phone, masked, shown


@pytest.mark.parametrize(
    ("number", "expected"),
    [("16315550000", "+16*****00"), ("+1 (631) 555-0000", "+16*****00"), ("12345", "*****")],
)
def test_a_number_keeps_its_first_and_last_two_digits(number, expected):
    assert mask_phone(number) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to 16315550000 and +49 170 1234567.", "to +16*****00 and +49*****67."),
        ("US.13491208655302741918", "US.+13*****18"),
        ("1.2.3, 404, 2026", "1.2.3, 404, 2026"),
    ],
)
def test_numbers_in_running_text_are_masked(text, expected):
    assert masked(text) == expected.replace("+49*****67", mask_phone("491701234567"))


@given(st.text("0123456789+-(). ab", max_size=200), st.text("0123456789", min_size=7, max_size=15))
def test_no_whole_number_is_ever_shown(around, number):
    for text in (number, around + number, number + around, f"{around} {number} {around}"):
        assert number not in masked(text)
        assert number not in shown(text)
        assert number not in shown(int(number)) or number.startswith("0")


@given(st.text(max_size=400))
def test_what_is_shown_is_short_and_printable(text):
    found = shown(text)
    whole = found.removesuffix("…")
    assert whole.isascii()
    assert whole.isprintable()
    assert len(whole) <= 10 * SHOWN_CHARS_MAX + 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        ([1], "a list of 1"),
        ({}, "an object of 0"),
        ("a\nb", r"'a\nb'"),
        (b"x", "bytes"),
        (10**400, "1" + "0" * 47),
    ],
)
def test_values_are_named(value, expected):
    assert shown(value) == (masked(expected) if isinstance(value, int) else expected)


@pytest.mark.parametrize("field", ["pin", "cert", "password", "new_password", "account.pin"])
def test_secrets_are_never_shown(field):
    assert "123456" not in invalid(field, "123456", "six digits").details


def test_an_error_says_field_value_and_what_was_expected():
    error = invalid("ttl", -1, "a positive number")
    assert error.details == "ttl is -1; expected a positive number"
    assert error.entry() == {
        "code": 1009,
        "title": "Parameter value is not valid",
        "details": error.details,
    }


def test_a_bug_has_no_text_for_the_caller():
    assert of_exception(ValueError("secret")) is None
    told = ApiError(404, 1006, "gone")
    assert of_exception(told) is told
