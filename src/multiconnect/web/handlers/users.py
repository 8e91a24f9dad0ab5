"""`/v1/users` and `/v1/users/{name}`: admins manage users; others see themselves only."""

from __future__ import annotations

from multiconnect.errors import UsageError
from multiconnect.limits import USERS_MAX
from multiconnect.web.errors import ApiError, answer, denied, invalid
from multiconnect.web.fields import json_object, refuse_unknown, text
from multiconnect.web.masking import shown
from multiconnect.web.messages import Request, Response
from multiconnect.web.passwords import PASSWORD_RULE, check_password
from multiconnect.web.principal import UserRole
from multiconnect.web.services import Services
from multiconnect.web.users import (
    NAME_RULE,
    User,
    check_name,
    delete_user,
    list_users,
    read_user,
    store_new_user,
    store_password,
)

_ROLES = {"ROLE_ADMIN": UserRole.ADMIN, "ROLE_USER": UserRole.USER}


async def create(services: Services, request: Request) -> Response:
    """Create a user; 201, or 409 when the name is taken."""
    body = json_object(request.body)
    refuse_unknown(body, ("username", "password", "ROLES"))
    name = text(body, "username", NAME_RULE)
    password = text(body, "password", PASSWORD_RULE)
    role = body.get("ROLES", "ROLE_USER")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid("ROLES", role, "ROLE_ADMIN or ROLE_USER")
    _check("username", name, NAME_RULE)
    _check("password", password, PASSWORD_RULE)
    if len(await list_users(services.control)) >= USERS_MAX:
        raise denied(f"there are {USERS_MAX} users, the most there can be; delete one first")
    hashed = await services.auth.passwords.hash(password)
    created = await store_new_user(services.control, name, hashed, _ROLES[role], must_change=False)
    if not created:
        raise ApiError(409, 1004, f"username is {shown(name)}; expected a name that is not taken")
    return answer(201, {"users": [{"username": name}]})


async def listing(services: Services, request: Request) -> Response:
    """List all users."""
    del request
    users = await list_users(services.control)
    return answer(200, {"users": [_shown(user) for user in users]})


async def get(services: Services, request: Request) -> Response:
    """Show one user."""
    return answer(200, {"users": [_shown(await _chosen(services, request))]})


async def put(services: Services, request: Request) -> Response:
    """Change a password; the user's tokens end with the old one."""
    body = json_object(request.body)
    refuse_unknown(body, ("password",))
    password = text(body, "password", PASSWORD_RULE)
    _check("password", password, PASSWORD_RULE)
    user = await _chosen(services, request)
    hashed = await services.auth.passwords.hash(password)
    if await store_password(services.control, user, hashed) is None:
        raise ApiError(409, 1004, "the user was changed by somebody else meanwhile; try again")
    return answer(200, {"users": [{"username": user.name}]})


async def delete(services: Services, request: Request) -> Response:
    """Delete a user; its tokens end."""
    user = await _chosen(services, request)
    if user.role is UserRole.ADMIN:
        users = await list_users(services.control)
        if not any(u.role is UserRole.ADMIN for u in users if u.name != user.name):
            raise denied("this is the last admin; create another one first")
    await delete_user(services.control, user.name)
    return answer(200, {"users": [{"username": user.name}]})


async def _chosen(services: Services, request: Request) -> User:
    """Return the user in the path, if the caller may know of it."""
    name, caller = request.params["name"], request.principal
    if caller is None or (caller.role is not UserRole.ADMIN and caller.username != name):
        raise denied("other users are for admins; this user is not one")
    user = await read_user(services.control, name)
    if user is None:
        raise ApiError(404, 1006, f"there is no user {shown(name)}")
    return user


def _shown(user: User) -> dict[str, str]:
    return {"username": user.name, "ROLES": f"ROLE_{user.role.upper()}"}


def _check(field: str, value: str, expected: str) -> None:
    try:
        (check_name if field == "username" else check_password)(value)
    except UsageError:
        raise invalid(field, value, expected) from None
