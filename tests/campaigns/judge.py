"""The judge of a campaign: decides from testimony alone whether an invariant was broken, and says where.
It asks the invariants of `dnsguard.core.invariants`; that each of them can say no is shown by doctored testimony.
Nothing here knows how the daemon works.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import PlanState
from dnsguard.core.invariants import (
    Violation,
    accountable,
    forward,
    healed,
    never_empty,
    nothing_lost,
    origins,
    prefix,
    unchanged_kept,
)
from dnsguard.core.plan import Absence, Change, make_plan, state_at
from dnsguard.core.records import Key, Records
from tests.campaigns.testimony import FenceLook, Look, Testimony, number_of

CONVERGED_S_MAX = 10.0


class History:
    """The changes of a campaign, to be asked for windows of generations. Before the first all RRsets are absent."""

    def __init__(self, changes: Iterable[Change], keys: Iterable[Key]) -> None:
        begun = [Change(key, Absence.RETIRED, 0) for key in sorted(set(keys))]
        self.changes = begun + sorted(changes, key=attrgetter("generation"))
        self._generations = [change.generation for change in self.changes]
        self._of: dict[Key, list[Change]] = defaultdict(list)
        for change in self.changes:
            self._of[change.key].append(change)

    def of(self, key: Key) -> Sequence[Change]:
        """Return all changes of one RRset."""
        return self._of[key]

    def between(self, base: int, upto: int) -> list[Change]:
        """Return the changes above one generation, up to another."""
        return self.changes[bisect_right(self._generations, base) : bisect_right(self._generations, upto)]

    def from_base(self, key: Key, base: int, upto: int) -> list[Change]:
        """Return one RRset's newest change at or below ``base`` and all of its changes since, up to ``upto``."""
        mine = self._of[key]
        first = bisect_right(mine, base, key=attrgetter("generation"))
        last = bisect_right(mine, upto, key=attrgetter("generation"))
        return mine[max(0, first - 1) : last]


def judge(testimony: Testimony) -> list[Violation]:
    """Return every violation that the testimony proves, each once, in the order of the invariants' numbers."""
    history = History(testimony.changes, (look.key for look in testimony.looks))
    found = [
        *_fence_forward(testimony.fences),
        *_as_the_fence_says(history, testimony.looks),
        *_rrsets_forward(history, testimony.looks),
        *_plans_kept(testimony),
        *_plans_as_asked(testimony),
        *_published_when_said(testimony),
        *_ended_well(history, testimony),
    ]
    return sorted(dict.fromkeys(found), key=attrgetter("number"))


def _span(look: Look) -> Fence | None:
    """Return the fence that held while an RRset was looked at, or one that allows all between the two seen."""
    before, after = look.before.fence, look.after.fence
    if look.stable or after is None:
        return after
    base = 0 if before is None else before.base
    return Fence(after.history, after.generation, after.digest, Progress(base, 0, 1))


def _fence_forward(fences: Sequence[FenceLook]) -> Iterator[Violation]:
    """Compare each look at the fence with the furthest one that had ended before it began."""
    seen: list[tuple[float, Fence | None]] = []
    for look in sorted(fences, key=attrgetter("received")):
        if look.text:
            yield Violation(2, "forward", f"at {look.received:.3f} the fence was unreadable: {look.text}")
            continue
        index = bisect_left(seen, look.sent, key=lambda each: each[0])
        furthest = seen[index - 1][1] if index else None
        if (violation := forward(furthest, look.fence, {}, {})) is not None:
            yield violation
        newest = seen[-1][1] if seen else None
        seen.append((look.received, look.fence if forward(newest, look.fence, {}, {}) is None else newest))


def _as_the_fence_says(history: History, looks: Sequence[Look]) -> Iterator[Violation]:
    """Check each RRset against the state at the fence around it; looks under one fence are checked together."""
    groups: dict[Fence, dict[Key, set[Records | None]]] = defaultdict(lambda: defaultdict(set))
    for look in looks:
        if (fence := _span(look)) is not None and fence.base <= fence.generation:
            groups[fence][look.key].add(look.found)
    for fence, seen in groups.items():
        window = history.between(fence.base, fence.generation)
        wires = [dict[Key, Records]()] * max(len(found) for found in seen.values())
        for index in range(len(wires)):
            here = {key: sorted(found, key=repr)[index] for key, found in seen.items() if index < len(found)}
            bases = [change for key in here for change in history.from_base(key, fence.base, fence.base)]
            wire = {key: found for key, found in here.items() if found is not None}
            if (violation := prefix(bases + window, fence, wire, here.keys())) is not None:
                yield violation


@dataclass(slots=True)
class _Line:
    """What was seen of one RRset so far: when, the newest origin up to then, and the last records."""

    received: list[float] = field(default_factory=list)
    newest: list[int] = field(default_factory=list)
    held: list[tuple[float, Records]] = field(default_factory=list)
    last: tuple[Records | None, int, int] | None = None


def _rrsets_forward(history: History, looks: Sequence[Look]) -> Iterator[Violation]:
    """Follow each RRset through all that was seen of it: no step back, never empty, always from some plan."""
    lines: dict[Key, _Line] = defaultdict(_Line)
    for look in sorted(looks, key=attrgetter("received")):
        key, line = look.key, lines[look.key]
        index = bisect_left(line.received, look.sent)
        bound = line.newest[index - 1] if index else 0
        if line.last is not None and line.last[:2] == (look.found, bound):
            origin = line.last[2]
        else:
            wire = {} if look.found is None else {key: look.found}
            origin = origins(history.of(key), wire, {key: bound}).get(key, -1)
            line.last = (look.found, bound, origin)
        if origin < 0 and look.found is not None:
            yield Violation(7, "accountable", f"{key} showed {_plain(look.found)}, which no plan ever said")
            continue
        if origin >= 0 and (violation := forward(None, None, {key: bound}, {key: origin})) is not None:
            yield violation
        if look.found is None:
            yield from _empty(history, look, line)
        else:
            line.held.append((look.received, look.found))
        line.received.append(look.received)
        line.newest.append(max(bound, origin, line.newest[-1] if line.newest else 0))


def _empty(history: History, look: Look, line: _Line) -> Iterator[Violation]:
    held = bisect_left(line.held, look.sent, key=lambda each: each[0])
    fence = _span(look)
    if not held or fence is None:
        return
    changes = history.from_base(look.key, fence.base, fence.generation)
    violation = never_empty(changes, fence, {look.key: line.held[held - 1][1]}, {})
    if violation is not None:
        yield violation


def _plans_kept(testimony: Testimony) -> Iterator[Violation]:
    """Check that what was answered 2xx is in the history exactly once, and what was refused is not."""
    numbers = [number for entry in testimony.entries if (number := number_of(entry)) is not None]
    entries = {entry.generation: entry for entry in testimony.entries}
    if len(entries) != len(testimony.entries):
        yield Violation(4, "nothing lost", "the history has a generation twice")
    for number, times in Counter(numbers).items():
        if times > 1:
            yield Violation(4, "nothing lost", f"plan {number} is in the history {times} times")
        if number not in testimony.wishes:
            yield Violation(7, "accountable", f"plan {number} is in the history, and nobody asked for it")
    told: dict[int, set[int]] = defaultdict(set)
    refused: set[int] = set()
    unchanged = {reply.number for reply in testimony.replies if reply.unchanged}
    for reply in testimony.replies:
        if reply.generation is not None:
            told[reply.number].add(reply.generation)
        else:
            refused.add(reply.number)
    for number, generations in told.items():
        if len(generations) > 1:
            yield Violation(4, "nothing lost", f"plan {number} was answered as generations {sorted(generations)}")
        for generation in generations:
            violation = nothing_lost([generation], entries, quiet=True)
            if violation is None and number in unchanged:
                violation = _unchanged(testimony, number, generation)
            elif violation is None and number_of(entries[generation]) != number:
                said = f"generation {generation} was told for plan {number} and is {entries[generation].reason!r}"
                violation = Violation(4, "nothing lost", said)
            if violation is not None:
                yield violation
    for number in sorted(refused & set(numbers)):
        yield Violation(4, "nothing lost", f"plan {number} was refused, and is in the history")


def _unchanged(testimony: Testimony, number: int, generation: int) -> Violation | None:
    """Check that the state at the generation with which "unchanged" was answered is what the wish wanted."""
    wanted = testimony.wishes[number].wanted
    rejected = any(entry.state is PlanState.REJECTED for entry in testimony.entries if entry.generation == generation)
    if not wanted or rejected:
        return None
    return unchanged_kept(testimony.changes, generation, make_plan("", wanted))


def _plans_as_asked(testimony: Testimony) -> Iterator[Violation]:
    """Check that the history says of each plan what its planner asked for, and of a rollback what stood then."""
    said: dict[int, dict[Key, object]] = defaultdict(dict)
    for change in testimony.changes:
        said[change.generation][change.key] = change.wanted
    history = History(testimony.changes, ())
    for entry in testimony.entries:
        number = number_of(entry)
        wish = None if number is None else testimony.wishes.get(number)
        if wish is None or entry.state is PlanState.REJECTED:
            continue
        wanted: dict[Key, object] = dict(wish.wanted or {})
        if wish.to is not None:
            reach = {key: history.from_base(key, wish.to, wish.to) for key in said[entry.generation]}
            wanted = {key: changes[-1].wanted for key, changes in reach.items() if changes}
        if said[entry.generation] != wanted:
            yield Violation(7, "accountable", f"generation {entry.generation} is not what plan {number} asked for")


def _published_when_said(testimony: Testimony) -> Iterator[Violation]:
    """Check that the fence is past every plan of which a client was told that it is published."""
    told = sorted(
        (reply.at, reply.generation)
        for reply in testimony.replies
        if reply.generation is not None and reply.state in {"published", "superseded"}
    )
    newest = 0
    ahead = [(at, newest := max(newest, generation)) for at, generation in told]
    for look in testimony.fences:
        index = bisect_left(ahead, look.sent, key=lambda each: each[0])
        base = 0 if look.fence is None else look.fence.base
        if index and base < ahead[index - 1][1]:
            said = f"generation {ahead[index - 1][1]} was told to be published while the zone stood at '{look.fence}'"
            yield Violation(4, "nothing lost", said)


def _ended_well(history: History, testimony: Testimony) -> Iterator[Violation]:
    """Check that the zone converged in time, and shows the newest state, what no plan named, and nothing else."""
    took = testimony.converged_s
    if took is None or took > CONVERGED_S_MAX:
        said = "never" if took is None else f"after {took:.1f} s"
        yield Violation(6, "self-healing", f"expected convergence within {CONVERGED_S_MAX:g} s, found it {said}")
    if (violation := healed(testimony.newest, testimony.fence_at_end)) is not None:
        yield violation
    expected = {**testimony.zone_at_begin, **state_at(history.changes, testimony.newest)}
    found = testimony.zone_at_end
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            said = f"at the end expected {key} to be {_plain(expected.get(key))}, found {_plain(found.get(key))}"
            yield Violation(1, "prefix", said)
    entries = {entry.generation: entry for entry in testimony.entries}
    if (violation := accountable(testimony.changes, entries, found)) is not None:
        yield violation


def _plain(records: Records | None) -> str:
    return "absent" if records is None else f"TTL {records.ttl} {' '.join(rdata.hex() for rdata in records.rdatas)}"
