"""The bench of judges: every call the store has served, and everything else, is shown to them.

They know the invariants of design §6 and nothing of the code that keeps them: what is compared is
what the store holds, what clients were told and what the upstream has received.
"""

from collections.abc import Callable
from typing import Any

from multiconnect.store.memory import MemoryState
from tests.sim.judges.effects import EffectJudge
from tests.sim.judges.log import LogJudge
from tests.sim.judges.map import MapJudge
from tests.sim.judges.rest import RestJudge
from tests.sim.judges.routers import RouterJudge
from tests.sim.ledger import Ledger
from tests.sim.process import SimProcess

#: (invariant, sentence)
Found = Callable[[str, str], None]


class Bench:
    """All judges of one simulated cluster."""

    def __init__(self, state: MemoryState, ledger: Ledger, found: Found) -> None:
        self._found = found
        self.map = MapJudge(state, ledger, found)
        self.log = LogJudge(state, ledger, found)
        self.effects = EffectJudge(state, ledger, self.log, found)
        self.routers = RouterJudge(ledger, self.log, found)
        self.rest = RestJudge(state, ledger, self.log, found)
        #: Told who has had a group committed.
        self.on_commit: Callable[[str], None] = lambda _owner: None

    def served(self, caller: SimProcess, name: str, args: tuple[Any, ...], result: Any) -> None:
        """The store has carried out a call."""
        if name == "commit":
            self.log.committed(caller, args[0], result)
            self.on_commit(caller.incarnation)
        else:
            self.map.served(caller, name, args, result)

    def failed(self, caller: SimProcess, name: str, error: Exception) -> None:
        """The store found a call impossible."""
        self._found("bug", f"{name} of {caller.incarnation} failed: {error!r}")
