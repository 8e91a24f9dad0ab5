"""Python modules that run compiled: they do, their readable twins agree, and nothing is silent."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from multiconnect._native.compiled import COMPILED, require_compiled
from tests.support.twins import READABLE, VARIABLE, are_readable, compiled_modules

ROOT = Path(__file__).resolve().parents[2]
#: What is run on the readable twins as well.
TESTS_OF_TWINS = (
    *("tests/unit/coreapp", "tests/unit/dataplane", "tests/unit/web"),
    "tests/integration/test_web_express.py",
)


def test_the_list_names_every_module_with_c_types_beside_it():
    assert list(compiled_modules()) == sorted(COMPILED)


@pytest.mark.parametrize("name", COMPILED)
def test_what_runs_is_what_was_asked_for(name):
    origin = import_module(name).__file__ or ""
    assert origin.endswith(".py") == are_readable()


@pytest.mark.parametrize("name", COMPILED)
def test_what_runs_was_compiled_from_the_text(name):
    text = compiled_modules()[name]
    built = Path(import_module(name).__file__ or "")
    sources = [text, text.with_suffix(".pxd")]
    is_older = any(built.stat().st_mtime < source.stat().st_mtime for source in sources)
    assert are_readable() or not is_older, "the text was touched: run `./run setup`"


def test_python_in_the_place_of_compiled_code_is_refused(monkeypatch):
    (name, *_) = COMPILED
    python = ModuleType(name)
    python.__spec__ = ModuleSpec(name, SourceFileLoader(name, "x.py"), origin="x.py")
    monkeypatch.setitem(sys.modules, name, python)
    with pytest.raises(ImportError, match=r"compiled form of .* is missing: run `./run setup`"):
        require_compiled()


@pytest.mark.process
@pytest.mark.skipif(are_readable(), reason="this run uses the readable twins already")
def test_the_readable_twins_pass_the_same_tests():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *TESTS_OF_TWINS, "-q"],
        cwd=ROOT,
        env=os.environ | {VARIABLE: READABLE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
