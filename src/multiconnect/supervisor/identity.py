"""Who a process is, beyond its pid: host, boot, pid namespace and start time.

A pid alone is reused; (boot, pid namespace, pid, start time) is not. Linux only; elsewhere the
values are empty and nothing is ever concluded from them.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from multiconnect.config.process import PROCESS_VARIABLE, process_settings_from_json
from multiconnect.errors import InvalidSettings

_PROC = Path("/proc")


def host_name() -> str:
    """Return MULTICONNECT_HOST, or what the machine calls itself."""
    return os.environ.get("MULTICONNECT_HOST") or socket.gethostname()


def new_incarnation(name: str) -> str:
    """Return an identity for one life of the seat `name`; never the same twice."""
    return f"{name}-{secrets.token_hex(4)}"


def boot_id(proc: Path = _PROC) -> str:
    """Return "kernel boot / pid namespace": pids mean the same only while both are equal."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(proc / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def start_ticks(pid: int, proc: Path = _PROC) -> int:
    """Return when the process started, in clock ticks since boot; 0 when there is none."""
    fields = _stat_fields(pid, proc)
    return int(fields[19]) if len(fields) > 19 else 0


def parent_pid(pid: int, proc: Path = _PROC) -> int:
    """Return the parent's pid; 0 when there is no such process."""
    fields = _stat_fields(pid, proc)
    return int(fields[1]) if len(fields) > 1 else 0


def started_as(pid: int, proc: Path = _PROC) -> str:
    """Return the incarnation a supervisor started the process as; "" when none did.

    The kernel shows the environment as it was at the start, whatever the process did to it since.
    """
    try:
        environment = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{PROCESS_VARIABLE}=".encode()
    texts = [entry.removeprefix(prefix) for entry in environment if entry.startswith(prefix)]
    try:
        return process_settings_from_json(texts[0].decode()).incarnation if texts else ""
    except (InvalidSettings, UnicodeDecodeError):
        return ""


def is_zombie(pid: int, proc: Path = _PROC) -> bool:
    """Return whether the process has exited and only waits to be reaped."""
    return _stat_fields(pid, proc)[:1] in (["Z"], ["X"])


def _stat_fields(pid: int, proc: Path) -> list[str]:
    # The second field is the program's name in parentheses and may hold blanks and parentheses
    # itself, so counting starts behind the last one: [0] is the state, the third field of proc(5).
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
