"""Where the stores of benchmarks lie: on the disk of the checkout, until their benchmark ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def place_for_stores() -> Iterator[Path]:
    """Make a folder for stores; /tmp may be memory, which syncs in no time."""
    parent = ROOT / ".cache" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made)
