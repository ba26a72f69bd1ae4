"""Search: run after run until there is nothing left to try, or enough was seen; what was found, in numbers.
Knows neither the scenario nor how schedules are chosen, and keeps only counts and the shortest stories.
"""

import enum
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from dnsguard.lab.scheduler.moves import Schedule
from dnsguard.lab.scheduler.simulation import NATURAL, Ending, Outcome, Violation
from dnsguard.lab.search.minimise import Run, cost, minimise
from dnsguard.lab.search.strategies import Replay, ScheduleDoesNotFit, Strategy


@dataclass(frozen=True, slots=True)
class Found:
    """A violation and a schedule that leads to it."""

    violation: Violation
    schedule: Schedule
    where: str
    """Which schedule of the strategy it was: its number or seed."""
    schedules: int
    """After how many schedules it was first found."""


class Ended(enum.Enum):
    """Why a search is over."""

    EXHAUSTED = "exhausted"
    """Everything that can happen has been seen (under `ends_at_violation`: up to the first violation)."""
    ALL_TRIED = "all tried"
    """Every schedule that the strategy would try was tried; there are others."""
    CUT = "cut"
    """Every schedule was tried, and some were cut off before their end: more may come after it."""
    FOUND = "found"
    """What was broken was enough."""
    SCHEDULES = "schedules"
    """As many were tried as were asked for."""
    SECONDS = "seconds"
    """The time was up."""
    HALTED = "halted"
    """Somebody did not want to wait any longer."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search came to."""

    schedules: int
    pruned: int
    """Schedules that were left half-way, since equivalent ones had been seen."""
    moves: int
    """In all schedules together; a beginning that several have in common counts with each."""
    states: int | None
    """Distinct fingerprints, if the scenario takes any."""
    ended: Ended
    endings: Mapping[Ending, int]
    violations: Mapping[str, int]
    """By name: in how many schedules."""
    first: Mapping[str, Found]
    shortest: Mapping[str, Found]
    seconds: float
    processor_s: float = 0.0
    """Seconds of processor time: what is left of the other ones where machines are shared."""

    @property
    def exhausted(self) -> bool:
        """Whether everything that can happen has been seen."""
        return self.ended is Ended.EXHAUSTED

    @property
    def schedules_per_second(self) -> float:
        """Return how fast it was."""
        return self.schedules / self.seconds if self.seconds else 0.0

    def shortest_of_all(self) -> Found | None:
        """Return the shortest violating schedule of any name."""
        return min(self.shortest.values(), key=lambda found: cost(found.schedule), default=None)


def search(
    run: Run,
    strategy: Strategy,
    *,
    schedules_max: int | None = None,
    seconds_max: float | None = None,
    stop_at_first: bool = False,
    minimise_runs_max: int = 500,
    each: Callable[[Outcome], None] | None = None,
    halted: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Findings:
    """Try schedules until none is left or a bound is reached. The strategy may be searched on afterwards.

    ``each`` hears of every outcome; between two, ``halted`` is asked whether to end here. Violating schedules are made
    shorter with up to ``minimise_runs_max`` further runs per name, which the counts and the seconds leave out.
    """
    begun, worked = clock(), time.process_time()
    schedules = moves = 0
    endings: Counter[Ending] = Counter()
    violations: Counter[str] = Counter()
    first: dict[str, Found] = {}
    shortest: dict[str, Found] = {}
    states: set[Hashable] = set()
    while (ended := _bound(schedules, schedules_max, clock() - begun, seconds_max, halted)) is None:
        if not strategy.begin():
            ended = _nothing_left(endings, strategy)
            break
        outcome = run(strategy)
        schedules += 1
        moves += len(outcome.moves)
        endings[outcome.ending] += 1
        states.update(outcome.states)
        for violation in outcome.violations:
            violations[violation.name] += 1
            _keep(violation, outcome, strategy, schedules, first, shortest)
        if each is not None:
            each(outcome)
        if stop_at_first and violations:
            ended = Ended.FOUND
            break
    seconds, processor_s = clock() - begun, time.process_time() - worked
    return Findings(
        schedules,
        endings[Ending.STOPPED],
        moves,
        len(states) if states else None,
        ended,
        dict(endings),
        dict(violations),
        first,
        {name: _shortened(run, found, minimise_runs_max) for name, found in shortest.items()},
        seconds,
        processor_s,
    )


def replay(run: Run, schedule: Schedule) -> Outcome:
    """Run a recorded schedule. Raises ScheduleDoesNotFit, also if the run ends before its schedule does."""
    chooser = Replay(schedule)
    outcome = run(chooser)
    if chooser.left:
        number = len(schedule) - chooser.left
        raise ScheduleDoesNotFit(number + 1, schedule.steps[number], ())
    return outcome


def _keep(
    violation: Violation,
    outcome: Outcome,
    strategy: Strategy,
    schedules: int,
    first: dict[str, Found],
    shortest: dict[str, Found],
) -> None:
    known = shortest.get(violation.name)
    if known is not None and violation.moves > len(known.schedule):
        return
    found = Found(violation, outcome.schedule_to(violation), strategy.described(), schedules)
    first.setdefault(violation.name, found)
    if known is None or cost(found.schedule) < cost(known.schedule):
        shortest[violation.name] = found


def _bound(
    schedules: int, schedules_max: int | None, seconds: float, seconds_max: float | None, halted: Callable[[], bool]
) -> Ended | None:
    if schedules == schedules_max:
        return Ended.SCHEDULES
    if seconds_max is not None and seconds >= seconds_max:
        return Ended.SECONDS
    return Ended.HALTED if halted() else None


def _nothing_left(endings: Mapping[Ending, int], strategy: Strategy) -> Ended:
    """Say what it means that the strategy has nothing left to try."""
    if not strategy.complete:
        return Ended.ALL_TRIED
    return Ended.EXHAUSTED if _nothing_cut(endings, strategy) else Ended.CUT


def _nothing_cut(endings: Mapping[Ending, int], strategy: Strategy) -> bool:
    """Tell whether runs went on until nothing more could happen, as far as the strategy's conclusions need it."""
    whole = NATURAL | {Ending.STOPPED}
    if not strategy.reduces:
        whole |= {Ending.VIOLATED, Ending.ENOUGH}
    return all(ending in whole for ending, count in endings.items() if count)


def _shortened(run: Run, found: Found, runs_max: int) -> Found:
    violation, schedule = minimise(run, found.schedule, found.violation, runs_max=runs_max)
    return Found(violation, schedule, found.where, found.schedules)
