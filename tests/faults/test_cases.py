"""docs/faults.md names a test for each case; each test it names is there and is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
_ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LEFT_OUT = re.compile(r"mark\.(slow|xfail|skip)\b")


def cases() -> dict[int, str]:
    """Return each case's line by its number."""
    table = PAGE.read_text(encoding="utf-8").partition("<!-- cases -->")[2]
    return {int(number): text for number, text in _ROW.findall(table.partition("<!-- /cases")[0])}


def test_every_case_is_there() -> None:
    assert sorted(cases()) == list(range(1, 38))


@pytest.mark.parametrize("number", range(1, 38))
def test_a_case_names_tests_that_exist_or_says_why_not(number: int) -> None:
    line = cases()[number]
    named = _TEST.findall(line)
    assert named or "cannot occur" in line
    for path, name in named:
        assert name in run_by_default(ROOT / path), f"{path}::{name} is not there, or is left out"


def run_by_default(path: Path) -> set[str]:
    """Return the tests of a file that nobody has to ask for, and that count when they fail."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks = [node for node in tree.body if isinstance(node, ast.Assign)]
    all_marked = " ".join(ast.unparse(mark) for mark in marks if "pytestmark" in ast.unparse(mark))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not _LEFT_OUT.search(all_marked + " ".join(map(_decorator, node.decorator_list)))
    }


def _decorator(node: ast.expr) -> str:
    """Return a mark; not those of single parameters, which leave the others in."""
    return "" if "parametrize" in ast.unparse(node) else ast.unparse(node)
