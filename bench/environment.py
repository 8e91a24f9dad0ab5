"""Where and on what a run was made: without that a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    *("multiconnect", "apsw", "uvloop", "orjson", "mmh3", "httptools", "cython"),
    *("pytest-benchmark", "uvicorn"),
)


def environment(*, quick: bool) -> dict[str, Any]:
    """Return what a result file says of its run."""
    return {
        "revision": revision(),
        "quick": quick,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "store": {
            "durable": "sqlite, WAL, synchronous=FULL",
            "lane": "memory",
            "sqlite": _sqlite(),
            "file_system": file_system_of(ROOT),
        },
    }


def revision() -> str:
    """Return the commit, with a plus sign when the tree differs from it; "" outside of git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/results")
    return f"{head}+" if head and changed else head


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def stored_at(commit: str, path: str) -> str:
    """Return a file as it was at a commit, "" when it was not there."""
    return _git("show", f"{commit}:{path}")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _sqlite() -> str:
    import apsw

    return apsw.sqlite_lib_version()


def file_system_of(path: Path) -> str:
    """Return the kind of file system that a path lies on."""
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        if path.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind
