"""Search by states: of all ways that lead to one state, the rest is searched once, and swaps of independent moves
are not tried twice on the way. It needs a fingerprint that tells apart any two states that go on differently.
Sleep sets with a table of states, after Godefroid, Holzmann and Pirottin (1995). It visits every state, and so it
shows everything that a check can see.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from dnsguard.lab.moves import Move, Offer
from dnsguard.lab.strategies import NotReproducible, Prefer, in_order

Footprint = tuple[int, int]
State = tuple[Hashable, tuple[tuple[str, int], ...]]
"""Of a scenario: what is behind the effects, and what each actor knows."""
Faceless = tuple[Hashable, ...]
"""A move without the name of an actor that has others like it."""


class _Choice:
    """A choice on the current path."""

    __slots__ = ("move", "reads", "sleep", "todo", "writes")

    def __init__(self, todo: list[Move], sleep: dict[Move, Footprint]) -> None:
        self.todo = todo
        self.sleep = sleep
        self.move = todo[0]
        self.reads = self.writes = 0

    def turn(self) -> bool:
        """Put the tried move to sleep and turn to the next. Returns False if none is left."""
        self.sleep[self.todo.pop(0)] = self.reads, self.writes
        if not self.todo:
            return False
        self.take()
        return True

    def take(self) -> None:
        """Turn to the first move that is left."""
        self.move = self.todo[0]
        self.reads, self.writes = self.move.reads, self.move.writes

    def sleep_after(self) -> dict[Move, Footprint]:
        """Return what still sleeps once this choice's move is made."""
        return {
            move: (reads, writes)
            for move, (reads, writes) in self.sleep.items()
            if move.actor != self.move.actor and not (self.writes & (reads | writes) or writes & self.reads)
        }


def _nameless(offer: Offer) -> tuple[tuple[str, str, int, int], ...]:
    return tuple((move.kind.value, move.label, move.reads, move.writes) for move in offer)


class Recognised:
    """Every state once, depth first; for untimed scenarios that take fingerprints."""

    complete = True
    reduces = True

    def __init__(self, prefer: Prefer | None = None, alike: Collection[str] = ()) -> None:
        """Take an order, and which actors are alike: states in which two of them have changed places are one."""
        self._prefer = prefer
        self._alike = frozenset(alike)
        self._path: list[_Choice] = []
        self._seen: dict[Hashable, frozenset[Faceless]] = {}
        """By state: which moves slept when it was left last, and so were not tried from it."""
        self._state: State = (None, ())
        self._depth = 0
        self._number = 0

    def begin(self) -> bool:
        """Turn to the next schedule: the deepest choice where something is left to try."""
        path = self._path
        if self._number:
            while path and not path[-1].turn():
                path.pop()
            if not path:
                return False
        self._number += 1
        self._depth = 0
        self._state = None, ()
        return True

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Follow the path; where it ends, begin a new choice, or end a run that has come to a known state."""
        path, depth = self._path, self._depth
        self._depth += 1
        if depth < len(path):
            move = path[depth].move
            if not any(move in offer for offer in offers):
                raise NotReproducible(move, offers)
            return move
        sleep = path[-1].sleep_after() if path else {}
        state, faces = self._recognise(offers)
        asleep = frozenset(faces[move] for move in sleep if move in faces)
        slept = self._seen.get(state)
        self._seen[state] = asleep if slept is None else slept & asleep
        offers = in_order(offers, (choice.move for choice in path), self._prefer)
        awake = (move for offer in offers for move in offer if move not in sleep)
        todo = [move for move in awake if slept is None or faces[move] in slept]
        if not todo:
            return None
        choice = _Choice(todo, sleep)
        choice.take()
        path.append(choice)
        return choice.move

    def touched(self, reads: int, writes: int) -> None:
        """Take what the move that was just made touched for what it declared."""
        if self._depth == len(self._path):
            self._path[-1].reads, self._path[-1].writes = reads, writes

    def arrived(self, fingerprint: Callable[[], Any]) -> Hashable | None:
        """Look where it is, where that is not known from an earlier run."""
        if self._depth < len(self._path):
            return None
        world, known = self._state = fingerprint()
        return world, tuple(sorted(("" if actor in self._alike else actor, number) for actor, number in known))

    def _recognise(self, offers: Sequence[Offer]) -> tuple[Hashable, dict[Move, Faceless]]:
        """Return the state without telling apart actors that are alike, and each move as it is called there."""
        world, known = self._state
        knows = dict(known)
        mine = {offer[0].actor: offer for offer in offers}
        alike = sorted(
            ((knows.get(actor, -1), _nameless(mine.get(actor, ())), actor) for actor in self._alike),
        )
        places = {actor: place for place, (_, _, actor) in enumerate(alike)}
        faces: dict[Move, Faceless] = {
            move: (places.get(actor, actor), move.kind, move.label, move.reads, move.writes)
            for actor, offer in mine.items()
            for move in offer
        }
        others = tuple((actor, number, mine.get(actor)) for actor, number in known if actor not in places)
        idle = tuple(mine[actor] for actor in mine if actor not in places and actor not in knows)
        return (world, others, idle, tuple(each[:2] for each in alike)), faces

    def hidden(self, why: str) -> None:
        """Need not care: what happens besides moves is in the state."""

    def described(self) -> str:
        """Say its number."""
        return f"schedule {self._number}"
