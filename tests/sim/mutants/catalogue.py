"""All mutants: each breaks one rule of the product by replacing a function.

They are applied in a process of their own, which ends with them. A mutant of a store's rule breaks
the simulated store; the real stores have the contract suite for that.
"""

from tests.sim.mutants import fence, lane, masters, owner
from tests.sim.mutants.registry import CATALOGUE, Mutant

__all__ = ["CATALOGUE", "Mutant", "fence", "lane", "masters", "owner"]
