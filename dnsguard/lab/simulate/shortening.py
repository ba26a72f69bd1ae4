"""The shortest story of a violated world: first the world is calmed, then its schedule is made shorter.
A calmer world has fewer actors, plans and kinds of fault; it is kept only if it breaks the same invariant. The schedule
is then freed from the clock that all share, if it breaks the same without: daemons whose clocks go apart promise no
less, and nobody has to look round again and again until it is somebody else's time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.lab.scheduler.moves import Schedule
from dnsguard.lab.scheduler.simulation import Ending, Outcome, Violation
from dnsguard.lab.search.findings import replay
from dnsguard.lab.search.minimise import follow, minimise
from dnsguard.lab.simulate.chronicle import AGAIN
from dnsguard.lab.simulate.seeds import live_through, simulator
from dnsguard.lab.simulate.swarm import Swarm, swarm

STORY_RUNS_MAX = 600
CALMING_MOVES_MAX = 50_000
"""In all runs for calming a world together: one that never comes to rest is not calmed for ever."""
ORDERS = 6
"""In how many orders a calmer world is tried before it is given up."""


@dataclass(frozen=True, slots=True)
class Told:
    """The shortest story found of a violated world: its settings, what breaks, the moves, and what happens in them."""

    settings: Swarm
    violation: Violation
    schedule: Schedule
    timed: bool
    """Whether all share one clock in it."""
    lines: tuple[tuple[int, str], ...]
    """What happens, with the number of the step; steps in which nothing changes are counted together, at the first."""
    steps: int
    """How many there are. That somebody's time comes is none, unless there is something to tell of it."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What happens, line by line."""
        return tuple(said for _, said in self.lines)


def shortest_story(
    seed: int,
    guards: Guards = GUARDED,
    runs_max: int = STORY_RUNS_MAX,
    halted: Callable[[], bool] = lambda: False,
) -> Told | None:
    """Return the shortest story found that violates as the world of a seed does; None if it does not.

    ``runs_max`` bounds the runs for calming the world, and again those for shortening its schedule; before each,
    ``halted`` is asked whether to leave it at what there is.
    """
    outcome = live_through(seed, guards)
    if not outcome.violations:
        return None
    settings, outcome = _calmed(seed, guards, swarm(seed), outcome, runs_max, halted)
    violation = outcome.violations[0]
    schedule, timed = outcome.schedule_to(violation), True
    freed = simulator(seed, guards, settings, timed=False).run(follow(outcome.freed_to(violation)))
    for found in freed.violations:
        if found.name == violation.name:
            violation, schedule, timed = found, freed.schedule_to(found), False
    if outcome.ending is Ending.VIOLATED:  # what is seen only when all is over, a shorter run does not come to
        run = simulator(seed, guards, settings, timed=timed).run
        violation, schedule = minimise(run, schedule, violation, runs_max=runs_max, halted=halted)
    tell: list[str] = []
    replay(simulator(seed, guards, settings, tell, timed=timed).run, schedule)
    steps = [said for said in tell if said]
    return Told(settings, violation, schedule, timed, in_short(steps), len(steps))


def in_short(steps: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """Return what is told of steps, numbered; those that say nothing new are counted at the first of them."""
    lines: list[tuple[int, str]] = []
    again = 0
    for number, said in enumerate((*steps, None), 1):
        if said == AGAIN:
            again += 1
            continue
        if again:
            lines.append((number - again, f"({again} more, in which nothing changes)" if again > 1 else "(once more)"))
            again = 0
        if said is not None:
            lines.append((number, said))
    return tuple(lines)


def _calmed(
    seed: int, guards: Guards, settings: Swarm, outcome: Outcome, runs_max: int, halted: Callable[[], bool]
) -> tuple[Swarm, Outcome]:
    name, runs, moves, improved = outcome.violations[0].name, 0, 0, True
    while improved:
        improved = False
        for calmer in _calmer(settings):
            for again in range(ORDERS):
                if runs == runs_max or moves >= CALMING_MOVES_MAX or halted():
                    return settings, outcome
                runs += 1
                found = live_through(seed, guards, calmer, again, moves_max=1 + len(outcome.moves))
                moves += len(found.moves)
                if found.violations and found.violations[0].name == name and len(found.moves) <= len(outcome.moves):
                    settings, outcome, improved = calmer, found, True
                    break
            if improved:
                break
    return settings, outcome


def _calmer(settings: Swarm) -> Iterator[Swarm]:
    """Yield settings with one thing less, what makes stories long first."""
    if settings.enactors > 1:
        yield _but(settings, enactors=settings.enactors - 1)
    if settings.verifiers:
        yield _but(settings, verifiers=settings.verifiers - 1)
    if settings.planners > 1:
        yield _but(settings, planners=1)
    for chance in (
        "pause",
        "store_before",
        "store_after",
        "late",
        "doubled",
        "refused",
        "away",
        "poisoned",
        "restored",
        "clock_jump_s_max",
        "rollback",
        "retire",
        "clean_first",
        "mute",
    ):
        if getattr(settings, chance):
            yield _but(settings, **{chance: 0.0})
    for count in ("crashes_max", "losses_max", "withdrawals"):
        if getattr(settings, count):
            yield _but(settings, **{count: 0})
    for whole in ("strangers", "slips"):
        acts = getattr(settings, whole)
        for at in range(len(acts)):
            yield _but(settings, **{whole: acts[:at] + acts[at + 1 :]})
    for count in ("names", "plans"):
        if getattr(settings, count) > 1:
            yield _but(settings, **{count: getattr(settings, count) - 1})


def _but(settings: Swarm, **what: Any) -> Swarm:  # noqa: ANN401  whatever the setting is
    return replace(settings, **what)
