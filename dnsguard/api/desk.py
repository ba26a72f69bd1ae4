"""What the HTTP API needs from the house: histories to read, planners to submit to, and a place to wait.
The daemon gives it; nothing here opens a socket or a database.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry

from dnsguard.core.comparison import Verification
from dnsguard.core.history import Covered, Difference, Entry, Zone
from dnsguard.core.message import Unreachable
from dnsguard.core.propagation import Served
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.roster import Daemon
from dnsguard.core.verification_state import VerificationState
from dnsguard.core.written import Seen
from dnsguard.workers.adoption import Adopted, Wish
from dnsguard.workers.planner import Planner
from dnsguard.workers.resync import Keep
from dnsguard.workers.verifier import Postponed

WaitFor = Literal["published", "propagated"]
"""What a client waits for: the primary alone, or all listed name servers."""


class Histories(Protocol):
    """Reads of the store; each is one short transaction. All raise ZoneUnknown."""

    async def zones(self) -> tuple[Zone, ...]:
        """Return all zones, by name."""
        ...

    async def zone(self, name: str) -> Zone:
        """Return one zone."""
        ...

    async def daemons(self) -> tuple[Daemon, ...]:
        """Return the daemons that work on the history."""
        ...

    async def plans(self, zone: str, *, below: int | None, limit: int) -> tuple[Entry, ...]:
        """Return plans, newest first, of generations below a bound (None for all)."""
        ...

    async def plan(
        self, zone: str, generation: int, *, after: Key | None = None, limit: int | None = None
    ) -> tuple[Entry, tuple[Covered, ...]]:
        """Return one plan with a page of the RRsets that it covers. Raises GenerationUnknown."""
        ...

    async def unfinished(self, zone: str, *, limit: int) -> tuple[Entry, ...]:
        """Return the plans that wait, are being withdrawn, or are at fault, oldest first."""
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

    async def differences(
        self, zone: str, before: int, after: int, *, beyond: Key | None = None, limit: int | None = None
    ) -> tuple[Difference, ...]:
        """Return a page of the RRsets that differ between two generations. Raises GenerationUnknown."""
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

    def is_alive(self, daemon: str) -> bool:
        """Tell whether a daemon, by its id, has said lately that it is there."""
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

    async def settled(self, zone: str, generation: int, timeout_s: float, wait_for: WaitFor = "published") -> Entry:
        """Wait until a plan is settled, or time is up; return it as it is then.

        With ``wait_for="propagated"``, until all listed name servers serve what was published, too.
        """
        ...

    def followed(self, zone: str) -> tuple[Served, ...]:
        """Return how the name servers stand that a zone lists; empty if it lists none."""
        ...

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the zone's fence from its primary now."""
        ...

    async def withdraw(self, zone: str, generation: int, why: str, actor: str) -> Refusal | None:
        """Take back a plan of which nothing is published; return why not. Raises GenerationUnknown."""
        ...

    async def resync(self, zone: str, keep: Keep, actor: str, reason: str) -> int:
        """Settle a zone whose fence is not of this history; ``keep`` is "wire" or "store".

        Returns the new generation. Raises `workers.resync.ResyncRefused` with a sentence for people.
        """
        ...

    async def verify(self, zone: str) -> Verification | Unreachable | Postponed:
        """Compare what the primary holds with the history now."""
        ...

    def verification_state(self, zone: str) -> VerificationState | None:
        """Return what this daemon's verifications came to, None if it does not serve the zone."""
        ...

    def suspended(self, zone: str) -> tuple[Key, ...]:
        """Return what is repaired no more for the time being."""
        ...

    async def adopt(self, wish: Wish, actor: str, *, dry_run: bool) -> Adopted:
        """Take over what stands in a zone. Raises `workers.adoption.AdoptionRefused` with a sentence for people."""
        ...

    async def missing(self) -> Mapping[str, str]:
        """Return what keeps the daemon from accepting plans, by part; empty if nothing does."""
        ...
