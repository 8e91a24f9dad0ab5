"""A supervisor process over dummy roles, to be killed: `python -m tests.support.dummy_supervisor`.

Prints one line of JSON, {"name": pid}, once its children are ready; then waits for ever.
"""

import asyncio
import json
import sys
from pathlib import Path

from multiconnect.supervisor.supervision import Wanted
from tests.support.supervised import supervised


async def main(data_dir: Path) -> None:
    """Supervise until killed."""
    async with supervised(data_dir, Wanted(coreapps=2, masters=1, webs=0)) as run:
        children = run.supervisor.seats.children()
        pids = {child.settings.name: child.pid for child in children}
        sys.stdout.write(json.dumps(pids) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
