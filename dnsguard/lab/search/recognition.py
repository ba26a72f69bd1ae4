"""Search by states: of all ways that lead to one state, the rest is searched once, and swaps of independent moves
are not tried twice on the way. It needs a fingerprint that tells apart any two states that go on differently.
Sleep sets with a table of states, after Godefroid, Holzmann and Pirottin (1995). It visits every state, and so it
shows everything that a check can see.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from dnsguard.lab.scheduler.moves import Kind, Move, Offer
from dnsguard.lab.search.strategies import Counts, NotReproducible, Prefer, counted, in_order

Footprint = tuple[int, int]
State = tuple[Hashable, tuple[tuple[str, Hashable], ...]]
"""Of a scenario: what is behind the effects, and what each actor knows. An actor that is not named knows nothing."""
KINDS = {kind: at for at, kind in enumerate(Kind)}


class _Choice:
    """A choice on the current path."""

    __slots__ = ("counts", "move", "reads", "sleep", "todo", "writes")

    def __init__(self, todo: list[Move], sleep: dict[Move, Footprint], counts: Counts) -> None:
        self.todo = todo
        self.sleep = sleep
        self.counts = counts
        """How many moves each actor had made before."""
        self.move = todo[0]
        self.reads, self.writes = self.move.reads, self.move.writes

    def turn(self) -> bool:
        """Put the tried move to sleep and turn to the next. Returns False if none is left."""
        self.sleep[self.todo.pop(0)] = self.reads, self.writes
        if not self.todo:
            return False
        self.move = self.todo[0]
        self.reads, self.writes = self.move.reads, self.move.writes
        return True

    def sleep_after(self) -> dict[Move, Footprint]:
        """Return what still sleeps once this choice's move is made."""
        if not self.sleep:
            return {}
        reads, writes, actor = self.reads, self.writes, self.move.actor
        both = reads | writes
        return {
            move: touched
            for move, touched in self.sleep.items()
            if not (writes & touched[0] or both & touched[1]) and move.actor != actor
        }


class Recognised:
    """Every state once, depth first; for untimed scenarios that take fingerprints."""

    complete = True
    reduces = True

    def __init__(self, prefer: Prefer | None = None, alike: Collection[str] = ()) -> None:
        """Take an order, and which actors are alike: states in which two of them have changed places are one."""
        self._prefer = prefer
        self._alike = frozenset(alike)
        self._path: list[_Choice] = []
        self._seen: dict[Hashable, int] = {}
        """By state: which moves slept whenever it was met, and so were not tried from it; one bit each."""
        self._state: Hashable = None
        self._places: dict[str, int] = {}
        """Where in the state's own order each actor stands: those that are alike by what they know."""
        self._kinds: dict[Move, int] = {}
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
        self._state, self._places = None, {}
        return True

    def resume(self, moves_max: int) -> int:
        """Have passed over what this schedule has in common with the one before."""
        self._depth = max(0, min(moves_max, len(self._path) - 1))
        return self._depth

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Follow the path; where it ends, begin a new choice, or end a run that has come to a known state."""
        path, depth = self._path, self._depth
        self._depth += 1
        if depth < len(path):
            move = path[depth].move
            if not any(move in offer for offer in offers):
                raise NotReproducible(move, offers)
            return move
        before = path[-1] if path else None
        sleep = before.sleep_after() if before is not None else {}
        slept = self._seen.get(self._state)
        faces = self._faces(offers) if sleep or slept is not None else {}
        asleep = 0
        for move in sleep:
            asleep |= faces.get(move, 0)
        if slept is None:
            self._seen[self._state] = asleep
            awake = [move for offer in offers for move in offer if move not in sleep] if sleep else None
        else:
            # What slept then and does not now is still to be tried. What sleeps now, and was tried then, need not
            # sleep below: only what was left out both times is known to be seen elsewhere (Godefroid and others).
            left = slept & ~asleep
            if not left:
                return None
            self._seen[self._state] = slept & asleep
            awake = [move for offer in offers for move in offer if faces[move] & left]
            sleep = {move: touched for move, touched in sleep.items() if faces.get(move, 0) & slept}
        if awake is not None and not awake:
            return None
        counts = {} if before is None else counted(before.counts, before.move)
        if self._prefer is not None:
            offers = in_order(offers, counts, self._prefer)
        todo = [move for offer in offers for move in offer]
        if awake is not None:
            chosen = set(awake)
            todo = [move for move in todo if move in chosen]
        choice = _Choice(todo, sleep, counts)
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
        world, known = fingerprint()
        others = tuple(each for each in known if each[0] not in self._alike)
        alike = sorted((number, actor) for actor, number in known if actor in self._alike)
        self._places = {actor: at for at, actor in enumerate((*(o[0] for o in others), *(a[1] for a in alike)))}
        self._state = (world, others, *(number for number, _ in alike))
        return self._state

    def _faces(self, offers: Sequence[Offer]) -> dict[Move, int]:
        """Return each move as a bit: by its actor's place in the state's own order, and its kind."""
        faces = {}
        places, kinds = self._places, self._kinds
        for offer in offers:
            for move in offer:
                kind = kinds.get(move)
                if kind is None:
                    kind = kinds[move] = KINDS[move.kind]
                place = places.setdefault(move.actor, len(places))
                faces[move] = 1 << (place * len(KINDS) + kind)
        return faces

    def hidden(self, why: str) -> None:
        """Need not care: what happens besides moves is in the state."""

    def described(self) -> str:
        """Say its number."""
        return f"schedule {self._number}"
