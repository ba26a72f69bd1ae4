"""What a scenario says and hears: its actors, its checks, and what a run of them came to.
Nothing here decides anything: a scenario sets the scene, a chooser says who goes next, `simulator` runs them.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from dnsguard.lab.scheduler.actor import Actor, Start
from dnsguard.lab.scheduler.loop import SimulatedGate, SimulatedLoop
from dnsguard.lab.scheduler.moves import Kind, Move, Offer, Schedule, Step

T = TypeVar("T")


class Chooser(Protocol):
    """Decides what happens next."""

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Return one of the moves offered (one offer per actor that can go on), or None to end the run."""
        ...

    def hidden(self, why: str) -> None:
        """Hear that something happened between actors that no move declares."""
        ...


@runtime_checkable
class Attentive(Protocol):
    """A chooser that wants to know what a move touched in truth."""

    def touched(self, reads: int, writes: int) -> None:
        """Hear what the move under way read and wrote, where that was less than it had declared."""
        ...


@runtime_checkable
class Recognising(Protocol):
    """A chooser that wants to know where it is."""

    def arrived(self, fingerprint: Callable[[], Hashable]) -> Hashable | None:
        """Hear how to find out in which state the world is, before the next choice; return it if it was wanted."""
        ...


@dataclass(frozen=True, slots=True)
class Violation:
    """A check's no. Only the first of a name counts in a run."""

    name: str
    detail: str
    moves: int = 0
    """After how many moves of the run."""


Check = Callable[[Move | None], Violation | None]
"""Looks at the world after a move (None: before the first) and says what is wrong with it."""


class Ending(enum.Enum):
    """Why a run ended."""

    DONE = "done"
    DEADLOCK = "deadlock"
    """Somebody waits for ever."""
    LIVELOCK = "livelock"
    """More moves, or more callbacks without a move, than anything sane needs."""
    VIOLATED = "violated"
    STOPPED = "stopped"
    """The chooser wanted no more of it."""
    ENOUGH = "enough"
    """The scenario's own condition held."""


NATURAL = frozenset({Ending.DONE, Ending.DEADLOCK})
"""Endings after which nothing more could have happened."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    ending: Ending
    moves: tuple[Move, ...]
    violations: tuple[Violation, ...] = ()
    states: tuple[Hashable, ...] = ()
    """The fingerprint after each move, if the scenario takes one."""
    fired: tuple[tuple[int, str], ...] = ()
    """Under one clock: after how many moves whose timer fired, in order."""

    def schedule(self) -> Schedule:
        """Return the run's moves, written down."""
        return Schedule.of(self.moves)

    def schedule_to(self, violation: Violation) -> Schedule:
        """Return the run's moves up to a violation."""
        return Schedule.of(self.moves[: violation.moves])

    def freed_to(self, violation: Violation) -> Schedule:
        """Return the same for a run in which each actor has a clock of its own: there, timers fire by moves."""
        steps, fired = [], deque(self.fired)
        for number, step in enumerate(self.schedule_to(violation).steps):
            while fired and fired[0][0] <= number:
                steps.append(Step(fired.popleft()[1], Kind.TIMER.value, Kind.TIMER.value))
            steps.append(step)
        return Schedule(tuple(steps))


@dataclass(slots=True)
class Simulation:
    """What a scenario sets up: the actors and the checks of one run."""

    gate: SimulatedGate
    _loop: SimulatedLoop
    actors: dict[str, Actor] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    watched: list[tuple[str, ...]] = field(default_factory=list)
    last_checks: list[Callable[[], Violation | None]] = field(default_factory=list)
    fingerprint: Callable[[], Hashable] | None = None
    """Return the state of the world as a hashable value, to count states."""
    enough: Callable[[], bool] | None = None
    """Tell after a move whether the run may end."""
    begun: bool = False

    def spawn(
        self,
        name: str,
        start: Start,
        *,
        restart: Start | None = None,
        may_crash: bool = True,
        may_wait: bool = False,
    ) -> None:
        """Add an actor, which begins when the run does.

        ``restart`` makes its next life after a crash (None: it has none). ``may_wait``: that it waits for ever at
        the end is no deadlock. Actors share nothing but what lies behind effects. Raises ValueError for a name twice,
        and once the run has begun.
        """
        if self.begun:
            raise ValueError(f"expected all actors before the run begins, found {name!r} afterwards: spawn it earlier")
        if name in self.actors:
            raise ValueError(f"expected a new name for an actor, found {name!r} again: number your actors")
        self.actors[name] = Actor(name, restart=restart, may_crash=may_crash, may_wait=may_wait)
        self.starts[name] = start

    def after_effect(self, check: Check, *, reads: Sequence[str]) -> None:
        """Have a check look at these resources, at the beginning and after every move.

        It may remember what they showed, and nothing else: then searches that leave out equivalent orders still
        show it all. Moves that write any of these resources depend on each other.
        """
        self.checks.append(check)
        self.watched.append(tuple(reads))

    def at_end(self, check: Callable[[], Violation | None]) -> None:
        """Have a check look at the world once nothing more can happen."""
        self.last_checks.append(check)

    def settle(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, its effects at once and without faults: to set the scene, or to look at it."""
        actor = Actor("(settling)")
        actor.free = True
        self._loop.begin(actor, coroutine)
        task = actor.main
        self._loop.drain()
        while not actor.ended and self._loop.advance((actor,)):
            self._loop.drain()
        if task is None or not task.done():
            actor.kill()
            raise RuntimeError("expected a coroutine that ends by itself, found one that waits for ever")
        return task.result()  # type: ignore[return-value]

    async def pause(self, delay_s: float) -> None:
        """Wait for virtual seconds, as an actor."""
        await asyncio.sleep(delay_s)

    @property
    def now(self) -> float:
        """Return virtual seconds since the run's beginning."""
        return self._loop.time()


Scenario = Callable[[Simulation], None]
