"""What each role's child is started as, and with which settings."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from multiconnect.config.process import ProcessSettings
from multiconnect.model.cluster import Role
from multiconnect.supervisor.identity import new_incarnation

#: The longest path a UNIX socket may have on Linux, without its final zero byte.
SOCKET_PATH_BYTES_MAX: Final = 107
_LONGEST_NAME: Final = "coreapp-999-00000000.sock"

ROLE_COMMANDS: Final[Mapping[Role, Sequence[str]]] = {
    role: (sys.executable, "-m", f"multiconnect.{role}")
    for role in (Role.COREAPP, Role.MASTER, Role.WEB)
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Makes the settings of the next child from what all children have in common."""

    #: Everything but identity, role, generation and descriptors.
    template: ProcessSettings
    socket_dir: Path
    logs: Path
    listen_fd: int = -1
    commands: Mapping[Role, Sequence[str]] = field(default_factory=lambda: ROLE_COMMANDS)

    def settings_for(self, name: str, role: Role, generation: int) -> ProcessSettings:
        """Return the settings of a new incarnation in the seat `name`."""
        incarnation = new_incarnation(name)
        is_coreapp = role == Role.COREAPP
        return replace(
            self.template,
            incarnation=incarnation,
            name=name,
            role=role,
            generation=generation,
            socket_path=str(self.socket_dir / f"{incarnation}.sock") if is_coreapp else "",
            lane_listen=self.template.lane_listen if is_coreapp else "",
            listen_fd=self.listen_fd if role == Role.WEB else -1,
            log_file=str(self.logs / f"{name}.log"),
        )


def socket_directory(data_dir: Path) -> Path:
    """Return a private directory whose sockets have paths short enough for the kernel."""
    directory = data_dir / "run"
    longest = len(str(directory / _LONGEST_NAME).encode())
    if longest > SOCKET_PATH_BYTES_MAX:
        return Path(tempfile.mkdtemp(prefix="multiconnect-"))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    for left in directory.glob("*.sock"):
        left.unlink(missing_ok=True)
    return directory
