"""`multiconnect`, except that CoreApps and Masters are ones that fail on command.

`python -m tests.support.faulty_up up …`, with the folder of tickets in the environment.
"""

from __future__ import annotations

import sys

from multiconnect.cli import main
from multiconnect.model.cluster import Role
from multiconnect.supervisor import programs

if __name__ == "__main__":
    programs.ROLE_COMMANDS = {  # type: ignore[misc]
        Role.WEB: programs.ROLE_COMMANDS[Role.WEB],
        **{
            role: (sys.executable, "-m", "tests.support.faulty_role", role.value)
            for role in (Role.COREAPP, Role.MASTER)
        },
    }
    sys.exit(main())
