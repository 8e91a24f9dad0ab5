"""Directed histories for what random ones seldom meet; every one must end without a violation.

Each is a cluster (`Options`) and a script of faults; what follows the script (calm, rest, verdict)
is the same as for a seed.
"""

from tests.sim.scenarios import hand_overs, masters, owners, routers, stores
from tests.sim.scenarios.stage import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario", "hand_overs", "masters", "owners", "routers", "stores"]
