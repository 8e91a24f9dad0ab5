"""The public face of the package: what `__all__` names is there, and nothing else is."""

import ast
import importlib

import pytest

from tests.architecture.source_tree import PACKAGE, ROOT

FACE = ROOT / "src" / PACKAGE / "__init__.py"

pytestmark = pytest.mark.skipif(not FACE.is_file(), reason="the package has no face yet")


def exported() -> list[str]:
    return list(importlib.import_module(PACKAGE).__all__)


def imported_names() -> set[str]:
    """Return the public names that the face imports or assigns."""
    found: set[str] = set()
    for node in ast.parse(FACE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            found.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return {name for name in found if not name.startswith("_")}


def test_all_is_sorted_and_has_no_twins():
    assert exported() == sorted(set(exported()))


def test_all_is_importable():
    package = importlib.import_module(PACKAGE)
    assert [name for name in exported() if not hasattr(package, name)] == []


def test_all_is_complete():
    assert imported_names() - set(exported()) == set()
