"""The challenge of a lane, message by message: who gets through, and with what nobody does."""

import orjson
import pytest

from multiconnect.dataplane.challenge import (
    NONCE_BYTES,
    OwnerChallenge,
    RouterChallenge,
    secret_name,
)
from multiconnect.errors import Refused

OLD, NEW, OTHER = ("old" * 11, "new" * 11, "other" * 11)
FIELDS = {"protocol": 1, "events": True}


def nonce(number):
    return bytes([number]) * NONCE_BYTES


def greet(router, owner, change=lambda _: None):
    """Let both ends talk; `change` may alter what is under way, by the name of the step."""
    said = {"hello": orjson.loads(router.hello(FIELDS))}
    change(said)
    raw = orjson.dumps(said["hello"])
    said["challenge"] = owner.challenge(said["hello"], raw)
    change(said)
    said["proof"] = router.answer(said["challenge"])
    change(said)
    owner.check(said["proof"])
    return said


def ends(router=(OLD,), owner=(OLD,), incarnation="a", numbers=(1, 2)):
    return (
        RouterChallenge(router, "a", nonce(numbers[0])),
        OwnerChallenge(owner, incarnation, nonce(numbers[1])),
    )


@pytest.mark.parametrize(
    ("router", "owner", "used"),
    [
        ((OLD,), (OLD,), OLD),
        ((OLD,), (OLD, NEW), OLD),
        ((OLD, NEW), (OLD,), OLD),
        ((OLD, NEW), (OLD, NEW), OLD),
        ((NEW,), (OLD, NEW), NEW),
        ((OLD, NEW), (NEW,), NEW),
    ],
)
def test_ends_with_a_secret_in_common_get_through_while_it_is_replaced(router, owner, used):
    said = greet(*ends(router, owner))
    assert said["challenge"]["secret"] == secret_name(used)


def test_nothing_said_holds_a_secret():
    assert OLD not in str(greet(*ends()))


@pytest.mark.parametrize(("router", "owner"), [((OLD,), (NEW,)), ((OTHER,), (OLD, NEW))])
def test_ends_without_a_secret_in_common_do_not_get_through(router, owner):
    with pytest.raises(Refused, match="other lane secrets"):
        greet(*ends(router, owner))


def test_a_wrong_secret_under_a_right_name_is_found_out():
    router, owner = ends()
    router._secrets = {secret_name(OLD): OTHER}
    challenge = owner.challenge(*both(router))
    with pytest.raises(Refused, match="could not prove that it is a"):
        router.answer(challenge)
    with pytest.raises(Refused, match="could not prove that it knows"):
        owner.check({"proof": "0" * 64})


def both(router):
    raw = router.hello(FIELDS)
    return orjson.loads(raw), raw


def test_an_owner_of_another_incarnation_is_found_out():
    with pytest.raises(Refused, match="could not prove that it is a"):
        greet(*ends(incarnation="b"))


def test_a_proof_is_good_for_one_connection():
    earlier = greet(*ends(numbers=(1, 2)))
    router, owner = ends(numbers=(1, 3))
    owner.challenge(*both(router))
    with pytest.raises(Refused):
        owner.check(earlier["proof"])
    router, _ = ends(numbers=(4, 2))
    router.hello(FIELDS)
    with pytest.raises(Refused):
        router.answer(earlier["challenge"])


def test_a_proof_sent_back_to_its_maker_is_worth_nothing():
    router, owner = ends()
    challenge = owner.challenge(*both(router))
    with pytest.raises(Refused):
        owner.check({"proof": challenge["proof"]})
    proof = router.answer(challenge)
    with pytest.raises(Refused):
        router.answer({**challenge, "proof": proof["proof"]})


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("hello", "events", False),
        ("hello", "protocol", 0),
        ("hello", "secrets", [secret_name(OLD)]),
        ("challenge", "nonce", nonce(9).hex()),
        ("challenge", "secret", secret_name(NEW)),
        ("challenge", "proof", "0" * 64),
        ("proof", "proof", "0" * 64),
    ],
)
def test_nothing_can_be_changed_on_the_way(step, field, value):
    def change(said):
        if list(said)[-1] == step:
            said[step][field] = value

    router, owner = ends((OLD, NEW), (OLD, NEW))
    with pytest.raises(Refused):
        greet(router, owner, change)


@pytest.mark.parametrize(
    "hello",
    [
        {},
        {"nonce": nonce(1).hex()},
        {"secrets": [secret_name(OLD)]},
        {"nonce": "", "secrets": [secret_name(OLD)]},
        {"nonce": "zz" * NONCE_BYTES, "secrets": [secret_name(OLD)]},
        {"nonce": nonce(1).hex()[:-2], "secrets": [secret_name(OLD)]},
        {"nonce": 1, "secrets": [secret_name(OLD)]},
        {"nonce": nonce(1).hex(), "secrets": secret_name(OLD)},
    ],
)
def test_a_hello_without_what_is_wanted_is_refused(hello):
    _, owner = ends()
    with pytest.raises(Refused):
        owner.challenge(hello, orjson.dumps(hello))


@pytest.mark.parametrize("challenge", [{}, {"secret": 1}, {"secret": secret_name(OLD), "nonce": 7}])
def test_half_a_challenge_is_refused(challenge):
    router, _ = ends()
    router.hello(FIELDS)
    with pytest.raises(Refused):
        router.answer(challenge)


@pytest.mark.parametrize("proof", [{}, {"proof": None}, {"proof": ""}, {"proof": "ü" * 64}])
def test_half_a_proof_is_refused(proof):
    router, owner = ends()
    owner.challenge(*both(router))
    with pytest.raises(Refused):
        owner.check(proof)


def test_a_proof_before_the_challenge_is_refused():
    _, owner = ends()
    with pytest.raises(Refused):
        owner.check({"proof": ""})
