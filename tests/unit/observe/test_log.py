"""JSON lines, without secrets and whole phone numbers."""

import json
import logging

import pytest

from multiconnect.observe.log import JsonLines, configure_logging, mask, redact


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        ("16315550000", "16******000"),
        ("+6281234567890", "+6*********890"),
        ("123456", "1****6"),
        ("abc", "***"),
        ("", ""),
    ],
)
def test_mask_hides_most_of_it(recipient, shown):
    assert mask(recipient) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to +16315550000 at once", "to +1*******000 at once"),
        ("user US.13491208655302741918", "user US.13***************918"),
        ("Authorization: Bearer abc.DEF-123", "Authorization: Bearer ***"),
        ("postgresql://app:hunter2@db/x", "postgresql://app:***@db/x"),
        ("coreapp-3-12345678 took 0.123456789 s", "coreapp-3-12345678 took 0.123456789 s"),
        ("pid 123456", "pid 123456"),
    ],
)
def test_running_text_is_redacted(text, shown):
    assert redact(text) == shown


def line_of(message, *arguments, **extra):
    record = logging.LogRecord("multiconnect.x", logging.WARNING, "f", 1, message, arguments, None)
    record.__dict__.update(extra)
    return json.loads(JsonLines("web-1-1").format(record))


def test_a_line_is_an_object_with_its_fields():
    line = line_of("it %s", "happened", slot=3, why="16315550000 said no")
    assert (line["level"], line["process"], line["logger"]) == (
        "warning", "web-1-1", "multiconnect.x"
    )  # fmt: skip
    assert line["event"] == "it happened"
    assert line["slot"] == 3
    assert line["why"] == "16******000 said no"
    assert line["at"].endswith("Z")


def test_what_json_does_not_know_is_written_as_redacted_text():
    assert line_of("x", thing={"a": object})["thing"]["a"].startswith("<class")


@pytest.fixture
def quiet_again():
    logger = logging.getLogger("multiconnect")
    before = (logger.handlers[:], logger.level, logger.propagate)
    loop_handlers = logging.getLogger("asyncio").handlers[:]
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers[:], logger.level, logger.propagate = before
    logging.getLogger("asyncio").handlers[:] = loop_handlers


def test_a_server_logs_to_its_file_and_nobody_elses(tmp_path, quiet_again, capsys):
    root_before = logging.getLogger().handlers[:]
    configure_logging("info", file=str(tmp_path / "logs" / "a.log"), process="a")
    logging.getLogger("multiconnect.part").info("hello", extra={"n": 1})
    logging.getLogger("multiconnect.part").debug("too fine")
    (line,) = (tmp_path / "logs" / "a.log").read_text().splitlines()
    assert json.loads(line)["event"] == "hello"
    assert logging.getLogger().handlers == root_before
    assert capsys.readouterr().err == ""


def test_without_a_file_it_logs_to_stderr(quiet_again, capsys):
    configure_logging("warning", process="b")
    logging.getLogger("multiconnect").warning("careful")
    assert json.loads(capsys.readouterr().err)["event"] == "careful"


def test_an_error_brings_its_traceback_redacted(tmp_path, quiet_again):
    configure_logging(file=str(tmp_path / "a.log"))
    try:
        raise ValueError("no 16315550000 here")
    except ValueError:
        logging.getLogger("multiconnect").exception("failed")
    text = (tmp_path / "a.log").read_text()
    assert "ValueError: no 16******000 here" in json.loads(text)["error"]
    assert "16315550000" not in text
