"""Who is to blame when a primary takes updates but not these contents: narrowed down, run by run.
Whole plans are halved while nothing of a publication is on the wire; messages are halved once some of it is.
Only a plan that was refused alone, several times, while an update without its contents was taken, is to blame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dnsguard.core.fence import Fence
from dnsguard.core.plan import Change, Wanted
from dnsguard.core.records import Key

STRIKES_MAX = 3
"""A server may refuse an innocent message once: Knot fails a whole batch for one bad neighbour."""
TROUBLE = "SERVFAIL"
"""What a server says of its own trouble, and BIND and Knot of some contents, too."""
TROUBLED_STRIKES_APART_S = 1.0
"""A server's own trouble may last: strikes within milliseconds of each other would all be of one moment of it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What an enactor knows of refused contents. ``read``: look at unmanaged names before writing.

    It is known of one state of the zone, ``about``: with another fence all of it is forgotten. Without that, a
    target that was tried before somebody put the fence back would be published over what is newer.
    """

    about: str = ""
    read: bool = False
    target: int | None = None
    """Publish only up to here, to try the older half of the plans alone."""
    overtake: int | None = None
    """Leave a publication under way for this newer generation."""
    rrsets_max: int | None = None
    suspect: int | None = None
    strikes: int = 0
    struck_at: float = 0.0
    aside: frozenset[tuple[Key, int, Wanted]] = frozenset()
    """Contents that the zone goes on without: nothing can be put in their place, and the record says so.

    By what they are, and not by their generation alone: a database put back to a backup may give that to others.
    """

    def split(self, changes: tuple[Change, ...]) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """Return what is to be written, and apart from it the names all of whose changes are set aside."""
        if not self.aside:
            return changes, ()
        open_names = {c.key.name for c in changes if (c.key, c.generation, c.wanted) not in self.aside}
        return (
            tuple(change for change in changes if change.key.name in open_names),
            tuple(change for change in changes if change.key.name not in open_names),
        )

    def halved(self, count: int) -> int:
        """Return how many RRsets may go into a message after one of so many was refused."""
        return max(1, min(count, self.rrsets_max or count) // 2)

    def rests(self, now: float) -> bool:
        """Tell whether the last strike is so short a time ago that another would say nothing new; clocks may jump."""
        return self.strikes > 0 and abs(now - self.struck_at) < TROUBLED_STRIKES_APART_S

    def target_from(self, fence: Fence | None) -> int | None:
        """Return the generation to publish next, None for the usual one."""
        wanted = self.overtake if self.overtake is not None else self.target
        at = 0 if fence is None else fence.generation
        return wanted if wanted is not None and wanted > at else None


CERTAIN = Doubt()


def narrowed(
    doubt: Doubt, part: Sequence[Change], changes: Sequence[Change], now: float, *, base: int, resuming: bool
) -> tuple[Doubt, int | None]:
    """Return the next doubt after a message's contents were refused, and the plan to reject once it is certain.

    ``part`` is what the message carried, of the ``changes`` that are to be published; neither is empty. What stands
    since ``base`` or before is only written beside a change, such as the NS beside a new DS: it is not to blame, and
    without it there is nothing to try.
    """
    if resuming:
        generations = _above(base, part)
        # Several names in a message of one RRset point at each other in a cycle: they are never published apart.
        alone = len(generations) == 1 or len({change.key.name for change in part}) == 1 or doubt.rrsets_max == 1
        narrower = replace(doubt, rrsets_max=doubt.halved(len(part)))
    else:
        generations = _above(base, changes)
        alone = len(generations) == 1
        narrower = replace(doubt, overtake=None, target=generations[(len(generations) - 1) // 2])
    if not alone:
        return narrower, None
    suspect = generations[-1]
    strikes = doubt.strikes + 1 if doubt.suspect == suspect else 1
    return replace(doubt, suspect=suspect, strikes=strikes, struck_at=now), suspect if strikes >= STRIKES_MAX else None


def _above(base: int, changes: Sequence[Change]) -> list[int]:
    generations = sorted({change.generation for change in changes})
    return [generation for generation in generations if generation > base] or generations
