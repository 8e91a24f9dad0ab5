"""`multiconnect`, except that CoreApps and Masters are ones that fail on command.

`python -m tests.support.faulty_up up …`, with the folder of tickets in the environment. While the
sign "quick-restarts" stands at the start, whoever dies young is started again without back-off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from multiconnect.cli import main
from multiconnect.limits import RESTART_DELAY_MIN_S
from multiconnect.model.cluster import Role
from multiconnect.supervisor import programs, supervision
from tests.support.tickets import VARIABLE, Tickets

if __name__ == "__main__":
    programs.ROLE_COMMANDS = {  # type: ignore[misc]
        Role.WEB: programs.ROLE_COMMANDS[Role.WEB],
        **{
            role: (sys.executable, "-m", "tests.support.faulty_role", role.value)
            for role in (Role.COREAPP, Role.MASTER)
        },
    }
    if Tickets(Path(os.environ[VARIABLE])).standing("quick-restarts") is not None:
        supervision.RESTART_DELAY_MAX_S = RESTART_DELAY_MIN_S  # type: ignore[attr-defined]
    sys.exit(main())
