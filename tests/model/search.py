"""Looks at every state of the specification, breadth first, and tells the shortest story of each broken promise.
Enactors are alike, so states that differ only in who is who count as one. Nothing is sampled.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tests.model.spec import WORK, Words, steps
from tests.model.world import (
    BUILD,
    WRITING,
    Check,
    Place,
    Rules,
    Setup,
    State,
    Sweep,
    folded,
    initial,
    newest,
    too_late,
)

Promise = Callable[[Setup, State, State], bool]
"""Tells of a step, and of where it leads, whether the promise is broken."""


def empty(setup: Setup, _: State, state: State) -> bool:
    """3, never empty: a name is an alias to a node without records."""
    return setup.versioned and any(g and not bits >> g & 1 for g, bits in zip(state.wire, state.nodes, strict=True))


def stale(_: Setup, before: State, state: State) -> bool:
    """2, forward: the fence's generation, or an RRset's contents, went back."""
    if state.wire == before.wire and state.fence == before.fence:
        return False
    return state.fence.generation < before.fence.generation or any(
        now < was for was, now in zip(before.wire, state.wire, strict=True)
    )


def wedged(setup: Setup, _: State, state: State) -> bool:
    """6, self-healing: no enactor can ever install again, since each flip must name a vanished node for rollback."""
    rules = setup.rules
    if not setup.versioned or rules.rollback_tolerated:
        return False
    return any(
        live and not state.nodes[rrset] >> live & 1 and not _rebuilt(state, rrset, live)
        for rrset, live in enumerate(state.wire)
    )


def _rebuilt(state: State, rrset: int, generation: int) -> bool:
    """Tell whether somebody is still going to build a node."""
    part = (rrset, generation)
    return any(m.stage == BUILD and part in m.part for m in state.late) or any(
        e.at == WRITING and part in e.changes and e.done <= e.changes.index(part) for e in state.enactors
    )


def rollback_lost(_: Setup, __: State, state: State) -> bool:
    """5, clean-up is harmless: the node kept for a rollback has no records."""
    return any(g and not bits >> g & 1 for g, bits in zip(state.back, state.nodes, strict=True))


def prefix(setup: Setup, _: State, state: State) -> bool:
    """1, prefix: an RRset shows contents that no generation from the fence's base to its own has.

    Contents of a plan that was rejected while its message was in flight may stand, all of them or none, until what
    puts them back has come.
    """
    fence = state.fence
    if state.rejected and not fence.of:
        # As whoever published it fetched it: with those rejected plans that were not rejected yet.
        as_fetched = state._replace(rejected=state.rejected.difference(state.wire))
        return any(state.wire[rrset] != generation for rrset, generation in folded(as_fetched, 0, fence.generation))
    for rrset, shown in enumerate(state.wire):
        if shown > fence.generation:
            return True
        for generation, cover in state.plans:
            if shown < generation <= fence.base and generation not in state.rejected and rrset in cover:
                return True
    if fence.done and state.rejected.isdisjoint(range(fence.base + 1, fence.generation + 1)):
        changes = setup.arrange(fence.order, folded(state, fence.base, fence.generation))
        written = fence.done - len(changes) * (setup.versioned and 1)
        return any(state.wire[rrset] != generation for rrset, generation in changes[: max(0, written)])
    return False


def withdrawn_shown(_: Setup, __: State, state: State) -> bool:
    """4, nothing lost: a plan that is said to be withdrawn, and so to be unpublished, stands on the wire."""
    return not state.withdrawn.isdisjoint(state.wire)


def late_withdrawal_lost(_: Setup, before: State, state: State) -> bool:
    """4, nothing lost: the fence leaves a plan that was published before it could be withdrawn, and nobody knows."""
    still = set(too_late(before, before.fence)) & set(state.withdrawals)
    return any(barrier <= state.fence.generation for _, barrier in still)


def record_leads(_: Setup, __: State, state: State) -> bool:
    """4, nothing lost: the store has on record what is not on the wire."""
    return state.published > state.fence.base


ALWAYS: tuple[Promise, ...] = (
    empty,
    stale,
    wedged,
    rollback_lost,
    prefix,
    withdrawn_shown,
    late_withdrawal_lost,
    record_leads,
)


def healed(setup: Setup, state: State) -> bool:
    """Tell whether the zone stands at its newest generation, completely, and the store knows."""
    last = newest(state)
    there = state.fence == Place(last, last) and state.published == last
    if not there or any(state.wire[rrset] != generation for rrset, generation in folded(state, 0, last)):
        return False
    return not empty(setup, state, state)


ALONE_STEPS_MAX = 200


def alone(setup: Setup, state: State, number: int) -> Iterator[State]:
    """Yield the states through which one enactor brings the zone once all faults, and all the others, have stopped."""
    for _ in range(ALONE_STEPS_MAX):
        enactor = state.enactors[number]
        following = next((after for act in WORK[enactor.at] for after in act(setup, state, number, enactor)), None)
        if following is None:
            return
        state = following[1]
        yield state


@dataclass(slots=True)
class Found:
    """What a search came to."""

    states: int = 0
    steps: int = 0
    seconds: float = 0.0
    exhausted: bool = False
    stories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The shortest story of each broken promise, by its name."""

    def __str__(self) -> str:
        speed = self.states / max(self.seconds, 1e-9)
        how = "exhausted" if self.exhausted else "stopped"
        broken = ", ".join(f"{name} in {len(story)} steps" for name, story in self.stories.items()) or "nothing broken"
        return f"{how} {self.states:,} states, {self.steps:,} steps, {self.seconds:.2f} s ({speed:,.0f}/s): {broken}"


def search(
    setup: Setup,
    promises: tuple[Promise, ...] = ALWAYS,
    *,
    heals: bool = False,
    start: State | None = None,
    every: list[State] | None = None,
) -> Found:
    """Look at every state, or stop once each promise is broken; ``every`` collects the states, all of them.

    With ``heals``, also that from each state each enactor alone brings the zone to its newest generation.
    """
    began = time.perf_counter()
    found = Found()
    first = initial(setup) if start is None else start
    parents: dict[State, tuple[State, Words] | None] = {_alike(first): None}
    queue = deque([first])
    good: tuple[set[State], ...] = tuple(set() for _ in range(setup.enactors))
    wanted = len(promises) + heals
    stepwise = tuple(promise for promise in promises if promise in {stale, late_withdrawal_lost})
    while queue and (every is not None or len(found.stories) < wanted):
        state = queue.popleft()
        found.states += 1
        if every is not None:
            every.append(state)
        known = _alike(state)
        if heals and "heals" not in found.stories and not _heals(setup, state, good):
            found.stories["heals"] = _story(parents, known)
        for words, after in steps(setup, state):
            found.steps += 1
            key = _alike(after)
            new = key not in parents
            if new:
                parents[key] = known, words
                queue.append(after)
            # What is asked of a state alone was asked when it was new.
            for promise in promises if new else stepwise:
                if promise.__name__ not in found.stories and promise(setup, state, after):
                    told = _story(parents, key) if new else (*_story(parents, known), _sentence(words))
                    found.stories[promise.__name__] = told
    found.exhausted = not queue
    found.seconds = time.perf_counter() - began
    return found


def _alike(state: State) -> State:
    """Return one state for all that differ only in which enactor is which."""
    enactors = state.enactors
    if len(enactors) == 2:
        first, second = enactors
        return state if hash(first) <= hash(second) else state._replace(enactors=(second, first))
    return state._replace(enactors=tuple(sorted(enactors, key=hash)))


def _heals(setup: Setup, state: State, good: tuple[set[State], ...]) -> bool:
    for number in range(setup.enactors):
        if state in good[number]:
            continue
        path = [state]
        for after in alone(setup, state, number):
            if after in good[number]:
                break
            path.append(after)
        else:
            if not healed(setup, path[-1]):
                return False
        good[number].update(path)
    return True


def _story(parents: dict[State, tuple[State, Words] | None], state: State) -> tuple[str, ...]:
    told: list[str] = []
    at: State | None = state
    while at is not None and (step := parents[at]) is not None:
        at, words = step
        told.append(_sentence(words))
    return tuple(reversed(told))


def _sentence(words: Words) -> str:
    return " ".join(_placed(word) if isinstance(word, Place) else str(word) for word in words)


def _placed(place: Place) -> str:
    part = f" ({place.done} of {place.of} from {place.base})" if place.of else ""
    return f"fence {place.generation}{part}"


TABLE = Setup(october=True, versioned=True, plans=5, keep=2)
"""One endpoint, five plans, the two newest kept."""

ROWS: tuple[tuple[str, Rules, tuple[bool, bool, bool]], ...] = (
    ("once at start; by age", Rules(check=Check.START, sweep=Sweep.AGE), (True, True, True)),
    ("again before the write; by age", Rules(check=Check.AGAIN, sweep=Sweep.AGE), (True, True, True)),
    ("once at start; skips live when listing", Rules(check=Check.START, sweep=Sweep.LISTED), (True, True, True)),
    ("once at start; live check inside", Rules(check=Check.START, sweep=Sweep.INSIDE), (False, True, False)),
    ("once at start, rollback tolerated; by age", Rules(check=Check.START, sweep=Sweep.AGE), (True, True, False)),
    ("compare-and-set; by age", Rules(check=Check.WRITE, sweep=Sweep.AGE), (False, False, False)),
    ("all guards; by reachability", Rules(), (False, False, False)),
)
"""The incident's table: what is checked, and whether a name is emptied, an older plan installed, the zone wedged."""


def row(number: int, enactors: int) -> Setup:
    """Return the setup of a row, counted from 0. A missing rollback is tolerated in the fifth and the last."""
    return replace(TABLE, enactors=enactors, rules=replace(ROWS[number][1], rollback_tolerated=number in {4, 6}))


def verdict(found: Found) -> tuple[bool, bool, bool]:
    """Return a table row's answer."""
    return "empty" in found.stories, "stale" in found.stories, "wedged" in found.stories


WRITES = Setup(plans=3, covers=((0, 1), (0,), (1,)), crashes=1, late=1, rejections=1, cleanup=True)
"""Two RRsets, one in a message, three plans: publications in parts, each resumed, overtaken, rejected, crashed."""

ORDERS = replace(WRITES, orders=(0, 1), rejections=0)
"""Enactors that publish in different orders, as those of two versions do."""

NODES = Setup(plans=3, versioned=True, crashes=1, late=1, cleanup=True)
"""The versioned layout."""


WITHDRAWN = Setup(plans=2, covers=((0,), (0,)), late=1, withdrawals=1)
"""An operator takes a plan back, at any time."""


def main() -> None:
    """Print the table, then search the guarded protocol; with --big, in larger worlds."""
    parser = argparse.ArgumentParser(description="search the specification of the protocol")
    parser.add_argument("--big", action="store_true", help="larger worlds: many minutes and gigabytes")
    big = parser.parse_args().big
    for number, (said, _, _) in enumerate(ROWS):
        for enactors in (2, 3):
            found = search(row(number, enactors), (empty, stale, wedged))
            answers = " ".join("yes" if each else "no " for each in verdict(found))
            print(f"{said:42} {enactors} enactors: {answers} {found}")
    worlds = [("inline", WRITES), ("inline, two orders", ORDERS), ("versioned", NODES), ("withdrawn", WITHDRAWN)]
    if big:
        worlds += [
            ("inline, 3 enactors, 4 plans", replace(WRITES, enactors=3, plans=4, rejections=0)),
            ("versioned, 3 enactors, 4 plans", replace(NODES, enactors=3, plans=4)),
            ("versioned, 2 RRsets", replace(NODES, covers=WRITES.covers, rejections=1)),
        ]
    for said, setup in worlds:
        print(f"{said}: {search(setup, heals=True)}")
