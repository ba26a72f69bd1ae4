"""Search: run after run until there is nothing left to try, or enough was seen; what was found, in numbers.
Knows neither the scenario nor how schedules are chosen, and keeps only counts and the shortest stories.
"""

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from dnsguard.lab.minimise import Run, cost, minimise
from dnsguard.lab.moves import Schedule
from dnsguard.lab.simulation import NATURAL, Ending, Outcome, Violation
from dnsguard.lab.strategies import Replay, ScheduleDoesNotFit, Strategy


@dataclass(frozen=True, slots=True)
class Found:
    """A violation and a schedule that leads to it."""

    violation: Violation
    schedule: Schedule
    where: str
    """Which schedule of the strategy it was: its number or seed."""
    schedules: int
    """After how many schedules it was first found."""


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
    exhausted: bool
    """Everything that can happen has been seen (under `ends_at_violation`: up to the first violation)."""
    endings: Mapping[Ending, int]
    violations: Mapping[str, int]
    """By name: in how many schedules."""
    first: Mapping[str, Found]
    shortest: Mapping[str, Found]
    seconds: float
    processor_s: float = 0.0
    """Seconds of processor time: what is left of the other ones where machines are shared."""

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
    clock: Callable[[], float] = time.perf_counter,
) -> Findings:
    """Try schedules until none is left or a bound is reached. The strategy may be searched on afterwards.

    ``each`` hears of every outcome. Violating schedules are made shorter with up to ``minimise_runs_max`` further
    runs per name, which the counts and the seconds leave out.
    """
    begun, worked = clock(), time.process_time()
    schedules = moves = 0
    endings: Counter[Ending] = Counter()
    violations: Counter[str] = Counter()
    first: dict[str, Found] = {}
    shortest: dict[str, Found] = {}
    states: set[Hashable] = set()
    nothing_left = False
    while schedules != schedules_max and (seconds_max is None or clock() - begun < seconds_max):
        if not strategy.begin():
            nothing_left = True
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
            break
    seconds, processor_s = clock() - begun, time.process_time() - worked
    return Findings(
        schedules,
        endings[Ending.STOPPED],
        moves,
        len(states) if states else None,
        nothing_left and strategy.complete and _nothing_cut(endings, strategy),
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


def _nothing_cut(endings: Mapping[Ending, int], strategy: Strategy) -> bool:
    """Tell whether runs went on until nothing more could happen, as far as the strategy's conclusions need it."""
    whole = NATURAL | {Ending.STOPPED}
    if not strategy.reduces:
        whole |= {Ending.VIOLATED, Ending.ENOUGH}
    return all(ending in whole for ending, count in endings.items() if count)


def _shortened(run: Run, found: Found, runs_max: int) -> Found:
    violation, schedule = minimise(run, found.schedule, found.violation, runs_max=runs_max)
    return Found(violation, schedule, found.where, found.schedules)
