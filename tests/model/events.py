"""The events of a trace: what the real code did, effect by effect, in the words of the specification.
Values only; `recording` writes them down, and `refinement` replays them.
"""

from dataclasses import dataclass
from typing import Literal

from dnsguard.core.fence import Fence
from dnsguard.core.records import Key
from tests.model.world import ABSENT, Place

Outcome = Literal["applied", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The store took a plan."""

    generation: int
    covered: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The store answered that a plan changes nothing: its contents come from plans up to a generation."""

    generation: int
    covered: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """The primary showed its fence (to an enactor, or to a clean-up with or without the whole zone)."""

    fence: Place


@dataclass(frozen=True, slots=True)
class Fetched:
    """The store gave what there is to publish, each RRset with the generation of its contents.

    ``aside``: what of it could not be rejected any more when the primary refused it; its enactor may leave that out.
    ``arranged``: the orders in which it may be published, with and without that, by version; empty: as it is.
    """

    base: int
    target: int
    changes: tuple[tuple[Key, int], ...]
    aside: frozenset[tuple[Key, int]] = frozenset()
    arranged: tuple[tuple[int, tuple[tuple[Key, int], ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """An UPDATE was sent. ``prerequisite`` is the fence's, None if none travelled with it; ``touched`` has the RRsets
    that it changes with the generation of what it gives them, 0 for contents that were not fetched.
    """

    prerequisite: Place | None
    next: Place
    touched: tuple[tuple[Key, int], ...]
    outcome: Outcome
    silent: frozenset[Key] = frozenset()
    """Those of which it may say nothing: withdrawn, or retired in a layout that builds first."""
    backs: tuple[tuple[Key, int], ...] = ()
    """The RRsets whose name gets an alias for a rollback, with the generation of the node that it names."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The store wrote down a fence."""

    fence: Place


@dataclass(frozen=True, slots=True)
class Pruned:
    """The store forgot what was superseded up to a generation."""

    upto: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A node was deleted at the primary, or not. ``aliases``: the generations that the name's alias and its rollback
    must name for that, 0 for none; None if the message asks for nothing.
    """

    rrset: Key
    generation: int
    outcome: Outcome
    aliases: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Unmarked:
    """The marker that keeps a bare node's name in existence was deleted, or not."""

    owner: str
    generation: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Strange:
    """A message touched what nothing that the specification knows touches in this way."""

    key: Key


@dataclass(frozen=True, slots=True)
class Rejected:
    """The store was asked to mark a plan rejected, and appended one that puts back what stood: 0 if nothing did, None
    if it left the plan as it was.
    """

    generation: int
    appended: int | None
    suspect: bool = True
    """Whether the last message with contents that its actor sent, and that was not taken, had the plan's in it."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An operator took a plan back, and the store appended a barrier."""

    generation: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """The actor is gone; the next of its name knows nothing."""


Act = (
    Accepted
    | Unchanged
    | Observed
    | Fetched
    | Published
    | Recorded
    | Pruned
    | Deleted
    | Unmarked
    | Strange
    | Rejected
    | Withdrawn
    | Crashed
)


@dataclass(frozen=True, slots=True)
class Event:
    """One effect, in the order in which the world saw them: who did what."""

    actor: str
    act: Act


def place_of(fence: Fence | None) -> Place:
    """Return where a fence says that the zone stands."""
    if fence is None:
        return ABSENT
    part = fence.progress
    if part is None:
        return Place(fence.generation, fence.generation)
    return Place(fence.generation, part.base, part.done, part.of, part.order)
