"""How commands speak."""

import io

import pytest

from multiconnect.cli.output import has_colour, paint, ranges, table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def neutral(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_gets_colour_and_a_file_does_not():
    assert paint("x", "red", Terminal()) == "\033[31mx\033[0m"
    assert paint("x", "red", io.StringIO()) == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_declined(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not has_colour(Terminal())


def test_a_table_is_aligned_without_trailing_blanks():
    assert table(("A", "LONG"), [("xyz", 1), ("y", "")]) == "A    LONG\nxyz  1\ny"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], "-"), ([3], "3"), ([0, 1, 2, 3, 8], "0-3,8"), ([1, 3, 5, 6], "1,3,5-6")],
)
def test_numbers_in_short(numbers, text):
    assert ranges(numbers) == text
