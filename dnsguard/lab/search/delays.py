"""Search by delays: first the fair order, then each order in which one actor is delayed once, then two delays, and on.
Most races need few of them (delay-bounded scheduling: Emmi, Qadeer and Rakamaric, POPL 2011). It is told nothing of
what it looks for, and concludes nothing: faults are not tried, and not every order is a fair one with delays.
"""

from collections import deque
from collections.abc import Sequence

from dnsguard.lab.scheduler.moves import Move, Offer

Delays = tuple[int, ...]
"""Before which moves of a run the actor whose turn it is falls behind all others, in ascending order."""


class Delayed:
    """Every set of delays, the smallest first; of equally many, the earliest first."""

    complete = False
    reduces = False

    def __init__(self, count: int | None = None) -> None:
        """Try so many schedules at most."""
        self._left = -1 if count is None else count
        self._waiting: deque[Delays] = deque([()])
        self._delays: Delays = ()
        self._number = 0
        self._turns: list[bool] = []
        """Of each move of the run, whether somebody else could have gone."""
        self._behind: dict[str, int] = {}
        self._moved: dict[str, int] = {}

    def begin(self) -> bool:
        """Turn to the next set of delays."""
        if self._number:
            after = self._delays[-1] + 1 if self._delays else 0
            chosen = (at for at in range(after, len(self._turns)) if self._turns[at])
            self._waiting.extend((*self._delays, at) for at in chosen)
        if not self._waiting or self._number == self._left:
            return False
        self._delays = self._waiting.popleft()
        self._number += 1
        self._turns.clear()
        self._behind.clear()
        self._moved.clear()
        return True

    def choose(self, offers: Sequence[Offer]) -> Move:
        """Let the one go who has waited longest, of those who are the least behind."""
        at = len(self._turns)
        self._turns.append(len(offers) > 1)
        first = min(offers, key=self._rank)
        if at in self._delays:
            self._behind[first[0].actor] = at + 1
            first = min(offers, key=self._rank)
        self._moved[first[0].actor] = at + 1
        return first[0]

    def _rank(self, offer: Offer) -> tuple[int, int]:
        actor = offer[0].actor
        return self._behind.get(actor, 0), self._moved.get(actor, 0)

    def hidden(self, why: str) -> None:
        """Need not care: nothing is concluded."""

    def described(self) -> str:
        """Say its number and its delays."""
        return f"schedule {self._number}, delays at {list(self._delays)}"
