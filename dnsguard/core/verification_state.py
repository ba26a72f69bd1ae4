"""How current a daemon's verification of a zone is: the last success is never mistaken for the present. Pure."""

from dataclasses import dataclass

from dnsguard.core.comparison import Verification

INTERVALS_MAX = 2
"""A verification older than so many intervals is overdue."""


@dataclass(frozen=True, slots=True)
class VerificationState:
    """What one daemon knows: every daemon verifies by itself, and none tells the others.

    ``last`` is the newest success. ``failure`` says why the newest attempt compared nothing, None if it succeeded.
    ``started_at`` is when this daemon began to verify the zone, every ``interval_s`` seconds or so.
    """

    started_at: float
    interval_s: float
    attempted_at: float | None = None
    last: Verification | None = None
    failure: str | None = None

    def age_s(self, now: float) -> float:
        """Return how long ago the newest success was; without one, since when this daemon tries."""
        return max(0.0, now - (self.started_at if self.last is None else self.last.at))

    def is_overdue(self, now: float) -> bool:
        """Tell whether the newest success is older than verifications should ever get."""
        return self.age_s(now) > INTERVALS_MAX * self.interval_s

    def has_failed(self, now: float) -> bool:
        """Tell whether somebody should look after it: the newest attempt failed, or none has ended in time."""
        return self.failure is not None or self.is_overdue(now)

    def is_current(self, now: float) -> bool:
        """Tell whether the newest success says how the zone stands now."""
        return self.last is not None and not self.has_failed(now)
