"""Which revision of the sources a result was made from."""

import subprocess


def revision() -> str:
    """Return the commit, with "-dirty" when files differ from it; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
