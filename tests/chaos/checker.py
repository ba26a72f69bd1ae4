"""The checker of a run: decides from a history alone which invariants were broken, and says where. It imports nothing
of dnsguard: what a fence means, what may stand under it and what was promised is said here once more, from the
design's words. Each of its rules is shown to say no by a doctored history.

Each name server is judged by itself: a secondary may lag behind the primary, and one that was killed may come back
with what it had on disk; neither may step back or show an RRset empty while it lives. The primary never may.
NSD starts new processes for a new zone before it ends the old ones: for that moment, as the history says of it, it is
two servers that both lag, and what it showed counts against it from then on.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tests.chaos.history import PRIMARY, Contents, Fence, Look
from tests.chaos.place import NOWHERE, Place, place
from tests.chaos.promises import promises
from tests.chaos.story import Story, standing
from tests.chaos.violation import Violation

Shown = TypeVar("Shown", Fence, Look)


def check(story: Story) -> list[Violation]:
    """Return every violation that a zone's story proves, each once, by the invariants' numbers."""
    found = [
        violation
        for server in sorted(story.fences.keys() | story.sights.keys())
        for violation in (*_fences_forward(story, server), *_under_the_fence(story, server), *_forward(story, server))
    ]
    found += _fences_agree(story)
    found += promises(story, {look: place(look.text) or NOWHERE for look in story.fences.get(PRIMARY, ())})
    return sorted(dict.fromkeys(found), key=lambda violation: violation.number)


class _Shown:
    """What a server had shown by a time."""

    def __init__(self, looks: Iterable[Fence]) -> None:
        self._times: list[float] = []
        self._furthest: list[Place] = []
        for look in sorted(looks, key=lambda each: each.received):
            self._times.append(look.received)
            self._furthest.append(max(place(look.text) or NOWHERE, self._furthest[-1] if self._furthest else NOWHERE))

    def before(self, time: float) -> Place:
        """Return the furthest place that it had shown before a time."""
        index = bisect_left(self._times, time)
        return self._furthest[index - 1] if index else NOWHERE


def _fences_forward(story: Story, server: str) -> Iterator[Violation]:
    """2: compare each look at the fence with the furthest one that had ended before it began, in one life."""
    histories: set[str] = set()
    lasts_s = story.handovers.get(server, 0.0)
    for life in _lives(story, server, story.fences[server]):
        looks = [(look, at) for look in life if (at := place(look.text)) is not None]
        for look in life:
            if place(look.text) is None:
                yield Violation(2, f"{server} showed an unreadable fence of {story.zone}: {look.text}", look.received)
        histories |= {at.history for _, at in looks if at.generation}
        ended = sorted(looks, key=lambda each: each[0].received)
        furthest, base, index = NOWHERE, 0, 0
        for look, at in sorted(looks, key=lambda each: each[0].sent):
            while index < len(ended) and ended[index][0].received < look.sent - lasts_s:
                furthest, base = max(furthest, ended[index][1]), max(base, ended[index][1].base)
                index += 1
            back = at.step < furthest.step and not _begun_anew(story, at, furthest)
            if back or at.base < base:
                said = f"{server} showed {story.zone} at {at} after {furthest} with base {base}"
                yield Violation(2, said, look.received)
    if len(histories) > 1:
        yield Violation(2, f"{server} showed fences of several histories of {story.zone}: {sorted(histories)}")


def _begun_anew(story: Story, at: Place, furthest: Place) -> bool:
    """Tell whether a publication may have gone back to its beginning: a plan of it was rejected since."""
    both_under_way = at.generation == furthest.generation and not at.complete and not furthest.complete
    return both_under_way and bool(story.rejected(min(at.base, furthest.base), at.generation))


def _fences_agree(story: Story) -> Iterator[Violation]:
    """2: a generation is one and the same wherever it is seen, and so is a publication of it in parts."""
    told: dict[int, Place] = {}
    parts: dict[int, Place] = {}
    for server, looks in sorted(story.fences.items()):
        for look in looks:
            at = place(look.text)
            if at is None or not at.generation:
                continue
            first = told.setdefault(at.generation, at)
            if (at.history, at.digest) != (first.history, first.digest):
                said = f"{server} showed generation {at.generation} of {story.zone} as {at.history} {at.digest}"
                yield Violation(2, f"{said}, and it was seen as {first.history} {first.digest}", look.received)
            if at.complete:
                continue
            first = parts.setdefault(at.generation, at)
            begun = min(at.base, first.base)
            if (at.base, at.of) != (first.base, first.of) and not story.rejected(begun, at.generation):
                yield Violation(2, f"{server} showed {story.zone} at {at}, and it was seen at {first}", look.received)


def _under_the_fence(story: Story, server: str) -> Iterator[Violation]:
    """1, 3 and 7: each RRset is what the fence around it allows; under one fence it never changes."""
    under: dict[tuple[tuple[int, bool, int], int, str], set[Contents]] = defaultdict(set)
    lasts_s = story.handovers.get(server, 0.0)
    shown = _Shown(story.fences[server])
    for sight in story.sights[server]:
        if sight.before is None or sight.after is None:
            continue
        before, after = place(sight.before.text), place(sight.after.text)
        if before is None or after is None:
            continue  # the fence itself is at fault, and told of already
        look, same = sight.look, (before.step, before.of) == (after.step, after.of)
        if lasts_s:
            near = (before, after, shown.before(look.sent - lasts_s), shown.before(look.received + lasts_s))
            before, after = min(near, key=lambda each: each.base), max(near)
            same = same and (before.step, before.of) == (after.step, after.of)
        if after.generation < before.base:
            continue
        if same and before.generation:
            seen = under[before.step, before.of, look.key]
            seen.add(look.contents)
            if len(seen) > 1:
                said = f"{server} changed {look.key} under one fence, '{sight.before.text}': {sorted(map(str, seen))}"
                yield Violation(1, said, look.received)
        allowed = _allowed(story, look.key, before, after)
        if look.contents in allowed:
            continue
        where = f"{server} showed {look.key} between {before} and {after}"
        known = {standing(contents) for _, contents in story.changes(look.key)}
        if look.contents is None:
            yield Violation(3, f"{where} without records, and no plan retires it", look.received)
        elif look.contents not in known | {story.first.get(look.key)} and not _was_rejected(
            story, look.key, look.contents
        ):
            yield Violation(7, f"{where} as {look.contents}, which no plan ever said", look.received)
        else:
            said = f"{where} as {look.contents}, expected {' or '.join(sorted(map(str, allowed)))}"
            yield Violation(1, said, look.received)


def _allowed(story: Story, key: str, before: Place, after: Place) -> set[Contents]:
    """Return what an RRset may hold between two looks at the fence: as at the base, or as any plan since says.

    Under one fence that is complete this is one state. Between, a plan that was rejected may have been there.
    """
    allowed = {standing(story.at(key, before.base))}
    allowed |= {standing(contents) for _, contents in story.between(key, before.base, after.generation)}
    if before != after or not before.complete:
        for generation in story.rejected(before.base, after.generation):
            covered = story.covered(generation)
            if key in covered:
                allowed.add(standing(covered[key]))
    return allowed


def _was_rejected(story: Story, key: str, contents: Contents) -> bool:
    return any(story.covered(each).get(key) == contents for each in story.rejected(0, max(story.listed, default=0)))


def _forward(story: Story, server: str) -> Iterator[Violation]:
    """2 and 3, whatever the fence says: no RRset goes back to older contents, or empty where none retires it.

    Contents may recur. Each look is taken for the oldest change that it can be, given what was seen before it
    began; only if there is none has the RRset gone back.
    """
    for life in _lives(story, server, [sight.look for sight in story.sights[server]]):
        lines: dict[str, list[tuple[float, float, Contents]]] = defaultdict(list)
        for look in life:
            lines[look.key].append((look.sent, look.received, look.contents))
        for key, looks in lines.items():
            yield from _line_forward(story, server, key, sorted(looks, key=lambda each: each[1]))


def _line_forward(
    story: Story, server: str, key: str, looks: Sequence[tuple[float, float, Contents]]
) -> Iterator[Violation]:
    of: dict[Contents, list[int]] = defaultdict(list)
    of[story.first.get(key)].append(0)
    for generation, contents in story.changes(key):
        of[standing(contents)].append(generation)
    origins: list[tuple[float, int]] = []
    lasts_s = story.handovers.get(server, 0.0)
    for sent, received, contents in looks:
        bound = 0
        for ended, newest in reversed(origins):
            if ended < sent - lasts_s:
                bound = newest
                break
        generations = of.get(contents)
        if generations is None:
            if not _was_rejected(story, key, contents):
                yield Violation(7, f"{server} showed {key} as {contents}, which no plan ever said", received)
            continue
        origin = next((each for each in generations if each >= bound), None)
        if origin is None:
            number, how = (3, "without records") if contents is None else (2, f"as of generation {generations[-1]}")
            yield Violation(number, f"{server} showed {key} {how} after it had shown generation {bound}", received)
            continue
        origins.append((received, max(origin, origins[-1][1] if origins else 0)))


def _lives(story: Story, server: str, looks: Iterable[Shown]) -> Iterator[list[Shown]]:
    """Yield the looks of each life of a server. The primary has one only, however often it was killed."""
    all_looks = list(looks)
    if server == PRIMARY:
        yield all_looks
        return
    for since, until in story.lives(server):
        yield [look for look in all_looks if look.sent >= since and look.received <= until]
