"""Run the readable twins: the Python text of the modules that the product runs compiled.

A test that replaces a method of such a class, or that wants both executions to agree, needs the
text executed as Python. That is decided once per process, before any of them is imported:

* `use_readable_twins()` as the first thing a program does (the mutants of the simulation), or
* MULTICONNECT_TWINS=readable in the environment of pytest (tests/conftest.py looks at it) or of
  `python -m tests.sim`.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

VARIABLE = "MULTICONNECT_TWINS"
READABLE = "readable"


def compiled_modules() -> dict[str, Path]:
    """Return name and Python text of the modules that have C types beside them."""
    # Found, not imported: the package imports what is to be replaced.
    package = find_spec("multiconnect")
    if package is None or package.origin is None:
        raise RuntimeError("multiconnect is not installed: run `./run setup`")
    root = Path(package.origin).parent
    found = (path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.pxd"))
    return {".".join(path.parts): root.parent / f"{path}.py" for path in sorted(found)}


def use_readable_twins() -> None:
    """Import the twins from now on."""
    if are_readable():
        return
    modules = compiled_modules()
    imported = [name for name in modules if name in sys.modules]
    if imported:
        raise RuntimeError(f"{imported[0]} is imported already; ask for the twins before that")
    sys.meta_path.insert(0, _Finder(modules))


def use_what_is_asked_for() -> None:
    """Use the twins if the environment says so."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in {"", "compiled", READABLE}:
        raise RuntimeError(f"{VARIABLE} is {asked!r}; expected {READABLE!r} or 'compiled'")
    if asked == READABLE:
        use_readable_twins()


def are_readable() -> bool:
    """Whether this process uses the twins."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


class _TwinLoader(SourceFileLoader):
    #: `require_compiled` asks for it.
    is_twin_wanted = True


class _Finder(MetaPathFinder):
    def __init__(self, modules: dict[str, Path]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._modules:
            return None
        source = str(self._modules[name])
        return spec_from_file_location(name, source, loader=_TwinLoader(name, source))
