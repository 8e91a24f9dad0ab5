"""Precedence, origins, and errors that name value, source and expectation."""

import pytest

from multiconnect.config.options import OPTIONS
from multiconnect.config.sources import resolve
from multiconnect.errors import InvalidSettings


@pytest.fixture
def found(tmp_path):
    """Return `resolve` with the empty world as a default."""

    def call(flags=None, environment=None, toml="", **options):
        if toml:
            (tmp_path / "multiconnect.toml").write_text(toml)
        return resolve(flags or {}, environment or {}, directory=tmp_path, **options)

    return call


def test_nobody_set_anything(found):
    resolved = found()
    assert set(resolved.values) == {option.name for option in OPTIONS}
    assert set(resolved.origins.values()) == {"default"}
    assert (resolved.values["shards"], resolved.values["spares"]) == (1, 1)
    assert (resolved.values["masters"], resolved.values["webs"]) == (2, 1)
    assert not resolved.is_set("shards")


def test_each_source_overrides_the_one_below(found):
    toml = "shards = 2\nspares = 2\nmasters = 3\n"
    environment = {"MULTICONNECT_SHARDS": "4", "MULTICONNECT_SPARES": "5"}
    resolved = found({"shards": "8"}, environment, toml)
    assert [resolved.values[n] for n in ("shards", "spares", "masters", "webs")] == [8, 5, 3, 1]
    assert [resolved.origins[n] for n in ("shards", "spares", "masters", "webs")] == [
        "--shards", "MULTICONNECT_SPARES", "multiconnect.toml: masters", "default"
    ]  # fmt: skip
    assert resolved.is_set("shards")


def test_a_commands_own_default_is_still_a_default(found):
    resolved = found(defaults={"masters": "1"})
    assert resolved.values["masters"] == 1
    assert not resolved.is_set("masters")


def test_an_empty_variable_is_not_set(found):
    assert found(environment={"MULTICONNECT_SHARDS": ""}).values["shards"] == 1


def test_tables_are_joined_with_their_keys(found):
    toml = '[upstream]\nurl = "https://graph.example"\nphone-number-id = 1234\n[webhook]\n' \
           'verify_token = "v"\n'  # fmt: skip
    resolved = found(toml=toml)
    assert resolved.values["upstream"] == "https://graph.example"
    assert resolved.values["upstream_phone_number_id"] == "1234"
    assert resolved.values["verify_token"] == "v"
    assert resolved.origins["upstream"] == "multiconnect.toml: upstream_url"


def test_a_truth_in_toml_is_on_or_off(found):
    assert found(toml="pair_rate = false\n").values["pair_rate"] is False


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_another_file_may_be_named(found, tmp_path, by):
    (tmp_path / "other.toml").write_text("shards = 16\n")
    flags = {"config": "other.toml"} if by == "flag" else {}
    environment = {"MULTICONNECT_CONFIG": "other.toml"} if by == "variable" else {}
    resolved = found(flags, environment, toml="shards = 2\n")
    assert resolved.values["shards"] == 16
    assert resolved.origins["shards"] == "other.toml: shards"


def test_a_secret_may_lie_in_a_file(found, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    resolved = found(environment={"MULTICONNECT_UPSTREAM_TOKEN_FILE": str(tmp_path / "token")})
    assert resolved.values["upstream_token"] == "s3cret"
    assert resolved.origins["upstream_token"] == "MULTICONNECT_UPSTREAM_TOKEN_FILE"
    assert found(toml='upstream_token_file = "token"\n').values["upstream_token"] == "s3cret"


def test_a_flag_names_the_file_of_a_secret_and_wins(found, tmp_path):
    (tmp_path / "one").write_text("of the flag\n")
    flags = {"app_secret_file": str(tmp_path / "one")}
    resolved = found(flags, {"MULTICONNECT_APP_SECRET": "of the variable"})
    assert resolved.values["app_secret"] == "of the flag"
    assert resolved.origins["app_secret"] == "--app-secret-file"


def error(call, *arguments, **options):
    with pytest.raises(InvalidSettings) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environment", "toml", "parts"),
    [
        ({"shards": "3"}, {}, "", ("'3'", "--shards", "1, 2, 4, 8, 16, 32")),
        ({}, {"MULTICONNECT_SPARES": "-1"}, "", ("'-1'", "MULTICONNECT_SPARES", "from 0")),
        ({}, {}, 'http = "9090"', ("'9090'", "multiconnect.toml: http", "HOST:PORT")),
        ({"number_rate": "0"}, {}, "", ("'0'", "--number-rate", "off")),
        ({"pair_rate": "yes"}, {}, "", ("'yes'", "on or off")),
        ({"upstream": "ftp://x"}, {}, "", ("'ftp://x'", "simulator, null")),
        ({"profile": "mars"}, {}, "", ("'mars'", "local, lan, wan, onprem")),
        ({}, {}, "shard = 4", ("'shard'", "did you mean 'shards'")),
        ({}, {}, "shards = [", ("multiconnect.toml", "cannot be read")),
        ({"config": "gone.toml"}, {}, "", ("--config", "'gone.toml'")),
        ({"lane_secret_file": "/nonexistent"}, {}, "", ("--lane-secret-file", "cannot be read")),
        ({}, {"MULTICONNECT_APP_SECRET_FILE": "/nonexistent"}, "",
         ("MULTICONNECT_APP_SECRET_FILE", "cannot be read")),
    ],
)  # fmt: skip
def test_an_error_names_value_source_and_expectation(found, flags, environment, toml, parts):
    text = error(found, flags, environment, toml)
    assert [part for part in parts if part not in text] == []


def test_every_setting_has_a_default_that_is_legal_and_a_help():
    for option in OPTIONS:
        option.parse(option.default)
        assert option.help
        assert option.secret or option.metavar
