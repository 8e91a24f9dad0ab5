"""What a mutant is, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass

#: put(where, name, what): the patch itself.
put = setattr

Apply = Callable[[], None]


@dataclass(frozen=True)
class Mutant:
    """One broken rule; `scenario` is the directed one for what seeds seldom catch."""

    name: str
    breaks: str
    apply: Apply
    scenario: str = ""


CATALOGUE: dict[str, Mutant] = {}


def mutant(breaks: str, scenario: str = "") -> Callable[[Apply], Apply]:
    """Add a patch to the catalogue, under the name of its function."""

    def add(apply: Apply) -> Apply:
        name = apply.__name__.replace("_", "-")
        CATALOGUE[name] = Mutant(name, breaks, apply, scenario)
        return apply

    return add
