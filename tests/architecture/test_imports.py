"""Which module may import which: the rules, as data, and the check.

A name below stands for the module and all within it.  `multiconnect.` is left
off the front of our own modules; an imported name with no such module is one
of the standard library or of a dependency.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source_tree import (
    PACKAGE,
    ROOT,
    Import,
    all_imports,
    is_under,
    module_names,
)

# Each line may import the lines below it, never one above.  The longest name
# that fits a module decides, so coreapp.process lies above the rest of coreapp.
LAYERS = (
    ("cli",),
    ("engine", "supervisor"),
    ("web", "coreapp.process", "master"),
    ("coreapp", "dataplane"),
    ("store", "upstream"),
    ("control", "observe", "config"),
    ("model",),
    ("errors", "limits", "clock", "loop", "_native"),
)

# Modules of one layer that may not import each other either.
STRANGERS = (
    ("web", "coreapp.process", "master"),
    ("store", "upstream"),
    ("store.sqlite", "store.postgres"),
    ("upstream.cloud_api", "upstream.simulator"),
)

# Of our own modules, these import only those.
ONLY_FROM_US = {
    "control": ("control", "model", "limits", "errors"),
    "model": ("model", "limits", "errors", "_native"),
}

OUTSIDE_WORLD = (
    *("asyncio", "socket", "ssl", "select", "selectors", "threading", "subprocess"),
    *("multiprocessing", "time", "random", "logging", "os", "sqlite3"),
    *("apsw", "uvloop", "aiohttp", "httptools"),
)

# These never import those, whatever their layer.
NEVER = {
    "control": (*OUTSIDE_WORLD, "dataplane"),
    "model": OUTSIDE_WORLD,
    "dataplane": (
        *("control", "store.sqlite", "store.postgres", "store.memory"),
        *("web", "coreapp", "master", "supervisor"),
    ),
}

# These are imported by those alone; `*.name` is any module of that name.
ONLY_BY = {
    "apsw": ("store.sqlite",),
    "asyncpg": ("store.postgres",),
    "httptools": ("web", "upstream.cloud_api"),
    "aiohttp": ("upstream",),
    "argon2": ("web",),
    "uvloop": ("*.process", "cli", "loop"),
    # The facade of the package is for those who use it, not for its parts.
    "engine": ("", "engine", "cli", "*.__main__"),
    "cli": ("cli", "*.__main__"),
}


@dataclass(frozen=True)
class Violation:
    """An import, and the rule that it breaks."""

    found: Import
    rule: str

    def __str__(self) -> str:
        return f"{self.found} -- {self.rule}"


def ours(name: str) -> str:
    """Return the full name of one of our own modules, which the rules shorten."""
    return f"{PACKAGE}.{name}" if name else PACKAGE


def names(module: str, short: str) -> bool:
    """Tell whether a shortened name, in the rules, stands for this module."""
    if short.startswith("*."):
        return module.endswith(short[1:])
    if not short:
        return module == PACKAGE
    return is_under(module, ours(short)) or is_under(module, short)


def layer(module: str) -> tuple[int, str] | None:
    """Return the layer's number, counted from the top, and the name that decided."""
    if module.endswith(".__main__"):
        return -1, ""
    if module == PACKAGE:
        # The public names: the command line uses them like anybody else.
        return 0, ""
    fits = [(n, s) for n, row in enumerate(LAYERS) for s in row if is_under(module, ours(s))]
    return max(fits, key=lambda fit: len(fit[1]), default=None)


def against_layers(found: Import) -> Iterator[str]:
    """An upper layer is not imported from below."""
    lower, upper = layer(found.importer), layer(found.target)
    if lower and upper and upper[0] < lower[0]:
        yield f"{upper[1] or PACKAGE} lies above {lower[1]}"


def against_strangers(found: Import) -> Iterator[str]:
    """Independent modules of one layer do not know each other."""
    for row in STRANGERS:
        here, there = (side(row, module) for module in (found.importer, found.target))
        if here and there and here != there:
            yield f"{here} and {there} do not know each other"


def side(row: tuple[str, ...], module: str) -> str | None:
    """Return which of a row's names stands for a module."""
    return next((short for short in row if names(module, short)), None)


def against_only_from_us(found: Import) -> Iterator[str]:
    """Some packages import only a few of ours."""
    for who, allowed in ONLY_FROM_US.items():
        governed = names(found.importer, who) and is_under(found.target, PACKAGE)
        if governed and not any(names(found.target, short) for short in allowed):
            yield f"of ours, {who} imports only {', '.join(allowed)}"


def against_never(found: Import) -> Iterator[str]:
    """Some imports are banned outright."""
    for who, banned in NEVER.items():
        hits = [short for short in banned if names(found.importer, who)]
        yield from (f"{who} never imports {s}" for s in hits if names(found.target, s))


def against_only_by(found: Import) -> Iterator[str]:
    """Some modules are imported from few places."""
    for what, allowed in ONLY_BY.items():
        if names(found.target, what) and not any(names(found.importer, w) for w in allowed):
            yield f"{what} is imported only by {', '.join(filter(None, allowed))}"


def against_compiled(found: Import) -> Iterator[str]:
    """A compiled module is reached through the package that holds it."""
    native = ours("_native")
    if found.compiled and is_under(found.target, native) and not is_under(found.importer, native):
        yield f"compiled modules are imported through {native}"


CHECKS = (
    against_layers,
    against_strangers,
    against_only_from_us,
    against_never,
    against_only_by,
    against_compiled,
)


def violations(src: Path) -> list[str]:
    """Return a line for each import that breaks a rule."""
    broken = (Violation(i, rule) for i in all_imports(src) for check in CHECKS for rule in check(i))
    return [str(violation) for violation in broken]


def test_no_import_breaks_a_rule():
    assert violations(ROOT / "src") == []


def test_every_module_has_a_layer():
    homeless = [name for name in module_names(ROOT / "src") if layer(name) is None]
    assert homeless == [], "give it a place in LAYERS"


@pytest.mark.parametrize(
    ("module", "statement", "rule"),
    [
        ("store/port", "from multiconnect import web", "web lies above store"),
        ("web/app", "import multiconnect", "multiconnect lies above web"),
        ("coreapp/slot", "from . import process", "coreapp.process lies above coreapp"),
        ("web/app", "from multiconnect.master import x", "web and master do not know each other"),
        ("store/sqlite/a", "from ..postgres import b", "store.sqlite and store.postgres do not"),
        ("control/plan", "from multiconnect.clock import Clock", "of ours, control imports only"),
        ("control/plan", "import time", "control never imports time"),
        ("model/log", "from os import path", "model never imports os"),
        ("dataplane/router", "import multiconnect.store.memory", "dataplane never imports store."),
        ("web/client", "import aiohttp", "aiohttp is imported only by upstream"),
        ("web/app", "import uvloop", "uvloop is imported only by"),
        ("supervisor/x", "import multiconnect.engine", "engine is imported only by"),
        ("web/app", "from multiconnect._native import stub", "compiled modules are imported"),
        ("web/app", "import multiconnect._native.bare", "compiled modules are imported"),
        ("web/app", "if TYPE_CHECKING:\n    import apsw", "apsw is imported only by"),
        ("web/app", "def f():\n    import_module('asyncpg')", "asyncpg is imported only by"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, module, statement, rule):
    plant(tmp_path, module, statement)
    found = violations(tmp_path)
    line = 1 + statement.count("\n")
    assert any(f"{PACKAGE}/{module}.py:{line}: " in text and rule in text for text in found)


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("web/app", "import httptools, argon2, asyncio"),
        ("web/process", "import uvloop"),
        ("web/app", "from multiconnect import limits, clock"),
        ("web/app", "from multiconnect._native import Frame"),
        ("web/app", "from multiconnect._native.layout import SIZE"),
        ("_native/__init__", "from multiconnect._native.stub import Frame"),
        ("store/sqlite/a", "import apsw\nfrom multiconnect.store import port"),
        ("cli/__main__", "from multiconnect.cli import main"),
        ("__init__", "from multiconnect.engine import Engine"),
        ("model/log", "from multiconnect._native import x\nimport orjson, struct"),
    ],
)
def test_an_allowed_import_is_left_alone(tmp_path, module, statement):
    plant(tmp_path, module, statement)
    assert violations(tmp_path) == []


def plant(src: Path, module: str, statement: str) -> None:
    """Make a small tree of modules with one statement in one of them."""
    native = ("_native/__init__.py", "_native/layout.py", "_native/stub.pyi")
    others = ("web/__init__.py", "coreapp/process.py", "limits.py", "clock.py", "store/port.py")
    for name in (*native, *others, f"{module}.py"):
        path = src / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(statement if name == f"{module}.py" else "", encoding="utf-8")
