"""The account of a run: its figures, whether it counts at all, and a table for people. It judges nothing."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.campaigns.account import gist
from tests.chaos.as_register import why_no_register
from tests.chaos.history import PRIMARY, Fence
from tests.chaos.kinds import FULL, KINDS
from tests.chaos.place import place
from tests.chaos.story import Story, is_probe
from tests.chaos.violation import NAMES, Violation

ACCEPTED_PER_S_MIN = 20.0
LOOKS_PER_S_MIN = 100.0
_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run was like, beyond what its history tells."""

    primary: str
    mode: str
    enclosed: bool
    seed: int
    began: float
    """When load began."""
    stormed: float
    """When faults were let loose."""
    impossible: Mapping[str, str]
    """The kinds of fault that cannot be here, and why."""
    without: Collection[str]
    """The kinds that the run was asked for without."""
    fired: Mapping[str, int]
    """Faults that had an effect."""
    idle: Mapping[str, int]
    """Faults that had none."""
    refused_writes: int
    held_rcodes: Mapping[int, int]
    unanswered: Sequence[str]
    """Who never had a final answer, and the last one that was none."""
    turned_away: int
    """Requests that the daemon on the small disk could not take."""
    unread: int
    words: Sequence[str]


@dataclass(slots=True)
class Account:
    """What a run came to."""

    conditions: Conditions
    stories: Mapping[str, Story]
    violations: Sequence[Violation]
    registers: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registers = {zone: why_no_register(story) for zone, story in self.stories.items()}

    def missing(self) -> list[str]:
        """Return why the run does not count; empty if it does."""
        conditions = self.conditions
        found = [
            f"expected at least {least:g} {what} a second before the first fault, found {rate:.1f}"
            for what, least, rate in (
                ("accepted plans", ACCEPTED_PER_S_MIN, self._accepted_per_s()),
                ("observations", LOOKS_PER_S_MIN, self._looks_per_s()),
            )
            if rate < least
        ]
        for kind in KINDS:
            if kind in conditions.without:
                continue
            if kind in conditions.impossible:
                found.append(f"{kind} is impossible here: {conditions.impossible[kind]} (--without '{kind}' allows it)")
            elif not conditions.fired.get(kind):
                found.append(f"no fault of the kind '{kind}' had an effect")
        if not conditions.refused_writes and conditions.mode == "guarded":
            found.append("no fenced write was refused: nothing shows that the fence was needed")
        if not self._told_everywhere() and conditions.mode == "guarded":
            found.append("no plan was told to have propagated")
        if conditions.fired.get(FULL) and not conditions.turned_away:
            found.append("nobody was turned away while the disk was full")
        found += [f"no answer in the end to {said}" for said in conditions.unanswered[:3]]
        if conditions.unread:
            found.append(f"of {conditions.unread} plans nobody could read in time what they cover")
        found += [
            f"of generation {story.unread()[0]} of {zone} nobody knows what it says"
            for zone, story in self.stories.items()
            if story.unread()
        ]
        return found

    def by_invariant(self) -> dict[str, int]:
        """Return how many violations there are of each invariant."""
        counts = Counter(violation.number for violation in self.violations)
        return {f"{number} {name}": counts[number] for number, name in NAMES.items()}

    def figures(self) -> dict[str, object]:
        """Return every figure, by its name for people."""
        conditions = self.conditions
        looks = sum(len(sights) for story in self.stories.values() for sights in story.sights.values())
        fences = sum(len(found) for story in self.stories.values() for found in story.fences.values())
        ended = [story.ended for story in self.stories.values() if story.ended is not None]
        converged = [end.at - end.since for end in ended if end.at is not None]
        faults = next(iter(self.stories.values())).faults
        return {
            "primary": conditions.primary,
            "mode": conditions.mode,
            "hosts": "network namespaces" if conditions.enclosed else "processes on loopback",
            "seed": conditions.seed,
            "seconds under faults": round(max((fault.ended for fault in faults), default=0) - conditions.stormed, 1),
            "faults": sum(conditions.fired.values()),
            "faults by kind": {kind: self._fired(kind) for kind in KINDS},
            "faults without an effect": dict(conditions.idle),
            "queries answered": looks + fences,
            "RRsets looked at": looks,
            "observations a second before the first fault": round(self._looks_per_s(), 1),
            "plans accepted": self._accepted(),
            "accepted plans a second before the first fault": round(self._accepted_per_s(), 1),
            "plans told to have propagated": self._told_everywhere(),
            "plans rejected": sum(
                story.state_of(generation) == "rejected"
                for story in self.stories.values()
                for generation in story.listed
            ),
            "refused, and an earlier attempt accepted later": sum(
                answer.generation is None
                and answer.retried
                and answer.plan in {each.plan for listings in story.listed.values() for each in listings}
                for story in self.stories.values()
                for answer in story.answered
            ),
            "probes of the fence left behind": sum(
                is_probe(key, zone) for zone, story in self.stories.items() for key in story.last.get(PRIMARY, ())
            ),
            "fenced writes refused": conditions.refused_writes,
            "writes held back while their enactor stood still, by answer": dict(conditions.held_rcodes),
            "requests turned away while the disk was full": conditions.turned_away,
            "violations": len(self.violations),
            "violations by invariant": self.by_invariant(),
            "longest from accepted to published, s": self._longest_s(),
            "from the last fault to convergence, s": round(max(converged), 2)
            if converged and len(converged) == len(ended)
            else None,
            "fences are linearizable registers": all(why is None for why in self.registers.values()),
            "errors in the daemons' logs": len(conditions.words),
        }

    def table(self) -> str:
        """Return the figures and whatever was wrong, for people."""
        lines: list[tuple[str, object]] = []
        for name, figure in self.figures().items():
            if isinstance(figure, dict):
                lines += [(name, ""), *((f"  {inner}", count) for inner, count in figure.items())]
            else:
                lines.append((name, figure))
        width = max(len(name) for name, _ in lines)
        text = [f"{name:<{width}}  {figure}".rstrip() for name, figure in lines]
        text += [f"VIOLATION {violation}" for violation in self.violations[:_SHOWN_MAX]]
        text += [f"NOT A REGISTER: {zone}: {why}" for zone, why in self.registers.items() if why is not None]
        text += [f"DOES NOT COUNT: {what}" for what in self.missing()]
        words = Counter(map(gist, self.conditions.words))
        text += [f"LOG: {said} ({times} times)" for said, times in words.most_common(_SHOWN_MAX)]
        return "\n".join(text)

    def _fired(self, kind: str) -> int | str:
        """Return how often faults of a kind had an effect, or why there are none."""
        conditions = self.conditions
        if kind in conditions.impossible:
            return f"impossible here: {conditions.impossible[kind]}"
        return "left out" if kind in conditions.without else conditions.fired.get(kind, 0)

    def _told_everywhere(self) -> int:
        return sum(
            len({answer.generation for answer in story.answered if answer.propagated})
            for story in self.stories.values()
        )

    def _accepted(self) -> int:
        return len({place for place, _ in self._acceptances()})

    def _acceptances(self) -> Iterator[tuple[tuple[str, int], float]]:
        """Yield zone, generation and time of each answer that a plan is accepted; some come twice."""
        for zone, story in self.stories.items():
            for answer in story.answered:
                if answer.generation is not None:
                    yield (zone, answer.generation), answer.at

    def _before(self) -> float:
        return max(0.001, self.conditions.stormed - self.conditions.began)

    def _accepted_per_s(self) -> float:
        first = {place for place, at in self._acceptances() if self.conditions.began <= at < self.conditions.stormed}
        return len(first) / self._before()

    def _looks_per_s(self) -> float:
        first = [
            sight
            for story in self.stories.values()
            for sights in story.sights.values()
            for sight in sights
            if self.conditions.began <= sight.look.received < self.conditions.stormed
        ]
        return len(first) / self._before()

    def _longest_s(self) -> dict[str, float]:
        """Return the longest time from an answer 2xx to a fence that was past the plan, by faults meanwhile."""
        longest: dict[str, float] = {}
        for story in self.stories.values():
            times, bases = _advances(story.fences.get(PRIMARY, ()))
            faults = sorted(story.faults, key=lambda fault: fault.begun)
            begun = [fault.begun for fault in faults]
            widest = max((fault.ended - fault.begun for fault in faults), default=0.0)
            for answer in story.answered:
                if answer.generation is None or (index := bisect_left(bases, answer.generation)) >= len(times):
                    continue
                published = max(times[index], answer.at)
                near = faults[bisect_left(begun, answer.at - widest) : bisect_left(begun, published)]
                kinds = {fault.what for fault in near if fault.ended > answer.at} or {"no fault"}
                for kind in kinds:
                    longest[kind] = max(longest.get(kind, 0.0), published - answer.at)
        return {kind: round(seconds, 2) for kind, seconds in sorted(longest.items())}


def _advances(fences: Sequence[Fence]) -> tuple[list[float], list[int]]:
    """Return when each newer complete generation was seen first."""
    times: list[float] = []
    bases: list[int] = []
    for look in sorted(fences, key=lambda each: each.received):
        at = place(look.text)
        if at is not None and at.base > (bases[-1] if bases else 0):
            times.append(look.received)
            bases.append(at.base)
    return times, bases
