"""The rule, the hashes, and what a missing user costs."""

import pytest

from multiconnect.errors import UsageError
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from multiconnect.web.auth import (
    create_user,
    delete_user,
    issue_token,
    list_users,
    new_password,
    read_user,
    reset_password,
)
from multiconnect.web.passwords import (
    _NOBODY,
    check_password,
    hash_password,
    is_outdated,
    verify_password,
)
from multiconnect.web.principal import UserRole
from multiconnect.web.tokens import resolve_token, token_key

GOOD = "Correct-horse-1"


@pytest.mark.parametrize("password", [GOOD, "aB3 5678", "Ünïcode1!", "aB3-" + "x" * 60])
def test_good_passwords(password):
    check_password(password)


@pytest.mark.parametrize(
    "password",
    ["", "aB3-567", "aB3-" + "x" * 61, "alllower-1", "ALLUPPER-1", "NoDigit-s", "NoSign12"],
)
def test_bad_passwords_are_refused_unseen(password):
    with pytest.raises(UsageError) as caught:
        check_password(password)
    assert not password or password not in str(caught.value)


def test_made_up_passwords_are_good_and_different():
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        check_password(password)


def test_a_hash_fits_its_password_alone():
    hashed = hash_password(GOOD)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not is_outdated(hashed)
    assert verify_password(hashed, GOOD)
    for wrong in ("", GOOD + " ", GOOD.lower(), "\ud800"):
        assert not verify_password(hashed, wrong)
    assert not verify_password("no hash", GOOD)


def test_nobody_costs_what_somebody_costs_and_has_no_password():
    # The same parameters, so the same work: not measured, because this machine is shared.
    assert _NOBODY.split("$")[:4] == hash_password(GOOD).split("$")[:4]
    assert not is_outdated(_NOBODY)
    assert not verify_password(None, GOOD)


async def test_users_and_tokens_for_the_command_line():
    control = MemoryControl(MemoryState())
    assert await create_user(control, "admin", GOOD, "admin")
    assert not await create_user(control, "admin", GOOD)
    for name, password in [("abc", GOOD), ("okay", "weak"), ("a b c d", GOOD)]:
        with pytest.raises(UsageError):
            await create_user(control, name, password)
    with pytest.raises(ValueError, match="king"):
        await create_user(control, "okay", GOOD, "king")
    user = await read_user(control, "admin")
    assert user is not None
    assert user.role is UserRole.ADMIN
    assert user.password_hash not in repr(user)
    assert [one.name for one in await list_users(control)] == ["admin"]
    issued = await issue_token(control, "admin", 60.0)
    assert issued.token not in repr(issued)
    assert len(issued.token) >= 43
    key = token_key(issued.token.encode())
    principal = await resolve_token(control, key, issued.expires_at_ms - 1)
    assert principal is not None
    assert (principal.username, principal.role) == ("admin", UserRole.ADMIN)
    assert await resolve_token(control, key, issued.expires_at_ms) is None
    assert await reset_password(control, "admin", "Another-pass-2")
    assert await resolve_token(control, key, 0) is None
    assert not await reset_password(control, "nobody", "Another-pass-2")
    assert await delete_user(control, "admin")
    assert not await delete_user(control, "admin")
    with pytest.raises(UsageError, match="no user"):
        await issue_token(control, "admin")
