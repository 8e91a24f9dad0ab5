"""Which Python modules run compiled, and the refusal to run them as Python by accident.

Beside each of them lies a .pxd with C types; the text of the .py is compiled with it, and the same
text is its readable twin. Only tests ask for the twins (tests/support/twins.py).
"""

from __future__ import annotations

import sys
from typing import Final

_REMEDY = "run `./run setup` in a checkout, or `pip install .`, and try again"

COMPILED: Final = (
    "multiconnect.coreapp.batch_states",
    "multiconnect.coreapp.batches",
    "multiconnect.coreapp.claims",
    "multiconnect.coreapp.frame_answers",
    "multiconnect.coreapp.group",
    "multiconnect.coreapp.group_commit",
    "multiconnect.coreapp.handover",
    "multiconnect.coreapp.owned_slot",
    "multiconnect.coreapp.queue_entry",
    "multiconnect.coreapp.recipients",
    "multiconnect.coreapp.slot_queue",
    "multiconnect.coreapp.slot_work",
    "multiconnect.coreapp.status_book",
    "multiconnect.dataplane.lane_set",
    "multiconnect.dataplane.receipts",
    "multiconnect.dataplane.slot_lane",
    "multiconnect.model.message",
    "multiconnect.web.connection",
    "multiconnect.web.connections",
    "multiconnect.web.express",
    "multiconnect.web.pipeline",
)


def require_compiled() -> None:
    """Raise ImportError when a module that should run compiled was imported as Python.

    A loader that was told to do so says it: it has `is_twin_wanted`.
    """
    for name in COMPILED:
        module = sys.modules.get(name)
        spec = None if module is None else module.__spec__
        if spec is None or not (spec.origin or "").endswith(".py"):
            continue
        if not getattr(spec.loader, "is_twin_wanted", False):
            raise ImportError(f"the compiled form of {name} is missing: {_REMEDY}")
