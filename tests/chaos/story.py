"""A zone's story, put together from the lines of a history: who asked for what, which generation says what, and what
each server showed when. It is order and look-up only; what may be and what may not, the checker says.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.history import (
    UNCOVERED,
    Answered,
    Anything,
    Contents,
    Down,
    Ended,
    Fault,
    Fence,
    Handover,
    Listed,
    Look,
    Said,
    Silence,
    Stood,
    Submitted,
    Transferred,
)

ON_THE_WIRE = frozenset({"published", "superseded"})
"""States of which a client is told only once the primary stands at the plan, or past it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A look at an RRset with the looks at the fence around it, by the same observer; None if there was none."""

    look: Look
    before: Fence | None
    after: Fence | None


@dataclass(slots=True)
class Story:
    """One zone's run."""

    zone: str
    submitted: dict[int, Submitted] = field(default_factory=dict)
    answered: list[Answered] = field(default_factory=list)
    listed: dict[int, list[Listed]] = field(default_factory=lambda: defaultdict(list))
    said: dict[int, dict[str, Contents]] = field(default_factory=dict)
    stood: list[Stood] = field(default_factory=list)
    fences: dict[str, list[Fence]] = field(default_factory=lambda: defaultdict(list))
    sights: dict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))
    downs: dict[str, list[Down]] = field(default_factory=lambda: defaultdict(list))
    handovers: dict[str, float] = field(default_factory=dict)
    """Servers whose old process answers beside the new one at a change, and for how long at most."""
    first: dict[str, Contents] = field(default_factory=dict)
    last: dict[str, dict[str, Contents]] = field(default_factory=dict)
    ended: Ended | None = None
    faults: list[Fault] = field(default_factory=list)
    _changes: dict[str, list[tuple[int, Contents]]] = field(default_factory=dict)
    _generations: dict[str, list[int]] = field(default_factory=dict)
    _rejected: list[int] | None = None

    def settle(self) -> None:
        """Work out what each generation says, once all lines are in: as the API showed it, else as it was asked."""
        changes: dict[str, list[tuple[int, Contents]]] = defaultdict(list)
        for generation in sorted(self.listed.keys() | self.said.keys()):
            if self.state_of(generation) == "rejected":
                continue
            for key, contents in self.covered(generation).items():
                changes[key].append((generation, contents))
        self._changes = dict(changes)
        self._generations = {key: [generation for generation, _ in mine] for key, mine in changes.items()}

    def covered(self, generation: int) -> dict[str, Contents]:
        """Return what a generation says."""
        if (said := self.said.get(generation)) is not None:
            return said
        for listed in self.listed.get(generation, ()):
            submitted = None if listed.plan is None else self.submitted.get(listed.plan)
            if submitted is not None and submitted.wanted is not None:
                return submitted.wanted
        return {}

    def unread(self) -> list[int]:
        """Return the generations of which nobody knows what they say."""
        return [
            generation
            for generation in self.listed
            if generation not in self.said and not self.covered(generation) and self.state_of(generation) != "rejected"
        ]

    def state_of(self, generation: int) -> str:
        """Return a plan's state as it was listed last, empty if it never was."""
        listed = self.listed.get(generation)
        return max(listed, key=lambda each: each.at).state if listed else ""

    def rejected(self, above: int, upto: int) -> list[int]:
        """Return the generations of rejected plans above one generation, up to another."""
        if self._rejected is None:
            self._rejected = sorted(each for each in self.listed if self.state_of(each) == "rejected")
        return self._rejected[bisect_right(self._rejected, above) : bisect_right(self._rejected, upto)]

    def asked(self) -> dict[int, float]:
        """Return when generations were asked for, as far as they are somebody's plan."""
        return {
            generation: submitted.at
            for generation, listings in self.listed.items()
            if (plan := listings[-1].plan) is not None and (submitted := self.submitted.get(plan)) is not None
        }

    def known_by(self, generation: int) -> float:
        """Return by when a generation had been accepted for certain: it was told, or a newer one was."""
        told = [(listing.generation, listing.at) for listings in self.listed.values() for listing in listings]
        told += [(answer.generation or 0, answer.at) for answer in self.answered]
        return min((at for newer, at in told if newer >= generation), default=float("inf"))

    @property
    def keys(self) -> Iterable[str]:
        """Every RRset that some plan covers."""
        return self._changes

    def changes(self, key: str) -> Sequence[tuple[int, Contents]]:
        """Return an RRset's changes as generation and contents, in order."""
        return self._changes.get(key, ())

    def at(self, key: str, generation: int) -> Contents:
        """Return an RRset's contents in the state at a generation; before its first plan it is as at the beginning."""
        index = bisect_right(self._generations.get(key, ()), generation)
        return self._changes[key][index - 1][1] if index else self.first.get(key)

    def between(self, key: str, above: int, upto: int) -> Sequence[tuple[int, Contents]]:
        """Return an RRset's changes above one generation, up to another."""
        generations = self._generations.get(key, ())
        low, high = bisect_right(generations, above), bisect_right(generations, upto)
        return self._changes[key][low:high] if low < high else ()

    def lives(self, server: str) -> list[tuple[float, float]]:
        """Return when a server was up without a break, as far as is known."""
        times = [-1.0]
        for down in sorted(self.downs[server], key=lambda each: each.since):
            times += [down.since, down.until]
        times.append(float("inf"))
        return list(zip(times[::2], times[1::2], strict=True))


def stories(lines: Iterable[Anything]) -> dict[str, Story]:
    """Tell a history apart by zones. The lines of one observer must be in its order."""
    found: dict[str, Story] = {}
    before: dict[tuple[str, int], Fence] = {}
    waiting: dict[tuple[str, int], Look] = {}
    known: dict[tuple[str, int], Fence | None] = {}
    downs: list[Down] = []
    faults: list[Fault] = []
    handovers: dict[str, float] = {}

    def sight(place: tuple[str, int], after: Fence | None) -> None:
        if (look := waiting.pop(place, None)) is not None:
            beside = after if after is not None and after.zone == look.zone else None
            told(look.zone).sights[look.server].append(Sight(look, known[place], beside))

    def told(zone: str) -> Story:
        if zone not in found:
            found[zone] = Story(zone)
        return found[zone]

    for line in lines:
        match line:
            case Fence():
                place = (line.server, line.observer)
                sight(place, line)
                told(line.zone).fences[line.server].append(line)
                before[place] = line
            case Look():
                place = (line.server, line.observer)
                sight(place, None)
                earlier = before.pop(place, None)
                known[place] = earlier if earlier is not None and earlier.zone == line.zone else None
                waiting[place] = line
            case Silence():
                place = (line.server, line.observer)
                sight(place, None)
                before.pop(place, None)
            case Submitted():
                told(line.zone).submitted[line.plan] = line
            case Answered():
                told(line.zone).answered.append(line)
            case Listed():
                told(line.zone).listed[line.generation].append(line)
            case Said():
                told(line.zone).said[line.generation] = line.contents
            case Stood():
                told(line.zone).stood.append(line)
            case Transferred(last=True):
                told(line.zone).last[line.server] = line.contents
            case Transferred():
                told(line.zone).first = line.contents
            case Ended():
                told(line.zone).ended = line
            case Down():
                downs.append(line)
            case Handover():
                handovers[line.server] = line.lasts_s
            case Fault():
                faults.append(line)
    for place in list(waiting):
        sight(place, None)
    for story in found.values():
        for down in downs:
            story.downs[down.server].append(down)
        story.faults, story.handovers = faults, handovers
        story.settle()
    return found


def standing(contents: Contents) -> Contents:
    """Return what is on the wire for contents that a plan gives: nothing where it retires."""
    return None if contents == UNCOVERED else contents


def is_probe(key: str, zone: str) -> bool:
    """Tell whether an RRset is a daemon's own, with which it looks whether the fence holds: no plan is made of it."""
    return key.endswith(f".probe._dnsguard.{zone} TXT")
