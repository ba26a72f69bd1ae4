"""What was seen from outside during a campaign, as frozen values: answers of the name server, answers given to
planners, and at the end the history that the API shows. The judge knows nothing else. Times are of one monotonic
clock, in seconds; each look at the name server has the moment before its question and the one after its answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dnsguard.core.fence import Fence
from dnsguard.core.history import Entry
from dnsguard.core.plan import Change, Wanted
from dnsguard.core.records import Key, Records

_NUMBER = re.compile(r"plan (\d+)")


@dataclass(frozen=True, slots=True)
class FenceLook:
    """The fence as the name server showed it; ``text`` is what stood there if that was no fence."""

    observer: int
    fence: Fence | None
    sent: float
    received: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One RRset as the name server showed it, None if absent, between two looks of one observer at the fence."""

    key: Key
    found: Records | None
    before: FenceLook
    after: FenceLook
    sent: float
    received: float

    @property
    def stable(self) -> bool:
        """Whether no UPDATE can have been between the two looks at the fence: its values never recur."""
        return self.before.fence == self.after.fence


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that a planner asked for. ``wanted`` is None for a rollback: its contents are those at ``to``."""

    number: int
    kind: str
    wanted: Mapping[Key, Wanted] | None
    to: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A final answer to a wish: the plan's generation and state, or a refusal without one. ``at``: when it came.

    ``unchanged``: the wish changes nothing, and the generation is one that has what it wants.
    """

    number: int
    status: int
    at: float
    generation: int | None = None
    state: str = ""
    sendings: int = 1
    detail: str = ""
    unchanged: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the client was told that its plan is durable, even if rejected afterwards."""
        return self.generation is not None


@dataclass(frozen=True, slots=True)
class Testimony:
    """All of it. ``zone_at_begin`` and ``zone_at_end`` are transfers before the first plan and after convergence,
    without the SOA and the fence.

    ``converged_s`` is the time from the last kill until the newest generation stood and every plan was settled,
    None if that did not come.
    """

    fences: tuple[FenceLook, ...]
    looks: tuple[Look, ...]
    wishes: Mapping[int, Wish]
    replies: tuple[Reply, ...]
    entries: tuple[Entry, ...]
    changes: tuple[Change, ...]
    zone_at_begin: Mapping[Key, Records]
    zone_at_end: Mapping[Key, Records]
    fence_at_end: Fence | None
    newest: int
    converged_s: float | None

    __test__ = False


def reason_of(number: int) -> str:
    """Return the reason under which a wish stands in the history."""
    return f"plan {number}"


def number_of(entry: Entry) -> int | None:
    """Return which wish an entry in the history is, None if it is nobody's."""
    match = _NUMBER.fullmatch(entry.reason)
    return None if match is None else int(match[1])
