"""A guard's no, as a value: recorded, counted and explained, never raised; and which RRsets a server's no is about."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from dnsguard.core.records import Key

REFUSALS_MAX = 100
"""So many refusals of one plan are listed; nothing is counted beyond."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard's no: which guard, the sentence for people, what it expected and what it found."""

    guard: str
    detail: str
    expected: str
    found: str
    about: tuple[tuple[str, str | int], ...] = ()
    """Facts for programs, by name, such as ``newest`` and its number."""
    key: Key | None = None
    """The RRset of the plan that is refused, where it is one."""
    further: tuple["Refusal", ...] = ()
    """What else is refused, of the same plan: at most 100 in all, and each without further ones."""

    def all(self) -> Iterator["Refusal"]:
        """Yield this refusal and the further ones, each for itself."""
        yield replace(self, further=()) if self.further else self
        yield from self.further


def collect(refusals: Iterable[Refusal]) -> Refusal | None:
    """Return the first refusal with all the others as further ones; None if there is none."""
    found = list(islice((each for refusal in refusals for each in refusal.all()), REFUSALS_MAX))
    return replace(found[0], further=tuple(found[1:])) if found else None


class Suspect(NamedTuple):
    """An RRset that a plan was probably rejected for, and why it is suspected."""

    key: Key
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"
