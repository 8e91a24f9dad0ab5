"""Whatever is sent, the answer is never our fault, and nothing bad is stored."""

import asyncio
import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterator

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.web.serving import ACCOUNT, SETTINGS, Served, message, request, serving

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
#: Bodies that are nearly right: fields of the real ones with any values.
NAMES = st.sampled_from(
    [
        *("to", "type", "text", "recipient_type", "preview_url", "ttl", "context", "image"),
        *("template", "contacts", "biz_opaque_callback_data", "messaging_product", "status"),
        *("cc", "phone_number", "shards", "cert", "pin", "username", "password", "ROLES"),
        *("webhooks", "media", "callback_persist", "new_password", "entry", "changes", "value"),
    ]
)
BODIES = VALUES | st.dictionaries(NAMES, VALUES, max_size=6)
ENDPOINTS = st.sampled_from(
    [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/batch"),
        ("PUT", "/v1/messages/wamid.1"),
        ("POST", "/v1/account/shards"),
        ("POST", "/v1/users"),
        ("PUT", "/v1/users/admin"),
        ("PATCH", "/v1/settings/application"),
        ("POST", "/v1/users/login"),
        ("POST", "/webhooks/whatsapp"),
    ]
)


@contextlib.contextmanager
def a_server() -> Iterator[tuple[asyncio.Runner, Served]]:
    """One server for all examples of a test."""
    with asyncio.Runner() as runner:
        manager = serving()
        served = runner.run(manager.__aenter__())
        try:
            yield runner, served
        finally:
            runner.run(manager.__aexit__(None, None, None))


def written(value: object) -> bytes:
    """Return a value as JSON; integers beyond 64 bits as Python writes them."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode("utf-8", "replace")


async def send(served: Served, data: bytes) -> bytes:
    """Send bytes, end the input, and return everything that comes back."""
    wire = await served.wire()
    await wire.send(data)
    wire.writer.write_eof()
    found = await wire.rest()
    await wire.aclose()
    return found


def signed(body: bytes) -> dict[str, str]:
    digest = hmac.new(SETTINGS.app_secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def test_no_json_body_is_an_error_of_ours():
    with a_server() as (runner, served):

        @given(ENDPOINTS, BODIES)
        def check(endpoint, body):
            method, path = endpoint
            before = len(served.sender.stored)
            data = written(body)
            answer = runner.run(served.call(method, path, data, headers=signed(data)))
            assert answer.status < 500
            if answer.status >= 400:
                assert answer.error["code"] in range(1000, 1032)
                assert len(served.sender.stored) == before
            assert ACCOUNT.pin not in answer.body.decode()

        check()


def test_no_bytes_are_an_error_of_ours():
    with a_server() as (runner, served):

        @given(st.binary(max_size=300))
        def check(data):
            assert not re.search(rb"HTTP/1.1 50[0234]", runner.run(send(served, data)))

        check()
        assert runner.run(served.call("GET", "/livez")).status == 200


def test_a_request_with_a_few_wrong_bytes_is_stored_whole_or_not_at_all():
    with a_server() as (runner, served):
        good = request("POST", "/v1/messages", message(), token=served.admin)

        @settings(max_examples=300)
        @given(
            st.lists(
                st.tuples(st.integers(0, len(good) - 1), st.binary(max_size=3)),
                min_size=1,
                max_size=3,
            )
        )
        def check(changes):
            data = bytearray(good)
            for at, replacement in changes:
                data[at : at + 1] = replacement
            before = len(served.sender.stored)
            found = runner.run(send(served, bytes(data)))
            assert b"HTTP/1.1 500" not in found
            assert found.count(b"HTTP/1.1 201") == len(served.sender.stored) - before

        check()
