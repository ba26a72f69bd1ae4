"""How far name servers follow a zone, judged from the fence that each of them serves: pure.
What a server answers here decides nothing that is written; it is shown, and it says when a plan has propagated.
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dnsguard.core.fence import Fence
from dnsguard.core.history import Zone
from dnsguard.core.message import Unreachable
from dnsguard.core.written import Seen


class Standing(enum.Enum):
    """How a name server follows."""

    UNASKED = "unasked"
    CURRENT = "current"
    """It serves all that is published."""
    BEHIND = "behind"
    LAGGING = "lagging"
    """It is behind for longer than it should be."""
    SILENT = "silent"
    """It gives no usable answer."""
    FOREIGN = "foreign"
    """What it serves was not written from this history."""
    BACKWARDS = "backwards"
    """It serves less than it served before, as after a restore from an old copy."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the history says about fences that name servers serve."""

    zone: Zone
    ours: frozenset[Fence]
    """The fences among those asked about that were written from this history."""
    published_after: Mapping[int, float]
    """For each generation asked about, when the first one after it was published; missing if none was."""
    served: Mapping[str, int]
    """The generation that each name server is on record as having served."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one name server serves of a zone, as far as is known. Times are seconds since the epoch."""

    server: str
    standing: Standing = Standing.UNASKED
    since: float | None = None
    """Since when it stands so."""
    asked_at: float | None = None
    generation: int | None = None
    """The newest generation that it serves completely, as it last said; None if it never did."""
    highest: int = 0
    """The highest generation that it is known to have served."""
    behind: int = 0
    """How many generations it is behind what is published."""
    behind_since: float | None = None
    """When the first of them was published."""
    detail: str = ""


def completed(seen: Seen) -> int:
    """Return the generation that a server serves completely: a publication under way does not count as its target."""
    return 0 if seen.fence is None else seen.fence.base


def judge(before: Served, answer: Seen | Unreachable, tracked: Tracked, *, asked_at: float, lag_s_max: float) -> Served:
    """Return how a server stands after an answer."""
    highest = max(before.highest, tracked.served.get(before.server, 0))
    published = tracked.zone.published
    if isinstance(answer, Unreachable):
        now = replace(before, standing=Standing.SILENT, highest=highest, detail=answer.reason)
        return _dated(before, _measured(now, tracked), asked_at)
    if (answer.rdatas and answer.fence is None) or (answer.fence is not None and answer.fence not in tracked.ours):
        detail = f"expected a fence of history {tracked.zone.history}, found {answer.text}"
        now = replace(before, standing=Standing.FOREIGN, generation=None, highest=highest, detail=detail)
        return _dated(before, _measured(now, tracked), asked_at)
    generation = completed(answer)
    now = replace(before, generation=generation, highest=max(highest, generation), detail="")
    now = _measured(now, tracked)
    if generation < highest:
        standing = Standing.BACKWARDS
        now = replace(now, detail=f"expected generation {highest} or newer, as it served before, found {generation}")
    elif generation >= published:
        standing = Standing.CURRENT
    elif now.behind_since is not None and asked_at - now.behind_since > lag_s_max:
        standing = Standing.LAGGING
    else:
        standing = Standing.BEHIND
    return _dated(before, replace(now, standing=standing), asked_at)


def _measured(served: Served, tracked: Tracked) -> Served:
    at = served.generation or 0
    return replace(served, behind=max(0, tracked.zone.published - at), behind_since=tracked.published_after.get(at))


def _dated(before: Served, now: Served, asked_at: float) -> Served:
    since = before.since if now.standing is before.standing else asked_at
    return replace(now, since=since, asked_at=asked_at)


def propagated(served: Collection[Served], published: int) -> int | None:
    """Return the newest generation that every server serves by its last answer; None if one gave no usable one."""
    generations = [
        None if each.standing in {Standing.SILENT, Standing.FOREIGN, Standing.UNASKED} else each.generation
        for each in served
    ]
    known = [generation for generation in generations if generation is not None]
    return min([published, *known]) if len(known) == len(generations) else None
