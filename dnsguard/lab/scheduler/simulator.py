"""Runs one scenario again and again under choosers: who goes next, what is lost, who crashes, is theirs to say.
After every move the scenario's checks look at the world. A run ends with all its tasks ended, whatever happened.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from dnsguard.lab.scheduler.actor import ACTOR, Actor, Start
from dnsguard.lab.scheduler.escape import confined
from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.loop import SimulatedGate, SimulatedLoop, Spinning
from dnsguard.lab.scheduler.moves import Faults, Kind, Move, MoveTable, Offer
from dnsguard.lab.scheduler.simulation import (
    Attentive,
    Chooser,
    Ending,
    Outcome,
    Recognising,
    Scenario,
    Simulation,
    Violation,
)


class Simulator:
    """Runs one scenario as often as wanted. What can be kept from run to run is kept."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        faults: Faults = Faults(),  # noqa: B008  frozen
        timed: bool = False,
        ends_at_violation: bool = True,
        moves_max: int = 10_000,
    ) -> None:
        """Take a scenario.

        ``timed``: one clock for all, which passes only when nothing else can happen; otherwise a timer may fire at
        any time. Whoever wants all violations that exist lets runs go on after one (``ends_at_violation=False``).
        """
        self._scenario = scenario
        self._faults = faults
        self._timed = timed
        self._ends_at_violation = ends_at_violation
        self._moves_max = moves_max
        self._loop = SimulatedLoop(MoveTable(), timed=timed)  # type: ignore[abstract]  # the rest are closed doors

    def run(self, chooser: Chooser) -> Outcome:
        """Run the scenario once. Raises EscapedSimulation, and whatever a check raises."""
        loop = self._loop
        loop.open()
        simulation = Simulation(SimulatedGate(loop), loop)
        with confined():
            loop.enter()
            try:
                self._scenario(simulation)
                watched = tuple(simulation.watched)
                if watched != loop.table.watched:
                    loop.table = MoveTable(watched)
                return _Run(
                    simulation, loop, chooser, self._faults, self._moves_max, ends_at_violation=self._ends_at_violation
                ).play()
            finally:
                for actor in simulation.actors.values():
                    actor.kill()
                loop.leave()


class _Run:
    """One run under way."""

    def __init__(
        self,
        simulation: Simulation,
        loop: SimulatedLoop,
        chooser: Chooser,
        faults: Faults,
        moves_max: int,
        *,
        ends_at_violation: bool,
    ) -> None:
        self._simulation = simulation
        self._actors = simulation.actors
        self._loop = loop
        self._chooser = chooser
        self._recognising = chooser if isinstance(chooser, Recognising) else None
        self._attentive = chooser if isinstance(chooser, Attentive) else None
        self._crashes_left = faults.crashes_max
        self._losses_left = faults.losses_max
        self._moves_max = moves_max
        self._ends_at_violation = ends_at_violation
        self._moves: list[Move] = []
        self._violations: list[Violation] = []
        self._states: list[Hashable] = []
        self._fired: list[tuple[int, str]] = []

    def play(self) -> Outcome:
        """Run from beginning to end."""
        try:
            ending = self._play()
        except Spinning as error:
            self._violate(Violation("livelock", f"{error} runs for ever without any effect"))
            ending = Ending.LIVELOCK
        self._raise_escaped()
        return Outcome(ending, tuple(self._moves), tuple(self._violations), tuple(self._states), tuple(self._fired))

    def _play(self) -> Ending:
        simulation, loop, chooser, moves = self._simulation, self._loop, self._chooser, self._moves
        simulation.begun = True
        for actor in self._actors.values():
            self._begin(actor, simulation.starts[actor.name])
        self._drain()
        self._check(None)
        while True:
            if self._violations and self._ends_at_violation:
                return Ending.VIOLATED
            offers = self._offers()
            if not offers:
                if loop.timed and (fired := loop.advance(self._actors.values())):
                    self._fired += ((len(moves), name) for name in fired)
                    chooser.hidden("time passed")
                    self._drain()
                    continue
                return self._end()
            if len(moves) >= self._moves_max:
                self._violate(Violation("livelock", f"no end after {len(moves)} moves"))
                return Ending.LIVELOCK
            move = chooser.choose(offers)
            if move is None:
                return Ending.STOPPED
            moves.append(move)
            self._take(move)
            self._drain()
            if loop.touched is not None:
                if self._attentive is not None:
                    self._attentive.touched(*loop.touched)
                loop.touched = None
            self._check(move)
            if simulation.fingerprint is not None:
                take = simulation.fingerprint
                state = take() if self._recognising is None else self._recognising.arrived(partial(self._place, take))
                if state is not None:
                    self._states.append(state)
            if simulation.enough is not None and simulation.enough():
                return Ending.ENOUGH

    def _place(self, fingerprint: Callable[[], Any]) -> Hashable:
        """Return the state, and with what is behind the effects, which faults there may still be."""
        world, known = fingerprint()
        return (world, self._crashes_left, self._losses_left), known

    def _offers(self) -> list[Offer]:
        """Return what every actor may do next, in the order in which they were spawned."""
        budget = (self._crashes_left > 0) | (self._losses_left > 0) << 1
        untimed = not self._loop.timed
        offers: list[Offer] = []
        for actor in self._actors.values():
            if not actor.alive:
                if actor.restart is not None and not actor.ended:
                    offers.append((self._loop.table.alone(actor.name, Kind.RESTART),))
                continue
            waiting = actor.waiting() if actor.parked else None
            if waiting is not None:
                offer: Offer = waiting.offers[budget]
                if untimed and actor.timers and actor.next_timer() is not None:
                    offer = (*offer, self._loop.table.alone(actor.name, Kind.TIMER))
                offers.append(offer)
            elif untimed and actor.timers and actor.next_timer() is not None:
                offers.append((self._loop.table.alone(actor.name, Kind.TIMER),))
        return offers

    def _take(self, move: Move) -> None:
        """Do a move that was offered."""
        actor = self._actors[move.actor]
        match move.kind:
            case Kind.GO:
                actor.parked.popleft()[0].set_result(Turn.GO)
            case Kind.LOST_REQUEST:
                self._losses_left -= 1
                actor.parked.popleft()[0].set_result(Turn.LOST_REQUEST)
            case Kind.LOST_ANSWER:
                self._losses_left -= 1
                actor.parked.popleft()[0].set_result(Turn.LOST_ANSWER)
            case Kind.CRASH:
                self._crashes_left -= 1
                actor.kill()
            case Kind.RESTART:
                again = Actor(actor.name, restart=actor.restart, may_crash=actor.may_crash, may_wait=actor.may_wait)
                again.now = actor.now
                self._actors[actor.name] = again
                if actor.restart is not None:
                    self._begin(again, actor.restart)
            case Kind.TIMER:
                timer = actor.next_timer()
                if timer is not None:
                    self._loop.fire_timer(actor, timer)

    def _begin(self, actor: Actor, start: Start) -> None:
        token = ACTOR.set(actor)
        try:
            coroutine = start()
        finally:
            ACTOR.reset(token)
        self._loop.begin(actor, coroutine)

    def _drain(self) -> None:
        loop = self._loop
        loop.drain()
        if loop.escaped is not None:
            self._raise_escaped()
        if loop.hidden is not None:
            self._chooser.hidden(loop.hidden)
            loop.hidden = None
        if loop.faults:
            self._violate(Violation("fault", "; ".join(loop.faults)))
            loop.faults.clear()

    def _end(self) -> Ending:
        """Look at a world in which nothing more can happen."""
        stuck = [actor.name for actor in self._actors.values() if actor.alive and not actor.may_wait]
        if stuck:
            self._violate(Violation("deadlock", f"nothing can happen any more, and still waiting: {', '.join(stuck)}"))
        for check in self._simulation.last_checks:
            self._violate(check())
        return Ending.DEADLOCK if stuck else Ending.DONE

    def _check(self, move: Move | None) -> None:
        for check in self._simulation.checks:
            self._violate(check(move))

    def _raise_escaped(self) -> None:
        if self._loop.escaped is not None:
            raise self._loop.escaped

    def _violate(self, violation: Violation | None) -> None:
        if violation is not None and all(violation.name != known.name for known in self._violations):
            self._violations.append(Violation(violation.name, violation.detail, len(self._moves)))
