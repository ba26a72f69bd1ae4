"""Makes a violating schedule shorter and calmer: drops moves, undoes faults, lets an actor go on uninterrupted.
Each attempt is run, and kept only if it breaks the same check; what comes out replays exactly.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from dnsguard.lab.scheduler.moves import Kind, Move, Offer, Schedule
from dnsguard.lab.scheduler.simulation import Chooser, Outcome, Violation

Run = Callable[[Chooser], Outcome]
Wish = tuple[str, str]
"""An actor and a turn. Labels follow from them: when an actor's move is dropped, its later ones mean others."""


class Wishes:
    """Follows a list of wishes, passing over those that can't be had; ends the run after the last."""

    def __init__(self, wishes: Sequence[Wish]) -> None:
        self._wishes = iter(wishes)

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Return the next wish's move that is possible."""
        possible = {(move.actor, move.kind.value): move for offer in offers for move in offer}
        return next((possible[wish] for wish in self._wishes if wish in possible), None)

    def hidden(self, why: str) -> None:
        """Need not care: every attempt is run."""


def cost(schedule: Schedule) -> tuple[int, int, int]:
    """Return how hard a schedule is to follow: its moves, then its faults, then its changes of actor."""
    return len(schedule), sum(step.turn != Kind.GO.value for step in schedule.steps), schedule.switches()


def minimise(run: Run, schedule: Schedule, violation: Violation, *, runs_max: int) -> tuple[Violation, Schedule]:
    """Return a schedule that breaks the same check and costs no more, with what it broke."""
    runs_left = runs_max
    improved = True
    while improved:
        improved = False
        for wishes in _attempts([(step.actor, step.turn) for step in schedule.steps]):
            if runs_left == 0:
                return violation, schedule
            runs_left -= 1
            outcome = run(Wishes(wishes))
            found = next((found for found in outcome.violations if found.name == violation.name), None)
            if found is not None and cost(outcome.schedule_to(found)) < cost(schedule):
                violation, schedule = found, outcome.schedule_to(found)
                improved = True
                break
    return violation, schedule


def _attempts(wishes: list[Wish]) -> Iterator[list[Wish]]:
    """Yield simpler lists of wishes, the boldest first."""
    size = len(wishes) // 2
    while size:
        for start in range(0, len(wishes), size):
            yield wishes[:start] + wishes[start + size :]
        size //= 2
    for at, (actor, turn) in enumerate(wishes):
        if turn != Kind.GO.value:
            yield [*wishes[:at], (actor, Kind.GO.value), *wishes[at + 1 :]]
    yield from _calmer(wishes)


def _calmer(wishes: list[Wish]) -> Iterator[list[Wish]]:
    """Yield the same wishes with two stretches of one actor joined: the first later, or the second earlier."""
    starts = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(wishes)) if a[0] != b[0]), len(wishes)]
    stretches = [wishes[start:end] for start, end in pairwise(starts)]
    for first, stretch in enumerate(stretches):
        for second in range(first + 2, len(stretches)):
            if stretches[second][0][0] == stretch[0][0]:
                between = stretches[first + 1 : second]
                before, after = stretches[:first], stretches[second + 1 :]
                for order in ([*between, stretch, stretches[second]], [stretch, stretches[second], *between]):
                    yield [wish for part in (*before, *order, *after) for wish in part]
                break
