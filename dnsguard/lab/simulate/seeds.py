"""Many worlds, seed by seed, on all cores: what each came to, counted, and the shortest story of each violation.
A seed says everything: the same number gives the same world, the same faults and the same end.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.lab.explore.variants import guard_names, without
from dnsguard.lab.scheduler.moves import Faults, Kind
from dnsguard.lab.scheduler.simulation import Outcome, Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.strategies import RandomWalk
from dnsguard.lab.simulate.scenery import scene
from dnsguard.lab.simulate.swarm import Swarm, swarm

SEEDS_AT_ONCE = 20
MOVES_MAX = 50_000
AGAIN = 1_000_003
"""Far from one seed to the next order of the same seed's world."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A violated world."""

    seed: int
    violation: Violation
    moves: int


@dataclass(slots=True)
class Tally:
    """What a range of seeds came to."""

    seeds: int = 0
    moves: int = 0
    bad: list[Bad] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take another range in."""
        self.seeds += other.seeds
        self.moves += other.moves
        self.bad += other.bad

    @property
    def by_name(self) -> Counter[str]:
        """How many worlds violated which invariant."""
        return Counter(bad.violation.name for bad in self.bad)


def simulator(
    seed: int,
    guards: Guards = GUARDED,
    settings: Swarm | None = None,
    tell: list[str] | None = None,
    *,
    timed: bool = True,
    moves_max: int = MOVES_MAX,
) -> Simulator:
    """Return what runs the world of a seed; into ``tell`` it writes each run's story anew.

    ``timed``: one clock for all; otherwise each actor has its own, and whoever waits may go on at any time.
    """
    drawn = settings or swarm(seed)
    set_up = scene(drawn, guards, tell)

    def scenario(simulation: Simulation) -> None:
        set_up(simulation, seed)

    faults = Faults(drawn.crashes_max, drawn.losses_max)
    return Simulator(scenario, faults=faults, timed=timed, moves_max=moves_max)


def live_through(
    seed: int,
    guards: Guards = GUARDED,
    settings: Swarm | None = None,
    again: int = 0,
    *,
    moves_max: int = MOVES_MAX,
) -> Outcome:
    """Run the world of a seed once; ``again`` numbers other orders of what happens in it."""
    drawn = settings or swarm(seed)
    weights = dict.fromkeys((Kind.LOST_REQUEST, Kind.LOST_ANSWER), drawn.loss_weight) | {Kind.CRASH: drawn.crash_weight}
    walk = RandomWalk(seed + again * AGAIN, 1, weights=weights)
    walk.begin()
    return simulator(seed, guards, drawn, moves_max=moves_max).run(walk)


def _tally(guards: Guards, seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        outcome = live_through(seed, guards)
        tally.seeds += 1
        tally.moves += len(outcome.moves)
        tally.bad += [Bad(seed, violation, len(outcome.moves)) for violation in outcome.violations[:1]]
    return tally


def campaign(
    start: int,
    count: int,
    guards: Guards = GUARDED,
    *,
    cores: int | None = None,
    stop: Callable[[Tally], bool] | None = None,
) -> Generator[tuple[Tally, float], None, None]:
    """Run many seeds; yield the tally so far and the seconds gone, after each batch, in the order of the seeds."""
    begun = time.perf_counter()
    total = Tally()
    batches = [
        range(first, min(first + SEEDS_AT_ONCE, start + count)) for first in range(start, start + count, SEEDS_AT_ONCE)
    ]
    workers = cores or os.cpu_count() or 1
    # Closed by name: an interruption while a generator is collected would be swallowed, and the campaign go on.
    with closing(_mapped(partial(_tally, guards), batches, workers)) as tallies:
        for tally in tallies:
            total.add(tally)
            yield total, time.perf_counter() - begun
            if stop is not None and stop(total):
                return


@dataclass(frozen=True, slots=True)
class Needed:
    """What comes of leaving one guard out: the first world that breaks, None if none of so many did."""

    guard: str
    bad: Bad | None
    seeds: int
    seconds: float


def each_guard(
    start: int,
    count: int,
    guards: Guards = GUARDED,
    *,
    cores: int | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Iterator[Needed]:
    """Leave out one guard after the other, and look for the first world that breaks without it, until it is halted."""
    for name in guard_names(guards):
        if halted():
            return
        tally, seconds = Tally(), 0.0
        worlds = campaign(start, count, without(guards, name), cores=cores, stop=lambda t: bool(t.bad) or halted())
        with closing(worlds):
            for tally, seconds in worlds:  # noqa: B007  the last ones count
                pass
        if halted() and not tally.bad:
            return  # nothing is known of a guard whose worlds were not all looked at
        yield Needed(name, tally.bad[0] if tally.bad else None, tally.seeds, seconds)


def _leave_signals_to_the_parent() -> None:
    """Go on with the batch at hand: a worker that dies of a signal would leave the parent waiting for it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _mapped(act: Callable[[range], Tally], batches: Sequence[range], workers: int) -> Generator[Tally, None, None]:
    if workers == 1 or len(batches) == 1:
        yield from map(act, batches)
        return
    with ProcessPoolExecutor(workers, initializer=_leave_signals_to_the_parent) as pool:
        try:
            yield from pool.map(act, batches)
        finally:
            pool.shutdown(cancel_futures=True)
