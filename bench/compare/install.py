"""Get the peers onto this machine: Python packages by their lock, servers as Debian packages.

Nothing is installed system-wide: packages go into environments of their own, and a server that is
not on the path is downloaded and unpacked, both under .cache/compare. What cannot be had, offline
or on another system, is `Unavailable`, and its benchmark is skipped with that reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TypeVar

Got = TypeVar("Got")
ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".cache" / "compare"
#: What a server needs beyond what every Debian has.
PACKAGES = {
    "redis-server": ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"),
    "nats-server": ("nats-server",),
}
#: Packages whose versions a result names.
SHOWN = (
    *("confluent-kafka", "pyzmq", "nats-py", "redis", "hiredis"),
    *("fastapi", "celery", "arq", "saq"),
)
INSTALL_MAX_S = 240.0


class Unavailable(Exception):
    """A peer cannot be had here; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server program and the environment that it starts in."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)


def _once(get: Callable[[str], Got]) -> Callable[[str], Got]:
    """Ask once in a run, also for what cannot be had: without a network each try takes long."""
    known: dict[str, Got | Unavailable] = {}

    @wraps(get)
    def once(name: str) -> Got:
        if name not in known:
            try:
                known[name] = get(name)
            except Unavailable as missing:
                known[name] = missing
        found = known[name]
        if isinstance(found, Unavailable):
            raise found
        return found

    return once


@_once
def peer_python(name: str) -> Path:
    """Return the Python that has the packages of a lock, after installing them if need be."""
    venv, stamp = PLACE / name, PLACE / f"{name}.stamp"
    python, lock = venv / "bin" / "python", ROOT / "requirements" / f"{name}.lock"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with _alone():
        if not (python.exists() and stamp.is_file() and stamp.read_text() == key):
            shutil.rmtree(venv, ignore_errors=True)
            # Without pip, because Debian's Python may lack ensurepip; ours installs into it.
            _run(sys.executable, "-m", "venv", "--without-pip", str(venv))
            pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "-q")
            _run(*pip, "--require-hashes", "-r", str(lock))
            stamp.write_text(key)
    return python


@_once
def server_program(name: str) -> Program:
    """Return a server's program: the machine's own, or Debian's, unpacked."""
    with _alone():
        found = _program_here(name)
        if found is None:
            _unpack(name)
            found = _program_here(name)
    if found is None:
        raise Unavailable(f"{name} is not in the packages {', '.join(PACKAGES[name])}")
    return found


def _program_here(name: str) -> Program | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found:
        return Program(Path(found))
    place = PLACE / name
    unpacked = [place / folder / name for folder in ("usr/bin", "usr/sbin")]
    program = next((path for path in unpacked if path.exists()), None)
    if program is None:
        return None
    libraries = sorted({str(path.parent) for path in place.rglob("*.so*")})
    inherited = os.environ.get("LD_LIBRARY_PATH")
    search = ":".join([*libraries, *([inherited] if inherited else [])])
    return Program(program, {"LD_LIBRARY_PATH": search} if search else {})


def versions() -> dict[str, str]:
    """Return the versions of the servers that are here, and of the packages that the locks name."""
    found = {}
    for name in PACKAGES:
        program = _program_here(name)
        if program is None:
            continue
        said = subprocess.run(
            [program.path, "--version"],
            env=os.environ | program.env,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        number = re.search(r"\d+(\.\d+)+", said)
        found[name] = number.group() if number else said.strip()
    locks = [path.read_text("utf-8") for path in sorted(ROOT.glob("requirements/compare*.lock"))]
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", "\n".join(locks), re.MULTILINE))
    return found | {name: pins[name] for name in SHOWN if name in pins}


def _unpack(name: str) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"{name} is not installed, and this is not Debian: install {name}")
    place = PLACE / name
    shutil.rmtree(place, ignore_errors=True)
    packages = place / "packages"
    packages.mkdir(parents=True)
    _download(name, packages)
    for package in sorted(packages.glob("*.deb")):
        _run("dpkg-deb", "-x", str(package), str(place))
    shutil.rmtree(packages)


def _download(name: str, folder: Path) -> None:
    command = ("apt-get", "-qq", "download", *PACKAGES[name])
    try:
        _run(*command, cwd=folder)
    except Unavailable:
        # A new machine has no package lists; refreshing them is for root alone.
        if os.geteuid() != 0:
            raise
        _run("apt-get", "-qq", "update")
        _run(*command, cwd=folder)


def _run(*command: str, cwd: Path = ROOT) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_MAX_S
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(command[:4])} …` took over {INSTALL_MAX_S:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"`{' '.join(command[:4])} …` failed (offline?): {' '.join(said)}")


@contextmanager
def _alone() -> Iterator[None]:
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
