"""Read a source tree without importing it: its modules, and what each imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "multiconnect"


@dataclass(frozen=True)
class Import:
    """One import in one file."""

    path: Path
    line: int
    importer: str
    target: str
    # The target is one of ours with no Python source: a compiled module.
    compiled: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.importer} imports {self.target}"


def is_under(module: str, prefix: str) -> bool:
    """Tell whether a module is a package, or lies within it."""
    return module == prefix or module.startswith(f"{prefix}.")


def module_names(src: Path) -> dict[str, Path]:
    """Map each module's dotted name to its file; a stub stands for a compiled module."""
    found: dict[str, Path] = {}
    for suffix in (".pyi", ".py"):
        for path in sorted((src / PACKAGE).rglob(f"*{suffix}")):
            parts = path.relative_to(src).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


def all_imports(src: Path) -> Iterator[Import]:
    """Yield every import of the package, also those under TYPE_CHECKING or in functions."""
    modules = module_names(src)
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        for node in ast.walk(tree):
            for target in _targets(node, package, modules):
                where = (path.relative_to(src), getattr(node, "lineno", 0))
                yield Import(*where, name, target, _is_compiled(target, modules))


def _is_compiled(module: str, modules: dict[str, Path]) -> bool:
    stub_or_nothing = module not in modules or modules[module].suffix == ".pyi"
    return is_under(module, PACKAGE) and module != PACKAGE and stub_or_nothing


def _targets(node: ast.AST, package: str, modules: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, package)
        names = [f"{base}.{alias.name}" for alias in node.names]
        # `from package import name` imports a submodule where there is one.
        return [name if name in modules else base for name in names]
    if isinstance(node, ast.Call):
        return _dynamic(node)
    return []


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, node.module] if node.module else parents)


def _dynamic(call: ast.Call) -> list[str]:
    """Return what import_module("x") or __import__("x") names."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("import_module", "__import__") or not call.args:
        return []
    first = call.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return [first.value]
    return []
