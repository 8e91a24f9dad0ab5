"""What is believed of a token, for how long, and at what price."""

import asyncio

import pytest

from multiconnect.errors import Overloaded, StoreUnavailable
from multiconnect.limits import TOKEN_REFRESH_S, TOKEN_TRUST_S
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from multiconnect.web import token_cache
from multiconnect.web.principal import UserRole
from multiconnect.web.token_cache import TokenCache
from multiconnect.web.tokens import issue_for, revoke_token, token_key
from multiconnect.web.users import store_new_user
from tests.contract.cluster import SetClock
from tests.unit.web.serving import until


class Scene:
    """A store with one user and token, whose reads are counted and may be held or fail."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.control = MemoryControl(MemoryState(self.clock))
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.cache = TokenCache(self, self.clock)  # type: ignore[arg-type]
        self.token = b""

    async def document(self, kind, key):
        self.reads += kind == "token"
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return await self.control.document(kind, key)

    async def issue(self, lifetime_s=1000.0):
        await store_new_user(self.control, "user", "hash", UserRole.USER, must_change=False)
        user = await self.control.document("user", "user")
        assert user is not None
        credential = str(user.value["credential"])
        issued = await issue_for(self.control, "user", credential, lifetime_s, self.clock)
        return issued.token.encode()


@pytest.fixture
async def scene():
    found = Scene()
    found.token = await found.issue()
    yield found
    found.open.set()
    await found.cache.aclose()


async def test_a_token_is_asked_for_once_and_then_believed(scene):
    assert scene.cache.peek(scene.token) is None
    principal = await scene.cache.look_up(scene.token)
    assert principal is not None
    assert (principal.username, principal.role) == ("user", UserRole.USER)
    assert scene.cache.peek(scene.token) is principal
    assert scene.reads == 1


async def test_belief_ends_in_time_counted_from_before_the_question(scene):
    scene.open.clear()
    asking = asyncio.create_task(scene.cache.look_up(scene.token))
    await until(lambda: scene.reads == 1)
    scene.clock.advance(TOKEN_TRUST_S)
    scene.open.set()
    assert await asking is not None
    assert scene.cache.peek(scene.token) is None


async def test_what_is_used_is_asked_again_in_the_background(scene):
    await scene.cache.look_up(scene.token)
    scene.clock.advance(TOKEN_REFRESH_S)
    assert scene.cache.peek(scene.token) is not None
    await until(lambda: scene.reads == 2 and not scene.cache._lookups)
    scene.clock.advance(TOKEN_REFRESH_S + 0.1)
    assert scene.cache.peek(scene.token) is not None


async def test_a_revocation_elsewhere_is_seen_in_time(scene):
    await scene.cache.look_up(scene.token)
    await revoke_token(scene.control, token_key(scene.token))
    scene.clock.advance(TOKEN_TRUST_S)
    assert scene.cache.peek(scene.token) is None
    assert await scene.cache.look_up(scene.token) is None
    assert len(scene.cache) == 0


async def test_a_revocation_here_is_seen_at_once_even_by_a_look_up_under_way(scene):
    scene.open.clear()
    asking = asyncio.create_task(scene.cache.look_up(scene.token))
    await until(lambda: scene.reads == 1)
    scene.cache.forget(token_key(scene.token))
    scene.open.set()
    assert await asking is not None, "it was good when it was asked about"
    assert scene.cache.peek(scene.token) is None


async def test_a_token_is_not_believed_beyond_its_end(scene):
    token = await scene.issue(lifetime_s=0.5)
    assert await scene.cache.look_up(token) is not None
    scene.clock.advance(0.6)
    assert scene.cache.peek(token) is None
    assert await scene.cache.look_up(token) is None


async def test_those_who_ask_at_once_share_one_look_up_and_one_may_go_away(scene):
    scene.open.clear()
    asking = [asyncio.create_task(scene.cache.look_up(scene.token)) for _ in range(20)]
    await until(lambda: scene.reads == 1)
    asking[0].cancel()
    scene.open.set()
    found = await asyncio.gather(*asking[1:])
    assert all(found)
    assert scene.reads == 1


async def test_strangers_cannot_crowd_out_who_is_known(scene, monkeypatch):
    monkeypatch.setattr(token_cache, "TOKEN_LOOKUPS_MAX", 5)
    await scene.cache.look_up(scene.token)
    scene.clock.advance(TOKEN_TRUST_S)
    scene.open.clear()
    strangers = [asyncio.create_task(scene.cache.look_up(b"%d" % n)) for n in range(5)]
    await until(lambda: scene.reads == 6)
    with pytest.raises(Overloaded):
        await scene.cache.look_up(b"one more")
    known = asyncio.create_task(scene.cache.look_up(scene.token))
    scene.open.set()
    assert await known is not None
    assert await asyncio.gather(*strangers) == [None] * 5
    assert len(scene.cache) == 1, "strangers are not remembered"


async def test_what_is_remembered_is_bounded(scene, monkeypatch):
    monkeypatch.setattr(token_cache, "TOKENS_CACHED_MAX", 3)
    tokens = [await scene.issue() for _ in range(5)]
    for token in tokens:
        assert await scene.cache.look_up(token) is not None
    assert len(scene.cache) == 3
    assert scene.cache.peek(tokens[-1]) is not None


async def test_a_store_that_does_not_answer_is_not_a_no(scene):
    scene.error = StoreUnavailable("down")
    with pytest.raises(StoreUnavailable):
        await scene.cache.look_up(scene.token)
    scene.error = None
    assert await scene.cache.look_up(scene.token) is not None
