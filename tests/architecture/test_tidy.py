"""Small modules, small functions, names that say something, and banned text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGE, ROOT

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".c", ".h")
PLACES = ("src", "native", "tests", "bench", "tools")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

# Where packages come from is the business of each machine.  Put together from
# parts, so that this file passes its own test.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("crates", "io"),
    )
)

# Text that only some modules may hold: (pattern, modules that may, reason).
RESERVED = (
    (r"(?<![\w.])print\(", ("cli/",), "only the command line prints"),
    (r"\btime\.time\(", ("cli/", "clock.py"), "wall clock comes from clock.py"),
)


def sources(root: Path) -> Iterator[Path]:
    """Yield every source file of ours, and the scripts without a suffix."""
    for place in PLACES:
        yield from (p for p in sorted((root / place).rglob("*")) if p.suffix in SOURCES)
    yield from (p for p in (root / "run", root / ".ci" / "run") if p.is_file())


def long_modules(root: Path) -> list[str]:
    """Name the modules that have grown too long."""
    sizes = ((path, path.read_text(encoding="utf-8").count("\n")) for path in sources(root))
    return [f"{p.relative_to(root)}: {n} lines" for p, n in sizes if n > MAX_MODULE_LINES]


def long_functions(root: Path) -> list[str]:
    """Name the functions that have grown too long."""
    found = []
    for path in sorted((root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found.append(f"{path.relative_to(root)}:{node.lineno}: {lines} lines")
    return found


def empty_names(root: Path) -> list[str]:
    """Name the files and folders whose name says nothing."""
    paths = {q for p in sources(root) for q in (p, *p.parents) if q.is_relative_to(root)}
    return sorted(str(p.relative_to(root)) for p in paths if p.stem in EMPTY_NAMES)


def reserved_text(root: Path) -> list[str]:
    """Name the lines that only other modules may hold."""
    package = root / "src" / PACKAGE
    return [
        f"{path.relative_to(root)}:{number}: {reason}"
        for path in sorted(package.rglob("*.py"))
        for pattern, allowed, reason in RESERVED
        if not path.relative_to(package).as_posix().startswith(allowed)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def registry_hosts(root: Path) -> list[str]:
    """Name the files that say where packages are fetched from."""
    settings = [*root.glob("*.toml"), *root.glob("*.md"), *root.glob("docs/**/*.md")]
    locks = sorted((root / "requirements").glob("*"))
    files = (*sources(root), *settings, *locks)
    texts = ((path, path.read_text(encoding="utf-8")) for path in files)
    return [f"{p.relative_to(root)}: {h}" for p, text in texts for h in HOSTS if h in text]


CHECKS = (long_modules, long_functions, empty_names, reserved_text, registry_hosts)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree_is_tidy(check):
    assert check(ROOT) == []


PLANTED = {
    long_modules: ("native/a.pyx", "\n" * 401),
    long_functions: ("src/multiconnect/a.py", "def f():\n" + "    x = 1\n" * 60),
    empty_names: ("src/multiconnect/store/utils/a.py", ""),
    reserved_text: ("src/multiconnect/web/a.py", "print(1)"),
    registry_hosts: ("requirements/dev.lock", f"https://{HOSTS[0]}/simple"),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_planted_untidiness_is_found(check, tmp_path):
    name, text = PLANTED[check]
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert len(check(tmp_path)) == 1


def test_reserved_text_is_allowed_where_it_belongs(tmp_path):
    package = tmp_path / "src" / PACKAGE
    (package / "cli").mkdir(parents=True)
    (package / "cli" / "a.py").write_text("print(time.time())", encoding="utf-8")
    (package / "clock.py").write_text("return time.time()", encoding="utf-8")
    assert reserved_text(tmp_path) == []
