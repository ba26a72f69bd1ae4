"""The kinds of fault of which a run consists: a fixed list. What a machine cannot have is said, with its reason; a run
that lacks a kind counts only if it was asked for without it.
"""

from collections.abc import Mapping

KILLED = "daemon killed"
STOPPED = "daemon stopped"
HELD = "stopped between observing and publishing"
CUT = "partition"
LOST = "packets lost"
RESET = "connections reset"
SLOW = "slow DNS"
PRIMARY_KILLED = "primary killed"
SECONDARY_KILLED = "secondary killed"
DATABASE_KILLED = "database killed"
CLOCK = "clock moved"
FULL = "disk full"

KINDS = (
    KILLED,
    STOPPED,
    HELD,
    CUT,
    LOST,
    RESET,
    SLOW,
    PRIMARY_KILLED,
    SECONDARY_KILLED,
    DATABASE_KILLED,
    CLOCK,
    FULL,
)
ENCLOSED = (LOST, FULL)
"""What plain processes side by side cannot have."""


def impossible(*, enclosed: bool, clocked: bool) -> Mapping[str, str]:
    """Return the kinds that cannot be here, and why not."""
    found = {} if enclosed else dict.fromkeys(ENCLOSED, "there are no network and mount namespaces for it")
    return found if clocked else {**found, CLOCK: "libfaketime is not installed"}
