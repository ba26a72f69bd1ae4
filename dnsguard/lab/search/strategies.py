"""Strategies: which schedules to try, one after another. Each is a chooser for one run, and a plan for the next.
The same strategy on the same scenario tries the same schedules in the same order, on any machine.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from dnsguard.lab.scheduler.moves import Kind, Move, Offer, Schedule, Step


class Strategy(Protocol):
    """A chooser that goes on from run to run."""

    @property
    def complete(self) -> bool:
        """Whether every behaviour has been seen once nothing is left to try."""
        ...

    @property
    def reduces(self) -> bool:
        """Whether it concludes from whole runs: one that ends early may hide others."""
        ...

    def begin(self) -> bool:
        """Turn to the next schedule. Returns False if none is left."""
        ...

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Return one of the moves offered, or None to end the run."""
        ...

    def hidden(self, why: str) -> None:
        """Hear that something happened between actors that no move declares."""
        ...

    def described(self) -> str:
        """Say which schedule this is, so that it can be found again."""
        ...


Prefer = Callable[[str, int], int]
"""Of (actor, how many moves it has made): how early it is tried, the lowest first. Where there is something to choose,
a search begins with the order that it likes best, and then changes the latest choices first.
"""


Counts = dict[str, int]
"""By actor: how many moves it has made."""


def counted(counts: Counts, move: Move) -> Counts:
    """Return the counts with one move more."""
    return {**counts, move.actor: counts.get(move.actor, 0) + 1}


def in_order(offers: Sequence[Offer], counts: Counts, prefer: Prefer | None) -> Sequence[Offer]:
    """Return offers in the order in which a search should try them."""
    if prefer is None:
        return offers
    return sorted(offers, key=lambda offer: prefer(offer[0].actor, counts.get(offer[0].actor, 0)))


class NotReproducible(RuntimeError):
    """The same moves led somewhere else: something in the scenario is left to chance."""

    def __init__(self, move: Move, offers: Sequence[Offer]) -> None:
        found = ", ".join(str(offer[0]) for offer in offers)
        super().__init__(
            f"expected {move} to be possible as it was before, found {found}: "
            "take clocks, random numbers and sets' order out of the scenario"
        )


class Exhaustive:
    """Every order of moves, depth first."""

    complete = True
    reduces = False

    def __init__(self) -> None:
        self._path: list[tuple[list[Move], int]] = []
        self._depth = 0
        self._number = 0

    def begin(self) -> bool:
        """Turn to the next schedule in order."""
        if self._number:
            while self._path:
                moves, at = self._path.pop()
                if at + 1 < len(moves):
                    self._path.append((moves, at + 1))
                    break
            else:
                return False
        self._number += 1
        self._depth = 0
        return True

    def resume(self, moves_max: int) -> int:
        """Have passed over what this schedule has in common with the one before."""
        self._depth = max(0, min(moves_max, len(self._path) - 1))
        return self._depth

    def choose(self, offers: Sequence[Offer]) -> Move:
        """Follow the path; where it ends, go on with the first move."""
        depth, self._depth = self._depth, self._depth + 1
        if depth == len(self._path):
            self._path.append(([move for offer in offers for move in offer], 0))
            return offers[0][0]
        moves, at = self._path[depth]
        if not any(moves[at] in offer for offer in offers):
            raise NotReproducible(moves[at], offers)
        return moves[at]

    def hidden(self, why: str) -> None:
        """Need not care: every order is tried."""

    def described(self) -> str:
        """Say its number."""
        return f"schedule {self._number}"


class RandomWalk:
    """At each move a random actor, and now and then a fault. One schedule per seed."""

    complete = False
    reduces = False

    def __init__(
        self, start: int = 0, count: int | None = None, *, weights: Mapping[Kind, float] | None = None
    ) -> None:
        """Take the seeds from ``start`` on, and how likely each kind is beside ``GO``, which has weight 1.

        Kinds without a weight have 0.05.
        """
        self._next = start
        self._stop = None if count is None else start + count
        self._weights = dict.fromkeys(Kind, 0.05) | {Kind.GO: 1.0, Kind.RESTART: 1.0} | dict(weights or {})
        self._random = Random(start)  # noqa: S311  a schedule, no secret

    def begin(self) -> bool:
        """Turn to the next seed."""
        if self._next == self._stop:
            return False
        self._random = Random(self._next)  # noqa: S311  a schedule, no secret
        self._next += 1
        return True

    def choose(self, offers: Sequence[Offer]) -> Move:
        """Draw an actor, then one of its moves."""
        draw = self._random
        offer = offers[int(draw.random() * len(offers))]
        if len(offer) == 1:
            return offer[0]
        weights = [self._weights[move.kind] for move in offer]
        return draw.choices(offer, weights)[0] if any(weights) else offer[0]

    def hidden(self, why: str) -> None:
        """Need not care: nothing is concluded."""

    def described(self) -> str:
        """Say the seed."""
        return f"seed {self._next - 1}"


class Pct:
    """Probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): the actor of highest priority goes.

    At ``depth - 1`` random moments the one in front falls behind all others; at ``faults`` random moments
    a fault is taken if there is one. A bug of that depth is found with probability 1 / (actors · moves^(depth-1)).
    """

    complete = False
    reduces = False

    def __init__(
        self, start: int = 0, count: int | None = None, *, depth: int = 3, moves: int = 20, faults: int = 0
    ) -> None:
        """Take the seeds from ``start`` on; ``moves`` is about how many a run has."""
        self._next = start
        self._stop = None if count is None else start + count
        self._depth = depth
        self._moves = moves
        self._faults = faults

    def begin(self) -> bool:
        """Turn to the next seed."""
        if self._next == self._stop:
            return False
        self._random = draw = Random(self._next)  # noqa: S311  a schedule, no secret
        self._falls = {draw.randrange(self._moves): -rank for rank in range(1, self._depth)}
        self._fault_moments = {draw.randrange(self._moves) for _ in range(self._faults)}
        self._priorities: dict[str, float] = {}
        self._moment = 0
        self._next += 1
        return True

    def choose(self, offers: Sequence[Offer]) -> Move:
        """Let the first in rank go."""
        priorities = self._priorities
        for offer in offers:
            if offer[0].actor not in priorities:
                priorities[offer[0].actor] = self._random.random()
        first = max(offers, key=self._rank)
        fall = self._falls.get(self._moment)
        if fall is not None:
            priorities[first[0].actor] = fall
            first = max(offers, key=self._rank)
        moment, self._moment = self._moment, self._moment + 1
        if moment in self._fault_moments and len(first) > 1:
            return first[1 + self._random.randrange(len(first) - 1)]
        return first[0]

    def _rank(self, offer: Offer) -> float:
        return self._priorities[offer[0].actor]

    def hidden(self, why: str) -> None:
        """Need not care: nothing is concluded."""

    def described(self) -> str:
        """Say the seed."""
        return f"seed {self._next - 1}"


class ScheduleDoesNotFit(ValueError):
    """A schedule names a move that is not possible where it stands."""

    def __init__(self, number: int, step: Step, offers: Sequence[Offer]) -> None:
        found = ", ".join(str(move) for offer in offers for move in offer)
        super().__init__(
            f"expected step {number} of the schedule, {step.actor} {step.label} ({step.turn}), to be possible, "
            f"found {found}: replay it on the scenario and the options that it was recorded with"
        )


class Replay:
    """One recorded schedule, to the letter; the run ends where it ends."""

    complete = False
    reduces = False

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._at = 0
        self._begun = False

    def begin(self) -> bool:
        """Turn to the schedule, once."""
        fresh, self._begun = not self._begun, True
        return fresh

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Return the recorded move. Raises ScheduleDoesNotFit."""
        if self._at == len(self._schedule):
            return None
        step = self._schedule.steps[self._at]
        self._at += 1
        for offer in offers:
            if offer[0].actor == step.actor:
                for move in offer:
                    if move.label == step.label and move.kind.value == step.turn:
                        return move
        raise ScheduleDoesNotFit(self._at, step, offers)

    @property
    def left(self) -> int:
        """Return how many steps were not reached; a run that ends before its schedule does not fit it."""
        return len(self._schedule) - self._at

    def hidden(self, why: str) -> None:
        """Need not care: nothing is concluded."""

    def described(self) -> str:
        """Say what it is."""
        return f"a recorded schedule of {len(self._schedule)} moves"
