"""Where an effect waits for its turn. Under the deterministic loop the turn is a choice; elsewhere it is at once.
Ends in memory pass through a gate exactly once per effect, and do their work in one step after it.
"""

import enum
from collections.abc import Iterable
from typing import Protocol


class Turn(enum.Enum):
    """What becomes of an effect whose turn it is."""

    GO = "go"
    LOST_REQUEST = "lost request"
    """The other side never hears of it, and nobody here can tell."""
    LOST_ANSWER = "lost answer"
    """It happens, and nobody here can tell."""


class Gate(Protocol):
    """Decides when an effect happens, and whether it can be told."""

    async def pass_through(
        self, label: str, *, reads: Iterable[str] = (), writes: Iterable[str] = (), losable: bool = False
    ) -> Turn:
        """Return when it is this effect's turn.

        ``reads`` and ``writes`` name what it touches (two effects of which neither writes what the other
        touches may be swapped); only a ``losable`` effect is ever lost. Ends a crashed actor by raising.
        """
        ...

    def touched(self, *, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
        """Say what the effect that has its turn touched in truth: all that decided it, and no more than declared."""
        ...


class OpenGate:
    """Lets every effect happen at once."""

    async def pass_through(
        self,
        label: str,  # noqa: ARG002  a gate that is open asks nothing
        *,
        reads: Iterable[str] = (),  # noqa: ARG002
        writes: Iterable[str] = (),  # noqa: ARG002
        losable: bool = False,  # noqa: ARG002
    ) -> Turn:
        """Return at once."""
        return Turn.GO

    def touched(self, *, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
        """Need not care."""
