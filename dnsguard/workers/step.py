"""What one run of a worker came to, as a value; the loop above decides from it when to run again."""

import enum
from dataclasses import dataclass


class Then(enum.Enum):
    """When a worker wants to run again."""

    AT_ONCE = "at once"
    """There may be more to do."""
    WOKEN = "woken"
    """When there is news, or at the next periodic look."""
    LATER = "later"
    """After a growing, jittered delay: somebody else's trouble."""


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of a run: an event name for the log, what it was about, and when to run again."""

    event: str
    then: Then
    zone: str
    generation: int | None = None
    detail: str = ""
    messages: int = 0
    """UPDATE messages that were applied."""
    rrsets: int = 0
    """RRsets that they carried."""
    refused: int = 0
    """UPDATE messages that the primary refused."""
