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
PAIR = 2
"""Going away and coming back can only be left out together: so many moves in a row are tried at every place."""
FAULTS = frozenset(kind.value for kind in Kind) - {Kind.GO.value, Kind.TIMER.value}


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
    return len(schedule), sum(step.turn in FAULTS for step in schedule.steps), schedule.switches()


def follow(schedule: Schedule) -> Wishes:
    """Return what follows a schedule as far as its moves can be had."""
    return Wishes([(step.actor, step.turn) for step in schedule.steps])


def minimise(
    run: Run,
    schedule: Schedule,
    violation: Violation,
    *,
    runs_max: int,
    halted: Callable[[], bool] = lambda: False,
) -> tuple[Violation, Schedule]:
    """Return a schedule that breaks the same check and costs no more, with what it broke.

    Before each run ``halted`` is asked whether to leave it at what there is.
    """
    return _Shortening(run, schedule, violation, runs_max, halted).done()


class _Shortening:
    """A schedule while it is made shorter: half of it is left out, a quarter, and so on down to single moves."""

    def __init__(
        self, run: Run, schedule: Schedule, violation: Violation, runs_left: int, halted: Callable[[], bool]
    ) -> None:
        self._run = run
        self._schedule = schedule
        self._violation = violation
        self._runs_left = runs_left
        self._halted = halted

    def done(self) -> tuple[Violation, Schedule]:
        """Try until nothing helps any more, or the runs are used up."""
        improved = True
        while improved and self._runs_left:
            improved = self._without_somebody() | self._drop() | self._simplify()
        return self._violation, self._schedule

    def _wishes(self) -> list[Wish]:
        return [(step.actor, step.turn) for step in self._schedule.steps]

    def _without_somebody(self) -> bool:
        """Leave out all that one actor does, or one kind of what it does."""
        improved = False
        for what in sorted({(actor, None) for actor, _ in self._wishes()}) + sorted(set(self._wishes())):
            left = [wish for wish in self._wishes() if wish != what and (wish[0], None) != what]
            improved |= len(left) < len(self._schedule) and self._helps(left)
        return improved

    def _drop(self) -> bool:
        improved, size = False, len(self._schedule) // 2
        while size:
            start = 0
            while start < len(self._schedule):
                wishes = self._wishes()
                if self._helps(wishes[:start] + wishes[start + size :]):
                    improved = True  # what comes next has moved up to here
                else:
                    start += size if size > PAIR else 1
            size //= 2
        return improved

    def _simplify(self) -> bool:
        """Take the first change for the simpler that helps."""
        wishes = self._wishes()
        return any(self._helps(each) for each in (*_without_faults(wishes), *_calmer(wishes)))

    def _helps(self, wishes: Sequence[Wish]) -> bool:
        if not self._runs_left or self._halted():
            return False
        self._runs_left -= 1
        outcome = self._run(Wishes(wishes))
        found = next((found for found in outcome.violations if found.name == self._violation.name), None)
        if found is None or cost(outcome.schedule_to(found)) >= cost(self._schedule):
            return False
        self._violation, self._schedule = found, outcome.schedule_to(found)
        return True


def _without_faults(wishes: list[Wish]) -> Iterator[list[Wish]]:
    for at, (actor, turn) in enumerate(wishes):
        if turn in FAULTS:
            yield [*wishes[:at], (actor, Kind.GO.value), *wishes[at + 1 :]]


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
