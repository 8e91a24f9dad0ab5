import subprocess
import sys
from typing import Any

import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.upstream.callable import CallableUpstream
from multiconnect.upstream.cloud_api.client import CloudApiUpstream
from multiconnect.upstream.null import NullUpstream
from multiconnect.upstream.open import open_upstream

ACCOUNT: dict[str, Any] = {"token": "EAAB", "phone_number_id": "1065"}


async def deliver(messages):
    return None


def test_each_kind_of_spec():
    null = open_upstream("null", batch_max=3)
    assert isinstance(null, NullUpstream)
    assert null.batch_max == 3
    assert isinstance(open_upstream(deliver), CallableUpstream)
    assert isinstance(open_upstream("https://graph.example", **ACCOUNT), CloudApiUpstream)
    assert open_upstream(null) is null


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_an_upstream_on_this_machine_needs_no_account(url):
    assert isinstance(open_upstream(url), CloudApiUpstream)


@pytest.mark.parametrize("missing", ["token", "phone_number_id"])
def test_elsewhere_an_account_is_needed(missing):
    account = {**ACCOUNT, missing: ""}
    with pytest.raises(InvalidSettings, match=missing):
        open_upstream("https://graph.example", **account)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("simulator", "give its URL"),
        ("ftp://x", "expected"),
        ("", "expected"),
        (7, "int"),
        ("https://user:secret@graph.example", "without login"),
        ("https://graph.example?access_token=secret", "without login or query"),
        ("https://", "http"),
        ("http://[::1", "http"),
    ],
)
def test_what_is_not_understood_is_said_without_quoting_secrets(spec, words):
    with pytest.raises(InvalidSettings, match=words) as caught:
        open_upstream(spec, **ACCOUNT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("version", ["24.0", "v24.0/x", "", "../v1"])
def test_a_version_is_checked(version):
    with pytest.raises(InvalidSettings, match="version"):
        open_upstream("https://graph.example", version=version, **ACCOUNT)


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "ä"])
def test_a_token_that_breaks_headers_is_refused_and_not_shown(token):
    with pytest.raises(InvalidSettings) as caught:
        open_upstream("https://graph.example", token=token, phone_number_id="1")
    assert token not in str(caught.value)


def test_the_token_is_not_in_the_repr():
    upstream = open_upstream("https://graph.example/base/", **ACCOUNT)
    assert repr(upstream) == "CloudApiUpstream(https://graph.example/v24.0/1065/messages)"


def test_without_httptools_the_remedy_is_named_and_the_rest_works():
    program = (
        "import sys; sys.modules['httptools'] = None\n"
        "from multiconnect.upstream.open import open_upstream\n"
        "import multiconnect.upstream.cloud_api.throttle\n"
        "open_upstream('null'), open_upstream(print)\n"
        "try: open_upstream('http://127.0.0.1:1')\n"
        "except ValueError as error: sys.stdout.write(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 'pip install "multiconnect[server]"' in done.stdout
