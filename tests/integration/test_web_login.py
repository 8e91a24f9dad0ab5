"""Logging in and out, who may do what, and who is told to wait."""

import asyncio
import logging

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import (
    LOGIN_FAILURES_FREE,
    LOGIN_FAILURES_LOCK,
    LOGIN_LOCK_S,
    LOGIN_PER_ADDRESS_MAX,
    TOKEN_LIFETIME_S,
    TOKEN_TRUST_S,
)
from multiconnect.web.auth import create_user, delete_user, issue_token, reset_password
from multiconnect.web.passwords import PasswordPool
from tests.unit.web.serving import PASSWORD, basic, message, request, serving, until

LOGIN, LOGOUT = "/v1/users/login", "/v1/users/logout"
SHARDS = "/v1/account/shards"
OTHER = "Another-pass-2"


async def log_in(served, name="clerk", password=PASSWORD, body=None):
    return await served.call("POST", LOGIN, body, token=basic(name, password))


def token_of(answer):
    assert answer.status == 200, answer
    return answer.json["users"][0]["token"]


# --- tokens --------------------------------------------------------------------------------------


async def test_a_token_opens_the_door_for_seven_days():
    async with serving() as served:
        answer = await log_in(served)
        user = answer.json["users"][0]
        assert set(user) == {"token", "expires_after"}
        assert user["expires_after"].endswith("+00:00")
        assert len(user["expires_after"]) == len("2018-03-01 15:29:26+00:00")
        assert answer.headers["Cache-Control"] == "no-store"
        token = token_of(answer)
        assert (await served.call("GET", SHARDS, token=token)).status == 200
        served.clock.ahead_s += TOKEN_LIFETIME_S - 60
        assert (await served.call("GET", SHARDS, token=token)).status == 200
        served.clock.ahead_s += 61
        answer = await served.call("GET", SHARDS, token=token)
        assert (answer.status, answer.error["code"]) == (401, 1005)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_logging_out_ends_the_token_at_once_here_and_soon_elsewhere():
    async with serving() as served, serving() as other:
        other.state.documents = served.state.documents
        token = token_of(await log_in(served))
        for server in (served, other):
            assert (await server.call("GET", SHARDS, token=token)).status == 200
        assert (await served.call("POST", LOGOUT, token=token)).status == 200
        assert (await served.call("GET", SHARDS, token=token)).status == 401
        other.clock.ahead_s += TOKEN_TRUST_S
        assert (await other.call("GET", SHARDS, token=token)).status == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "bearer  x",
        "Token x",
        "Apikey monitoring-key",
        "Bearer " + "x" * 600,
        "Basic Y2xlcms6eA==",
        "\xff",
    ],
)
async def test_without_a_good_token_the_door_stays_shut(header):
    async with serving() as served:
        headers = {"Authorization": header} if header else {}
        for method, path in [("GET", SHARDS), ("POST", "/v1/messages"), ("GET", "/v1/users")]:
            answer = await served.call(method, path, token="", headers=headers)
            assert (answer.status, answer.error["code"]) == (401, 1005)
        assert served.sender.calls == 0


@pytest.mark.parametrize("change", ["deleted", "made anew", "another password"])
async def test_a_token_ends_with_its_user_or_its_password(change):
    async with serving() as served:
        token = token_of(await log_in(served))
        assert (await served.call("GET", SHARDS, token=token)).status == 200
        if change == "another password":
            assert await reset_password(served.control, "clerk", OTHER)
        else:
            assert await delete_user(served.control, "clerk")
        if change == "made anew":
            assert await create_user(served.control, "clerk", PASSWORD)
        served.clock.ahead_s += TOKEN_TRUST_S
        assert (await served.call("GET", SHARDS, token=token)).status == 401


async def test_a_store_that_does_not_answer_shuts_the_door_and_says_why(monkeypatch):
    async with serving() as served:
        token = token_of(await log_in(served))

        async def fail(*_):
            raise StoreUnavailable("down")

        monkeypatch.setattr(served.control, "document", fail)
        answer = await served.call("GET", SHARDS, token=token)
        assert (answer.status, answer.error["code"]) == (503, 1023)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_token_in_use_does_not_ask_the_store_each_time(monkeypatch, scheme):
    async with serving() as served:
        token = f"{scheme} {served.admin}"
        reads = []
        ask = served.control.document

        async def counted(kind, key):
            reads.append(kind)
            return await ask(kind, key)

        monkeypatch.setattr(served.control, "document", counted)
        wire = await served.wire()
        for _ in range(200):
            await wire.send(request("POST", "/v1/messages", message(), token=token))
            assert (await wire.answer()).status == 201
            served.clock.ahead_s += TOKEN_TRUST_S / 20
        await wire.aclose()
        # Ten seconds passed on its clock: about two look-ups a second, of token and user.
        assert 10 <= reads.count("token") <= 25


# --- logging in ----------------------------------------------------------------------------------


async def test_a_wrong_password_and_a_wrong_name_get_the_same_answer():
    async with serving() as served:
        answers = [
            await log_in(served, "clerk", "Wrong-pass-1"),
            await log_in(served, "nobody", "Wrong-pass-1"),
            await log_in(served, "", ""),
            await log_in(served, "clerk", ""),
            await log_in(served, "clerk", "x" * 5000),
            await served.call("POST", LOGIN, token="Basic !!!"),
            await served.call("POST", LOGIN, token="Basic /w=="),
            await served.call("POST", LOGIN, token=""),
            await served.call("POST", LOGIN, token="Bearer x"),
        ]
        assert {answer.status for answer in answers} == {401}
        assert {answer.body for answer in answers} == {answers[0].body}
        assert answers[0].headers["WWW-Authenticate"].startswith("Basic ")


async def test_who_fails_too_often_waits_and_then_is_locked_out_known_or_not():
    async with serving() as served:
        for name in ("clerk", "nobody"):
            for _ in range(LOGIN_FAILURES_FREE):
                assert (await log_in(served, name, "Wrong-pass-1")).status == 401
            told = await log_in(served, name)
            assert (told.status, told.error["code"]) == (429, 1015)
            assert int(told.headers["Retry-After"]) >= 1
            for _ in range(LOGIN_FAILURES_FREE, LOGIN_FAILURES_LOCK):
                served.clock.ahead_s += 65
                assert (await log_in(served, name, "Wrong-pass-1")).status == 401
            served.clock.ahead_s += 65
            locked = await log_in(served, name)
            assert (locked.status, locked.error["code"]) == (403, 1031)
        # Others go on, and so does the user with a token.
        assert (await log_in(served, "admin")).status == 200
        assert (await served.call("GET", SHARDS, token=served.user)).status == 200
        served.clock.ahead_s += LOGIN_LOCK_S
        assert (await log_in(served)).status == 200


async def test_many_guesses_at_once_gain_nothing():
    async with serving() as served:
        guesses = [log_in(served, "clerk", f"Wrong-pass-{n}") for n in range(30)]
        found = [answer.status for answer in await asyncio.gather(*guesses)]
        assert found.count(401) == LOGIN_FAILURES_FREE
        assert found.count(429) == 30 - LOGIN_FAILURES_FREE


async def test_success_forgives():
    async with serving() as served:
        for _ in range(3):
            for _ in range(LOGIN_FAILURES_FREE - 1):
                assert (await log_in(served, "clerk", "Wrong-pass-1")).status == 401
            assert (await log_in(served)).status == 200


async def test_one_address_has_only_so_many_attempts():
    async with serving() as served:
        names = [f"user-{number}" for number in range(LOGIN_PER_ADDRESS_MAX + 5)]
        found = [(await log_in(served, name, "x")).status for name in names]
        assert found == [401] * LOGIN_PER_ADDRESS_MAX + [429] * 5


async def test_more_logins_than_can_be_checked_are_told_to_come_back(monkeypatch):
    monkeypatch.setattr("multiconnect.web.passwords.PASSWORD_CHECKS_MAX", 1)
    async with serving() as served:
        answers = await asyncio.gather(*[log_in(served) for _ in range(4)])
        assert {answer.status for answer in answers} == {200, 503}
        # It was not held against the user.
        assert (await log_in(served)).status == 200


async def test_the_first_login_must_bring_a_new_password():
    async with serving() as served:
        assert await create_user(served.control, "fresh", PASSWORD, must_change=True)
        told = await log_in(served, "fresh")
        assert (told.status, told.error["code"]) == (403, 1024)
        weak = await log_in(served, "fresh", body={"new_password": "weak"})
        assert (weak.status, weak.error["code"]) == (400, 1009)
        assert "weak" not in weak.error["details"]
        assert (await log_in(served, "fresh", body={"new_password": OTHER})).status == 200
        assert (await log_in(served, "fresh")).status == 401
        assert (await log_in(served, "fresh", OTHER)).status == 200


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", 1025), ({"x": 1}, 1010), ({"new_password": 1}, 1009), ([], 1009)]
)
async def test_a_login_with_a_bad_body_is_refused(body, code):
    async with serving() as served:
        answer = await log_in(served, body=body)
        assert (answer.status, answer.error["code"]) == (400, code)


async def test_no_secret_reaches_the_log(caplog):
    caplog.set_level(logging.DEBUG, "multiconnect")
    async with serving() as served:
        token = token_of(await log_in(served))
        await log_in(served, "clerk", "Wrong-pass-1")
        await served.call("GET", SHARDS, token=token)
        await served.call("POST", LOGOUT, token=token)
    assert "login_refused" in caplog.text
    for secret in (token, PASSWORD, "Wrong-pass-1"):
        assert secret not in caplog.text
        assert not any(secret in str(record.__dict__) for record in caplog.records)


# --- users ---------------------------------------------------------------------------------------


async def test_an_admin_manages_users():
    async with serving() as served:
        made = await served.call("POST", "/v1/users", {"username": "third", "password": PASSWORD})
        assert (made.status, made.json["users"]) == (201, [{"username": "third"}])
        twice = await served.call("POST", "/v1/users", {"username": "third", "password": PASSWORD})
        assert (twice.status, twice.error["code"]) == (409, 1004)
        listed = (await served.call("GET", "/v1/users")).json["users"]
        assert {user["username"]: user["ROLES"] for user in listed} == {
            "admin": "ROLE_ADMIN",
            "clerk": "ROLE_USER",
            "third": "ROLE_USER",
        }
        shown = await served.call("GET", "/v1/users/third")
        assert shown.json["users"] == [{"username": "third", "ROLES": "ROLE_USER"}]
        token = token_of(await log_in(served, "third"))
        assert (await served.call("PUT", "/v1/users/third", {"password": OTHER})).status == 200
        served.clock.ahead_s += TOKEN_TRUST_S
        assert (await served.call("GET", SHARDS, token=token)).status == 401
        assert (await log_in(served, "third", OTHER)).status == 200
        assert (await served.call("DELETE", "/v1/users/third")).status == 200
        assert (await served.call("DELETE", "/v1/users/third")).status == 404
        assert (await log_in(served, "third", OTHER)).status == 401


async def test_a_user_is_no_admin():
    async with serving() as served:
        for method, path in [
            ("GET", "/v1/users"),
            ("POST", "/v1/users"),
            ("DELETE", "/v1/users/admin"),
            ("GET", "/v1/users/admin"),
            ("GET", "/v1/settings/application"),
            ("POST", SHARDS),
        ]:
            answer = await served.call(method, path, token=served.user)
            assert (answer.status, answer.error["code"]) == (403, 1005), path
        answer = await served.call("PUT", "/v1/users/admin", {"password": OTHER}, token=served.user)
        assert answer.status == 403
        assert (await served.call("GET", "/v1/users/clerk", token=served.user)).status == 200
        answer = await served.call("PUT", "/v1/users/clerk", {"password": OTHER}, token=served.user)
        assert answer.status == 200


async def test_the_last_admin_stays():
    async with serving() as served:
        assert (await served.call("DELETE", "/v1/users/admin")).status == 403
        admin = {"username": "second", "password": PASSWORD, "ROLES": "ROLE_ADMIN"}
        assert (await served.call("POST", "/v1/users", admin)).status == 201
        assert (await served.call("DELETE", "/v1/users/admin")).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 1008),
        ({"username": "okay"}, 1008),
        ({"username": "abc", "password": PASSWORD}, 1009),
        ({"username": "a:bc", "password": PASSWORD}, 1009),
        ({"username": "x" * 33, "password": PASSWORD}, 1009),
        ({"username": 1234, "password": PASSWORD}, 1009),
        ({"username": "okay", "password": "alllower-1"}, 1009),
        ({"username": "okay", "password": "NoDigits-here"}, 1009),
        ({"username": "okay", "password": "NoSign123"}, 1009),
        ({"username": "okay", "password": "Sh0r-t"}, 1009),
        ({"username": "okay", "password": "Long-1" + "x" * 60}, 1009),
        ({"username": "okay", "password": PASSWORD, "ROLES": "ROLE_KING"}, 1009),
        ({"username": "okay", "password": PASSWORD, "admin": True}, 1010),
    ],
)
async def test_a_bad_user_is_refused_and_its_password_not_shown(body, code):
    async with serving() as served:
        answer = await served.call("POST", "/v1/users", body)
        assert (answer.status, answer.error["code"]) == (400, code)
        assert str(body.get("password", "\0")) not in answer.body.decode()


# --- housekeeping --------------------------------------------------------------------------------


async def test_tokens_that_are_no_good_are_deleted():
    async with serving() as served:
        await issue_token(served.control, "clerk", 1.0)
        dead = await create_user(served.control, "gone", PASSWORD)
        assert dead
        await issue_token(served.control, "gone")
        await delete_user(served.control, "gone")
        served.clock.ahead_s += 2
        assert len(await served.control.documents("token")) == 4
        assert await served.server.services.auth.purge() == 2
        assert len(await served.control.documents("token")) == 2
        assert (await served.call("GET", SHARDS)).status == 200


async def test_nobody_knows_a_token_from_the_store():
    async with serving() as served:
        stored = str(await served.control.documents("token"))
        assert served.admin not in stored
        assert PASSWORD not in str(await served.control.documents("user"))


async def test_the_pool_of_passwords_is_the_server_s_own():
    async with serving() as served:
        pool = served.server.services.auth.passwords
        assert isinstance(pool, PasswordPool)
    await until(lambda: pool._threads._shutdown)
