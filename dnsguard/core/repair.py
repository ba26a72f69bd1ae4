"""How often an RRset is repaired: at growing intervals and so often an hour at most, so that nobody is fought for ever.
Pure: which repairs there were is in the history, which any number of daemons share.
"""

from collections.abc import Sequence

ACTOR = "dnsguard"
"""Who repairs, in the history; no token has this name."""
REASON = "repair: "
"""How the reason of a repairing plan begins."""
WINDOW_S = 86_400.0
"""How far back repairs count."""
INTERVAL_S_MIN = 60.0
GROWTH = 4.0
_HOUR_S = 3_600.0


def repair_due_at(repaired_at: Sequence[float], per_hour_max: int) -> float:
    """Return the earliest time for one more repair of an RRset; 0 if there was none in the window.

    ``repaired_at`` has the times of those within `WINDOW_S`, oldest first. The n-th interval is
    `INTERVAL_S_MIN` times `GROWTH` to the power of n - 1: 1, 4, 16, 64 minutes, and so on up to the window.
    """
    if not repaired_at:
        return 0.0
    interval_s = min(INTERVAL_S_MIN * GROWTH ** (len(repaired_at) - 1), WINDOW_S)
    due_at = repaired_at[-1] + interval_s
    if len(repaired_at) >= per_hour_max:
        due_at = max(due_at, repaired_at[-per_hour_max] + _HOUR_S)
    return due_at
