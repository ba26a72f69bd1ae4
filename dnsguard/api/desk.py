"""What the HTTP API needs from the house: histories to read, planners to submit to, and a place to wait.
The daemon gives it; nothing here opens a socket or a database.
"""

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry

from dnsguard.core.history import Covered, Difference, Entry, Zone
from dnsguard.core.message import Unreachable
from dnsguard.core.records import Key
from dnsguard.core.written import Seen
from dnsguard.workers.planner import Planner
from dnsguard.workers.resync import Keep


class Histories(Protocol):
    """Reads of the store; each is one short transaction. All raise ZoneUnknown."""

    async def zones(self) -> tuple[Zone, ...]:
        """Return all zones, by name."""
        ...

    async def zone(self, name: str) -> Zone:
        """Return one zone."""
        ...

    async def plans(self, zone: str, *, below: int | None, limit: int) -> tuple[Entry, ...]:
        """Return plans, newest first, of generations below a bound (None for all)."""
        ...

    async def plan(self, zone: str, generation: int) -> tuple[Entry, tuple[Covered, ...]]:
        """Return one plan with the RRsets that it covers. Raises GenerationUnknown."""
        ...

    async def rrsets(
        self,
        zone: str,
        *,
        at: int | None = None,
        name: str | None = None,
        rdtype: str | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> tuple[Covered, ...]:
        """Return what is covered at a generation (the newest if None), by name and type. Raises GenerationUnknown."""
        ...

    async def differences(self, zone: str, before: int, after: int) -> tuple[Difference, ...]:
        """Return the RRsets that differ between two generations. Raises GenerationUnknown."""
        ...


class Desk(Protocol):
    """The house as the API sees it."""

    @property
    def histories(self) -> Histories:
        """The store's reads."""
        ...

    @property
    def registry(self) -> CollectorRegistry:
        """What /metrics shows."""
        ...

    @property
    def mode(self) -> str:
        """Which rules are asked: "guarded" or "unguarded"; part of every status."""
        ...

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def planner(self, zone: str) -> Planner | None:
        """Return the planner of a zone, or None if this daemon does not serve it."""
        ...

    def stands_in_the_way(self, zone: str) -> str | None:
        """Return why nothing is being published for a zone at the moment, None if nothing stands in the way."""
        ...

    def wake(self, zone: str) -> None:
        """Say that there is something to publish."""
        ...

    async def settled(self, zone: str, generation: int, timeout_s: float) -> Entry:
        """Wait until a plan is published, superseded, rejected or faulted, or time is up; return it as it is then."""
        ...

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the zone's fence from its primary now."""
        ...

    async def resync(self, zone: str, keep: Keep, actor: str, reason: str) -> int:
        """Settle a zone whose fence is not of this history; ``keep`` is "wire" or "store".

        Returns the new generation. Raises `workers.resync.ResyncRefused` with a sentence for people.
        """
        ...

    async def missing(self) -> Mapping[str, str]:
        """Return what keeps the daemon from being ready, by part; empty when it is."""
        ...
