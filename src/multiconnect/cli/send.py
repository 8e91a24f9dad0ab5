"""`multiconnect send TO TEXT`: one text message, durable when the command returns."""

from __future__ import annotations

import argparse

from multiconnect.cli.cluster import (
    add_json_argument,
    add_lane_arguments,
    add_store_arguments,
    check_exists,
    lane_credentials,
    resolved,
    run_async,
)
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, emit_json
from multiconnect.config.settings import store_url
from multiconnect.limits import HTTP_SEND_TIMEOUT_S, TEXT_CHARS_MAX

HELP = "send one text message; returns once it is stored"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("to", metavar="TO", help="phone number or user id")
    parser.add_argument("text", metavar="TEXT", help="what to say")
    parser.add_argument(
        "--idempotency-key", default="", metavar="KEY", help="repeat with the same key: sent once"
    )
    parser.add_argument(
        "--timeout", type=float, default=HTTP_SEND_TIMEOUT_S, metavar="SECONDS",
        help="how long to wait until it is stored (default: %(default)g)",
    )  # fmt: skip
    add_store_arguments(parser)
    add_lane_arguments(parser)
    add_json_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Send."""
    return run_async(_send(options))


async def _send(options: argparse.Namespace) -> int:
    from multiconnect import InvalidPayload, Router

    if not 1 <= len(options.text) <= TEXT_CHARS_MAX:
        raise InvalidPayload(
            f"text has {len(options.text)} characters; expected 1 to {TEXT_CHARS_MAX}"
        )
    found = resolved(options)
    url = store_url(found)
    check_exists(url)
    async with Router(url, events=False, lanes=lane_credentials(found)) as router:
        receipt = await router.send(
            options.to,
            {"type": "text", "text": {"body": options.text}},
            idempotency_key=options.idempotency_key,
            timeout_s=options.timeout,
        )
    if options.json:
        emit_json(receipt._asdict())
    else:
        emit(receipt.id)
    return Exit.OK
