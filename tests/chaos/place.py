"""What a fence record says, read once more from the design's words: how far a zone stands. Values and their order
only; which order is broken, the checker says.
"""

import re
from dataclasses import dataclass

_FENCE = re.compile(
    r"v=1 h=(?P<history>[0-9a-f]{16}) g=(?P<generation>[1-9][0-9]*) d=(?P<digest>[0-9a-f]{16})"
    r"(?: base=(?P<base>[0-9]+) done=(?P<done>[1-9][0-9]*) of=(?P<of>[1-9][0-9]*))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a zone stands: the generation on the wire, whether all of it, how much of it if not, and the newest one
    that is all there."""

    generation: int
    complete: bool
    done: int
    """How many RRsets of the publication under way are there; 0 where none is."""
    base: int
    of: int = 0
    history: str = ""
    digest: str = ""

    @property
    def step(self) -> tuple[int, bool, int]:
        """How far it is: what never goes down. A publication that is begun anew for a newer generation is further."""
        return self.generation, self.complete, self.done

    def __str__(self) -> str:
        said = f"generation {self.generation}"
        return said if self.complete else f"{said} ({self.done} of {self.of} under way from {self.base})"


NOWHERE = Place(0, True, 0, 0)


def place(text: str | None) -> Place | None:
    """Read a fence record; none at all is before the first generation, and what is no fence is None."""
    if text is None:
        return NOWHERE
    if (match := _FENCE.fullmatch(text)) is None:
        return None
    generation, told = int(match["generation"]), (match["history"], match["digest"])
    if match["base"] is None:
        return Place(generation, True, 0, generation, 0, *told)
    return Place(generation, False, int(match["done"]), int(match["base"]), int(match["of"]), *told)
