"""The command line as a whole: help, codes, settings, and that every command is documented."""

import argparse
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from multiconnect.cli import COMMANDS, argument_parser, main
from multiconnect.cli.exits import CommandError, Exit, exit_of, run_to_exit
from multiconnect.config.options import OPTIONS
from multiconnect.errors import (
    Bug,
    DeadlineExceeded,
    InvalidShards,
    MulticonnectError,
    Overloaded,
    Refused,
    StoreUnavailable,
)

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: multiconnect ")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["up", "--shrads", "2"], ["shards"]])
def test_wrong_usage_is_2(arguments, capsys):
    assert main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_the_help_lists_all_codes(capsys):
    assert main(["--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(f"{int(code)} {code.words}" in out for code in Exit)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidShards("x"), 2),
        (CommandError(Exit.NOT_FOUND, "x"), 3),
        (StoreUnavailable("x"), 4),
        (Overloaded("x"), 4),
        (Refused("x"), 5),
        (DeadlineExceeded("x"), 6),
        (Bug("x"), 1),
        (MulticonnectError("x"), 1),
    ],
)
def test_an_error_has_a_code(error, code):
    assert exit_of(error) == code


def raising(error):
    def command():
        raise error

    return command


def test_an_error_is_said_on_stderr(capsys):
    assert run_to_exit(raising(Refused("because"))) == 5
    assert capsys.readouterr() == ("", "error: because\n")


def test_ctrl_c_is_130_and_a_closed_pipe_is_fine():
    assert run_to_exit(raising(KeyboardInterrupt())) == 130
    assert run_to_exit(raising(BrokenPipeError())) == 0


def test_a_missing_extra_is_named(capsys):
    assert run_to_exit(raising(ModuleNotFoundError("no", name="asyncpg"))) == 1
    assert "multiconnect[postgres]" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        run_to_exit(raising(ModuleNotFoundError("no", name="multiconnect.typo")))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_config_show_tells_where_each_value_came_from(elsewhere, monkeypatch, capsys):
    (elsewhere / "multiconnect.toml").write_text('masters = 3\nupstream_token = "canary"\n')
    monkeypatch.setenv("MULTICONNECT_SHARDS", "8")
    monkeypatch.setenv("MULTICONNECT_STORE", "postgresql://app:canary@db/x")
    assert main(["config", "show", "--origins", "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["masters"] == {"value": 3, "origin": "multiconnect.toml: masters"}
    assert found["shards"] == {"value": 8, "origin": "MULTICONNECT_SHARDS"}
    assert found["webs"]["origin"] == "default"
    assert "canary" not in text
    assert main(["config", "show", "--origins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "ORIGIN"]
    assert len(lines) == 1 + len(OPTIONS)


def test_a_wrong_setting_is_2_and_names_its_source(elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("MULTICONNECT_SHARDS", "3")
    assert main(["up"]) == 2
    assert "MULTICONNECT_SHARDS" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_node_needs_to_know_which_cluster(elsewhere, capsys):
    assert main(["node"]) == 2
    assert "--store" in capsys.readouterr().err


def test_a_taken_port_names_the_next_free_one(elsewhere):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        # A process of its own: a server configures the logging of its whole process.
        done = subprocess.run(
            (sys.executable, "-m", "multiconnect.cli", "up", "--upstream", "null",
             "--http", f"127.0.0.1:{port}"),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert f"127.0.0.1:{port} is taken" in done.stderr
    suggested = int(done.stderr.rpartition("use --http 127.0.0.1:")[2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", suggested))


def flags_of(parser):
    """Yield every flag of a parser and of its sub-commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from flags_of(command)
        yield from (option for option in action.option_strings if option.startswith("--"))


def test_every_command_and_flag_is_documented():
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if f"`multiconnect {name}" not in text]
    missing += sorted({flag for flag in flags_of(argument_parser()) if f"`{flag}" not in text})
    assert missing == []


def test_every_setting_and_code_is_documented():
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [o.name for o in OPTIONS if f"`{o.name}`" not in text] == []
    assert [int(code) for code in Exit if f"| {int(code)} |" not in text] == []


def test_no_secret_can_be_given_on_a_command_line():
    flags = set(flags_of(argument_parser()))
    assert [option.name for option in OPTIONS if option.secret and option.flag in flags] == []
