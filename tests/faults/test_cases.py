"""docs/faults.md names a test for each case; each test it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
_ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def cases() -> dict[int, str]:
    """Return each case's line by its number."""
    table = PAGE.read_text(encoding="utf-8").partition("<!-- cases -->")[2]
    return {int(number): text for number, text in _ROW.findall(table.partition("<!-- /cases")[0])}


def test_every_case_is_there() -> None:
    assert sorted(cases()) == list(range(1, 36))


@pytest.mark.parametrize("number", range(1, 36))
def test_a_case_names_tests_that_exist_or_says_why_not(number: int) -> None:
    line = cases()[number]
    named = _TEST.findall(line)
    assert named or "cannot occur" in line
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"
