"""`multiconnect users create|list|delete|reset-password`: who may log in."""

from __future__ import annotations

import argparse
import sys

from multiconnect.cli.cluster import add_json_argument, add_store_arguments, opened, run_async
from multiconnect.cli.exits import CommandError, Exit
from multiconnect.cli.output import emit, emit_json, say, table
from multiconnect.errors import Refused
from multiconnect.store.port import ControlStore

HELP = "create, list or delete users, or give one a new password"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="create a user; prints the password it gets")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", choices=("user", "admin"), default="user")
    show = actions.add_parser("list", help="list users")
    add_json_argument(show)
    delete = actions.add_parser("delete", help="delete a user and end its sessions")
    delete.add_argument("name", metavar="NAME")
    reset = actions.add_parser("reset-password", help="give a user a new password; prints it")
    reset.add_argument("name", metavar="NAME")
    for action in (create, reset):
        action.add_argument(
            "--password-stdin", action="store_true", help="read the password instead of making one"
        )
    for action in (create, show, delete, reset):
        add_store_arguments(action)


def run(options: argparse.Namespace) -> int:
    """Do what is asked."""
    return run_async(_run(options))


async def _run(options: argparse.Namespace) -> int:
    async with opened(options) as store:
        if options.action == "create":
            return await _create(store.control, options)
        if options.action == "list":
            return await _list(store.control, options)
        if options.action == "delete":
            return await _delete(store.control, options)
        return await _reset(store.control, options)


async def _create(control: ControlStore, options: argparse.Namespace) -> int:
    from multiconnect.web.auth import create_user

    password = _password(options)
    if not await create_user(control, options.name, password, options.role):
        raise Refused(
            f"there is a user {options.name!r} already; `multiconnect users reset-password "
            f"{options.name}` gives it a new password"
        )
    _show(options, password)
    return Exit.OK


async def _list(control: ControlStore, options: argparse.Namespace) -> int:
    from multiconnect.web.auth import list_users

    users = await list_users(control)
    if options.json:
        emit_json([{"name": user.name, "role": str(user.role)} for user in users])
    elif users:
        emit(table(("NAME", "ROLE"), [(user.name, user.role) for user in users]))
    return Exit.OK


async def _delete(control: ControlStore, options: argparse.Namespace) -> int:
    from multiconnect.web.auth import delete_user

    if not await delete_user(control, options.name):
        raise _unknown(options.name)
    return Exit.OK


async def _reset(control: ControlStore, options: argparse.Namespace) -> int:
    from multiconnect.web.auth import reset_password

    password = _password(options)
    if not await reset_password(control, options.name, password):
        raise _unknown(options.name)
    _show(options, password)
    return Exit.OK


def _password(options: argparse.Namespace) -> str:
    from multiconnect.web.auth import new_password

    return sys.stdin.readline().rstrip("\n") if options.password_stdin else new_password()


def _show(options: argparse.Namespace, password: str) -> None:
    if not options.password_stdin:
        say(f"password of {options.name}, shown this once:")
        emit(password)


def _unknown(name: str) -> CommandError:
    return CommandError(Exit.NOT_FOUND, f"there is no user {name!r}; see `multiconnect users list`")
