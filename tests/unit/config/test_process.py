"""What a child is handed."""

import json

import pytest

from multiconnect.config.process import (
    PROCESS_VARIABLE,
    ProcessSettings,
    process_settings_from_json,
    take_process_settings,
)
from multiconnect.errors import InvalidSettings
from multiconnect.model.cluster import Role
from multiconnect.model.timers import PROFILES

SETTINGS = ProcessSettings(
    store="sqlite:////s.db", incarnation="web-1-00000001", name="web-1", role=Role.WEB,
    generation=3, profile="lan", upstream_token="canary-1", app_secret="canary-2",
    verify_token="canary-3", number_rate=None,
)  # fmt: skip


def test_it_survives_the_journey():
    environment = {PROCESS_VARIABLE: SETTINGS.to_json(), "OTHER": "x"}
    taken = take_process_settings(environment)
    assert taken == SETTINGS
    assert isinstance(taken.role, Role)
    assert taken.timers is PROFILES["lan"]
    # A grandchild must not find it.
    assert environment == {"OTHER": "x"}


def test_it_shows_no_secret():
    assert "canary" not in repr(SETTINGS)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"role": "king"}', json.dumps({**json.loads(SETTINGS.to_json()), "new": 1})],
)
def test_what_no_supervisor_sends_is_refused(text):
    with pytest.raises(InvalidSettings, match=PROCESS_VARIABLE):
        process_settings_from_json(text)


def test_nothing_at_all_is_explained():
    with pytest.raises(InvalidSettings, match="multiconnect up"):
        take_process_settings({})
