"""The shortest story of a violated world: first the world is calmed, then its schedule is made shorter.
A calmer world has fewer actors, plans and kinds of fault; it is kept only if it breaks the same invariant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.lab.scheduler.moves import Schedule
from dnsguard.lab.scheduler.simulation import Outcome, Violation
from dnsguard.lab.search.findings import replay
from dnsguard.lab.search.minimise import minimise
from dnsguard.lab.simulate.seeds import live_through, simulator
from dnsguard.lab.simulate.swarm import Swarm, swarm

STORY_RUNS_MAX = 300
ORDERS = 6
"""In how many orders a calmer world is tried before it is given up."""


@dataclass(frozen=True, slots=True)
class Told:
    """The shortest story found of a violated world: its settings, what breaks, the moves, and what happens in them."""

    settings: Swarm
    violation: Violation
    schedule: Schedule
    sentences: tuple[str, ...]


def shortest_story(seed: int, guards: Guards = GUARDED, runs_max: int = STORY_RUNS_MAX) -> Told | None:
    """Return the shortest story found that violates as the world of a seed does; None if it does not.

    ``runs_max`` bounds the runs for calming the world, and again those for shortening its schedule.
    """
    outcome = live_through(seed, guards)
    if not outcome.violations:
        return None
    settings, outcome = _calmed(seed, guards, swarm(seed), outcome, runs_max)
    violation = outcome.violations[0]
    run = simulator(seed, guards, settings).run
    violation, schedule = minimise(run, outcome.schedule_to(violation), violation, runs_max=runs_max)
    tell: list[str] = []
    replay(simulator(seed, guards, settings, tell).run, schedule)
    return Told(settings, violation, schedule, tuple(tell))


def _calmed(seed: int, guards: Guards, settings: Swarm, outcome: Outcome, runs_max: int) -> tuple[Swarm, Outcome]:
    name, runs, improved = outcome.violations[0].name, 0, True
    while improved:
        improved = False
        for calmer in _calmer(settings):
            for again in range(ORDERS):
                if runs == runs_max:
                    return settings, outcome
                runs += 1
                found = live_through(seed, guards, calmer, again)
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
    ):
        if getattr(settings, chance):
            yield _but(settings, **{chance: 0.0})
    for count in ("crashes_max", "losses_max"):
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
