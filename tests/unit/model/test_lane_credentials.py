"""Credentials of lanes: what is enough, what is refused, and that no secret is shown."""

import pytest

from multiconnect import InvalidSettings, LaneCredentials

ONE, TWO, THREE = ("one" * 11, "two" * 11, "three" * 11)


def test_a_text_holds_one_secret_or_two():
    assert LaneCredentials.parse(f"{ONE}\n").secrets == (ONE,)
    assert LaneCredentials.parse(f"{ONE}\n{TWO}\n").secrets == (ONE, TWO)


def test_nothing_proves_nothing():
    assert not LaneCredentials.parse("")
    assert LaneCredentials.parse(ONE)
    assert LaneCredentials.parse("", "c", "k", "a")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((f"{ONE} {TWO} {THREE}",), "has 3 secrets; expected at most 2"),
        ((f"{ONE} s3cret",), "of 6 characters; expected at least 32"),
        (("", "cert.pem"), "belong together"),
        (("", "cert.pem", "key.pem"), "belong together"),
        (("", "", "", "ca.pem"), "belong together"),
    ],
)
def test_what_would_prove_nothing_is_refused(arguments, words):
    with pytest.raises(InvalidSettings, match=words) as caught:
        LaneCredentials.parse(*arguments)
    assert not any(secret in str(caught.value) for secret in (ONE, TWO, "s3cret"))


def test_no_secret_is_shown():
    assert ONE not in repr(LaneCredentials.parse(ONE))
