"""Dynamic partial-order reduction: of all orders that differ only in swaps of independent moves, one is tried.
Source sets and sleep sets, after Abdulla and others (POPL 2014), who sharpened Flanagan and Godefroid (POPL 2005).

Faults need care. A fault is one of several ways in which one actor goes on, so wherever an actor is tried, all its
ways are. For each plan of faults (which move of which actor fails, and how) the actors are then deterministic, and
the explored runs that follow this plan are what the reduction of that deterministic program needs. What one plan
adds to the tree only ever adds to another's. The budget bounds which plans there are; it orders nothing, and so it
is no resource: two crashes of different actors are independent.
"""

from collections.abc import Sequence

from dnsguard.lab.scheduler.moves import Move, Offer
from dnsguard.lab.search.strategies import Counts, NotReproducible, Prefer, counted, in_order

Footprint = tuple[int, int]
"""What a move reads and writes."""


class NotReducible(RuntimeError):
    """Actors met elsewhere than at a declared effect, so that nothing can be concluded from the effects."""


class _Node:
    """A choice on the current path."""

    __slots__ = ("actors", "counts", "move", "offers", "past", "reads", "sleep", "todo", "writes")

    def __init__(self, offers: Sequence[Offer], sleep: dict[Move, Footprint], counts: Counts) -> None:
        self.offers = offers
        self.counts = counts
        self.sleep = sleep
        """Moves that need not be tried: what they begin was seen, and nothing since has touched it."""
        self.actors: set[str] = set()
        """Those to be tried here."""
        self.todo: list[Move] = []
        self.move: Move | None = None
        self.reads = self.writes = 0
        """What the move touched: as declared, or less once it was made."""
        self.past = 0
        """The moves of the path that happen before this one, and itself: one bit each, a vector clock."""

    def add(self, actor: str) -> None:
        """Have an actor tried, in all its ways."""
        self.actors.add(actor)
        for offer in self.offers:
            if offer[0].actor == actor:
                self.todo += (move for move in offer if move not in self.sleep)
                return
        raise NotReducible(f"expected {actor} to be able to go on where a race has shown it, found {self.offers}")

    def add_first(self) -> None:
        """Have one actor tried from which all else can be reached.

        That is one without a sleeping way; but a sleeping way that touches nothing does no harm: every run from
        here on which follows it is a swap of one seen. If there is no such actor, all have to be tried.
        """
        for offer in self.offers:
            asleep = [move for move in offer if move in self.sleep]
            if len(asleep) < len(offer) and not any(any(self.sleep[move]) for move in asleep):
                self.add(offer[0].actor)
                return
        for offer in self.offers:
            self.add(offer[0].actor)

    def turn(self) -> bool:
        """Put the tried move to sleep and turn to the next. Returns False if none is left."""
        if self.move is not None:
            self.sleep[self.move] = self.reads, self.writes
        if not self.todo:
            return False
        self.move = self.todo.pop(0)
        self.reads, self.writes = self.move.reads, self.move.writes
        return True

    def conflicts(self, reads: int, writes: int) -> bool:
        """Tell whether the order of what was made here and of something that touches this can matter."""
        return bool(self.writes & (reads | writes) or writes & self.reads)

    def sleep_after(self) -> dict[Move, Footprint]:
        """Return what still sleeps once this node's move is made."""
        tried = self.move
        if tried is None:
            return {}
        return {
            move: touched
            for move, touched in self.sleep.items()
            if move.actor != tried.actor and not self.conflicts(*touched)
        }


class Reduced:
    """One order of each class of equivalent ones, depth first; complete if nothing ends a run early."""

    complete = True
    reduces = True

    def __init__(self, prefer: Prefer | None = None) -> None:
        self._prefer = prefer
        self._path: list[_Node] = []
        self._depth = 0
        self._number = 0
        self._arrived = True
        """Whether the last node's move, being made, has found its place among the others."""

    def begin(self) -> bool:
        """Turn to the next schedule: the deepest choice where something is left to try."""
        path = self._path
        if self._number:
            self._arrive()
            while path and not path[-1].turn():
                path.pop()
            if not path:
                return False
            self._arrived = False
        self._number += 1
        self._depth = 0
        return True

    def resume(self, moves_max: int) -> int:
        """Have passed over what this schedule has in common with the one before."""
        self._depth = max(0, min(moves_max, len(self._path) - 1))
        return self._depth

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        """Follow the path; where it ends, begin a new choice, or end a run of which all sleeps."""
        path, depth = self._path, self._depth
        self._depth += 1
        if depth < len(path):
            move = path[depth].move
            if move is None or not any(move in offer for offer in offers):
                raise NotReproducible(move or offers[0][0], offers)
            return move
        self._arrive()
        last = path[-1] if path else None
        counts = {} if last is None or last.move is None else counted(last.counts, last.move)
        offers = in_order(offers, counts, self._prefer)
        node = _Node(offers, {} if last is None else last.sleep_after(), counts)
        node.add_first()
        if not node.turn():
            return None
        path.append(node)
        self._arrived = False
        return node.move

    def touched(self, reads: int, writes: int) -> None:
        """Take what the move that was just made touched for what it declared.

        Whatever touches nothing of it leaves what it touches, and so its outcome, as they are: the two may be swapped.
        """
        if not self._arrived and self._depth == len(self._path):
            self._path[-1].reads, self._path[-1].writes = reads, writes

    def _arrive(self) -> None:
        """Place the last node's move in the order of what happens before what; have the races it is in tried."""
        path = self._path
        if self._arrived or not path:
            return
        self._arrived = True
        last = len(path) - 1
        node = path[last]
        move = node.move
        if move is None:
            return
        past = 1 << last
        races = []
        for at in range(last - 1, -1, -1):
            if past >> at & 1:
                continue
            before = path[at]
            other = before.move
            if other is None:
                continue
            if other.actor == move.actor:
                past |= before.past
            elif before.conflicts(node.reads, node.writes):
                races.append(at)
                past |= before.past
        node.past = past
        for at in races:
            self._reverse(at, last)

    def _reverse(self, early: int, late: int) -> None:
        """See to it that, where the early move was made, somebody is tried who leads to the late one first."""
        path = self._path
        node = path[early]
        seen = 0
        initials = []
        for at in range(early + 1, late + 1):
            if path[at].past >> early & 1 and at != late:
                continue
            move = path[at].move
            if move is not None and not path[at].past & seen:
                if move.actor in node.actors:
                    return
                initials.append(move.actor)
            seen |= 1 << at
        node.add(initials[0])

    def hidden(self, why: str) -> None:
        """Refuse: an undeclared meeting makes moves dependent that look independent. Raises NotReducible."""
        raise NotReducible(
            f"expected actors to meet at declared effects only, found: {why}. "
            "Put what they share behind the gate, or use another strategy"
        )

    def described(self) -> str:
        """Say its number."""
        return f"schedule {self._number}"
