"""Which sources a result was made from."""

import hashlib
import subprocess
from pathlib import Path

import multiconnect

#: Where all that takes part in a simulation lies: the product, and the simulator.
_PLACES = (Path(multiconnect.__file__).parent, Path(__file__).parent)


def revision() -> str:
    """Return the commit, with "-dirty" when files differ from it; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def sources() -> str:
    """Return a name for the Python sources of the product and of the simulator, as they are now."""
    digest = hashlib.sha256()
    for place in _PLACES:
        for path in sorted(place.rglob("*.py")):
            digest.update(f"{path.relative_to(place)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(revision(), sources())
