"""`/v1/account/shards`: how many shards there are, and asking for another number.

Guarantees: 201 is said only when the map asked for is in force and nothing is on the move; a
refusal (403) has changed nothing, except the one that says that the resize goes on.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from multiconnect.control.resize import check_set_shards, is_switch_wanted
from multiconnect.errors import StoreUnavailable
from multiconnect.limits import SHARD_COUNTS
from multiconnect.model.cluster import NodeState, Snapshot
from multiconnect.web.account import Account, decoded, read_account
from multiconnect.web.errors import ApiError, answer, invalid, missing, plain, too_many
from multiconnect.web.fields import json_object, refuse_unknown, text
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services

_FIELDS: Final = ("cc", "phone_number", "shards", "pin", "cert")
_PIN: Final = re.compile(r"[0-9]{6}")
_POLL_S: Final = 0.25
#: How often somebody else may be faster in asking for a resize before we give up.
_ATTEMPTS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class _Wish:
    cc: str
    phone_number: str
    shards: int
    cert: bytes
    pin: str


async def get(services: Services, request: Request) -> Response:
    """Say how many shards are in force."""
    del request
    view = await services.snapshots.fresh()
    # The original's answer had no `meta`; who compares it whole must not find one.
    return plain(200, {"account": {"shards": view.snapshot.cluster.shards}})


async def post(services: Services, request: Request) -> Response:
    """Set the number of shards; answer when it is in force."""
    wish = _wish(json_object(request.body))
    account = await read_account(services.control)
    if account is None:
        raise _cannot("no account is registered, so nobody may set its shards")
    _check_account(services, request, wish, account)
    if await _ask(services, wish.shards):
        await _wait_until_in_force(services, wish.shards)
    return answer(201, {})


def _wish(body: dict[str, Any]) -> _Wish:
    refuse_unknown(body, _FIELDS)
    cc = text(body, "cc", "a country code as text, such as 1")
    number = text(body, "phone_number", "the number as text, without country code")
    shards = body.get("shards")
    counts = f"one of {', '.join(map(str, SHARD_COUNTS))}"
    if "shards" not in body:
        raise missing("shards", counts)
    if isinstance(shards, bool) or not isinstance(shards, int) or shards not in SHARD_COUNTS:
        raise invalid("shards", shards, counts)
    cert = decoded(text(body, "cert", "the certificate in base64", chars_max=64 * 1024))
    if cert is None:
        raise invalid("cert", body["cert"], "the certificate in base64")
    pin = body.get("pin") or ""
    if not isinstance(pin, str) or (pin and not _PIN.fullmatch(pin)):
        raise invalid("pin", pin, "six digits as text")
    return _Wish(cc, number, shards, cert, pin)


def _check_account(services: Services, request: Request, wish: _Wish, account: Account) -> None:
    """Raise unless the wish is the account's own; count failures, or the PIN could be guessed."""
    throttle, now_s = services.pin_throttle, services.clock.monotonic()
    if wait := throttle.waits("account", request.peer, now_s):
        raise too_many("too many wrong certificates or PINs; wait before the next", wait.seconds)
    refusal = _refusal(wish, account)
    if refusal is not None:
        throttle.begin("account", request.peer, now_s)
        raise refusal
    throttle.succeeded("account", request.peer)


def _refusal(wish: _Wish, account: Account) -> ApiError | None:
    if wish.cc != account.cc:
        return invalid("cc", wish.cc, "the country code of the registered account")
    if wish.phone_number != account.phone_number:
        return invalid("phone_number", wish.phone_number, "the number of the registered account")
    if not account.has_cert(wish.cert):
        return ApiError(
            400, 1005, "cert is not the registered account's; expected its current certificate"
        )
    if account.pin and not wish.pin:
        return missing("pin", "the account's six digits, because it has two-step verification")
    if account.pin and not account.has_pin(wish.pin):
        return ApiError(400, 1005, "pin is wrong; expected the account's six digits")
    return None


async def _ask(services: Services, shards: int) -> bool:
    """Wish for `shards` unless that is so or is under way; False when there is nothing to do."""
    for _ in range(_ATTEMPTS_MAX):
        snapshot = await services.control.snapshot()
        if in_force(snapshot, shards):
            return False
        refusal = check_set_shards(snapshot, shards)
        if refusal is not None:
            raise _cannot(refusal)
        if snapshot.cluster.target_shards == shards:
            return True
        if await services.control.set_target(shards, snapshot.cluster.generation) is not None:
            return True
    raise _cannot("others keep asking for another number of shards; try again")


async def _wait_until_in_force(services: Services, shards: int) -> None:
    limit_s = services.settings.set_shards_timeout_s
    deadline_s = services.clock.monotonic() + limit_s
    while services.clock.monotonic() < deadline_s:
        try:
            snapshot = await services.control.snapshot()
            if in_force(snapshot, shards):
                return
            if snapshot.cluster.target_shards != shards:
                raise _cannot(
                    f"a later request asked for {snapshot.cluster.target_shards} shards instead"
                )
            await services.control.changed(_POLL_S)
        except StoreUnavailable:
            await asyncio.sleep(_POLL_S)
    raise _cannot(
        f"{shards} shards are not in force after {limit_s:g} s; the resize goes on: "
        "see GET /v1/account/shards, and repeat the request to wait for it"
    )


def in_force(snapshot: Snapshot, shards: int) -> bool:
    """Return whether `shards` is in force and no slot is on its way or without an owner."""
    if snapshot.cluster.shards != shards or is_switch_wanted(snapshot):
        return False
    live = {node.incarnation for node in snapshot.nodes if node.state is not NodeState.DEAD}
    return all(row.owner in live and row.drain_to is None for row in snapshot.slots)


def _cannot(reason: str) -> ApiError:
    return ApiError(403, 1011, reason)
