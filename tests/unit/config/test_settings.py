"""The settings of a supervisor: relations, and what "auto" means."""

import pytest

from multiconnect.config.options import OPTIONS
from multiconnect.config.settings import cluster_settings, settings_names
from multiconnect.config.sources import resolve
from multiconnect.errors import InvalidSettings


def settings(tmp_path, **flags):
    return cluster_settings(resolve(flags, {}, directory=tmp_path))


def test_the_value_has_a_field_for_every_option():
    assert set(settings_names()) == {option.name for option in OPTIONS}


def test_the_store_lies_in_the_data_directory(tmp_path):
    found = settings(tmp_path, data_dir=str(tmp_path / "d"))
    assert found.store == f"sqlite:///{tmp_path}/d/multiconnect.db"


def test_a_relative_store_becomes_absolute_because_children_are_given_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings(tmp_path, store="sqlite:///a/b.db").store == f"sqlite:///{tmp_path}/a/b.db"
    assert settings(tmp_path, store="postgresql://h/d").store == "postgresql://h/d"


def test_the_http_address_is_split(tmp_path):
    assert settings(tmp_path).http_address == ("127.0.0.1", 9090)
    assert settings(tmp_path, http="[::1]:0").http_address == ("::1", 0)


@pytest.mark.parametrize(
    ("upstream", "rate", "pair"),
    [
        ("simulator", None, False),
        ("null", None, False),
        ("http://127.0.0.1:1", None, False),
        ("https://cloud.example", 80.0, True),
        ("http://cloud.example:8080/base", 80.0, True),
    ],
)
def test_rates_are_kept_towards_a_cloud_api_only(tmp_path, upstream, rate, pair):
    flags = {"upstream": upstream, "upstream_phone_number_id": "1"}
    found = cluster_settings(
        resolve(flags, {"MULTICONNECT_UPSTREAM_TOKEN": "t"}, directory=tmp_path)
    )
    assert found.effective_number_rate() == rate
    assert found.effective_pair_rate() is pair


def test_what_is_said_outright_holds_everywhere(tmp_path):
    found = settings(tmp_path, upstream="simulator", number_rate="1000", pair_rate="on")
    assert found.effective_number_rate() == 1000.0
    assert found.effective_pair_rate() is True
    found = settings(tmp_path, upstream="http://127.0.0.1:1", number_rate="off", pair_rate="off")
    assert found.effective_number_rate() is None
    assert found.effective_pair_rate() is False


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"tls_cert": "c"}, "tls_cert and tls_key"),
        ({"tls_cert": "gone", "tls_key": "gone"}, "expected a file"),
        ({"shards": "32", "spares": "128"}, "multiconnect node"),
        ({"store": "memory://"}, "one process"),
        ({"account_cc": "1"}, "account_phone_number"),
        ({"lanes": "0.0.0.0"}, "the address under which this host is reached"),
        ({"lane_secret": "short"}, "at least 32"),
        ({"lane_tls_cert": "c"}, "lane_tls_ca belong together"),
        (dict.fromkeys(("lane_tls_cert", "lane_tls_key", "lane_tls_ca"), "gone"), "lane_tls_cert"),
        ({"upstream": "https://graph.example"}, "MULTICONNECT_UPSTREAM_TOKEN"),
        (
            {"upstream": "https://graph.example", "upstream_token": "t"},
            "--upstream-phone-number-id",
        ),
    ],
)
def test_contradictions_are_named(tmp_path, flags, words):
    with pytest.raises(InvalidSettings, match=words):
        settings(tmp_path, **flags)


@pytest.mark.parametrize("lanes", ["10.0.0.1", "10.0.0.1:7000", "fd00::1", "host-a"])
def test_lanes_off_this_machine_need_credentials(tmp_path, lanes):
    with pytest.raises(InvalidSettings, match=r"no lane credentials; expected some.*--lane-secret"):
        settings(tmp_path, lanes=lanes)
    assert settings(tmp_path, lanes=lanes, lane_secret="s" * 32).lane_credentials
    files = {name: tmp_path / name for name in ("lane_tls_cert", "lane_tls_key", "lane_tls_ca")}
    for file in files.values():
        file.touch()
    paths = {name: str(file) for name, file in files.items()}
    assert settings(tmp_path, lanes=lanes, **paths).lane_credentials.has_tls


@pytest.mark.parametrize("lanes", ["unix", "127.0.0.1", "::1", "localhost"])
def test_lanes_on_this_machine_need_none(tmp_path, lanes):
    assert not settings(tmp_path, lanes=lanes).lane_credentials


def test_no_secret_is_shown(tmp_path):
    secrets = [
        "upstream_token", "lane_secret", "account_cert", "account_pin", "verify_token", "app_secret"
    ]  # fmt: skip
    assert [o.name for o in OPTIONS if o.secret] == secrets
    values = dict.fromkeys(secrets, "987654") | {"lane_secret": "987654" * 6}
    found = settings(tmp_path, **values)
    assert "987654" not in repr(found)
