"""From a process's settings to a server's."""

import pytest

from multiconnect.config.process import ProcessSettings
from multiconnect.errors import InvalidSettings
from multiconnect.model.cluster import Role
from multiconnect.web.process import API_KEY_VARIABLE, web_settings

PROCESS = ProcessSettings(
    store="memory://",
    incarnation="web-1-x",
    name="web-1",
    role=Role.WEB,
    verify_token="agreed",
    app_secret="secret",
    tls_cert="c",
    tls_key="k",
)


def test_settings_are_handed_on(monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, "x" * 12)
    found = web_settings(PROCESS)
    assert (found.node, found.verify_token, found.app_secret) == ("web-1", "agreed", "secret")
    assert (found.tls_cert, found.tls_key, found.api_key) == ("c", "k", "x" * 12)


@pytest.mark.parametrize("length", [1, 11, 129])
def test_an_api_key_of_a_wrong_length_is_refused_unseen(monkeypatch, length):
    monkeypatch.setenv(API_KEY_VARIABLE, "k" * length)
    with pytest.raises(InvalidSettings) as caught:
        web_settings(PROCESS)
    assert "kk" not in str(caught.value)


def test_no_api_key_is_none(monkeypatch):
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    assert web_settings(PROCESS).api_key == ""
