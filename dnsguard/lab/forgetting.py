"""The ends as a clean-up of a scenario has them: they say what of all that it was told can still matter to it.
Two clean-ups that differ only in what no longer matters are then one to a search. Nothing that is asked or answered
is changed; that what is said here is so, a test shows by running both on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dnsguard.core.enactment import Reach
from dnsguard.core.guards import Guards
from dnsguard.core.history import Zone
from dnsguard.core.message import Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.lab.ends import GatedPublisher, GatedStore


@dataclass(slots=True)
class Needed:
    """What a clean-up was told, and what it still needs of it. ``afresh`` says of an actor what it knows."""

    afresh: Callable[..., None]
    guards: Guards
    policy: Policy
    seen: Seen | None = None
    zone: Zone | None = None

    def for_listing(self, who: str) -> None:
        """Say that of the fence and the record only the bound matters that follows from them."""
        seen, zone = self.seen, self.zone
        if seen is not None and zone is not None:
            reach = Reach(zone.history, zone.newest, zone.published, seen.fence, self.policy)
            self.afresh(who, "transfer", self.guards.prune_upto(reach), zone.kept_from)


@dataclass(slots=True)
class CleaningStore(GatedStore):
    """The store of a clean-up. Pruning is the last that it does: then nothing else that it knew matters."""

    needed: Needed = field(kw_only=True)

    async def zone(self, name: str) -> Zone:
        """Return a zone."""
        self.needed.zone = await GatedStore.zone(self, name)
        return self.needed.zone

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes and settled plans."""
        self.needed.afresh(self.who, "prune", upto)
        return await GatedStore.prune(self, zone, upto)


@dataclass(slots=True)
class CleaningPublisher(GatedPublisher):
    """The primary of a clean-up."""

    needed: Needed = field(kw_only=True)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        answer = await GatedPublisher.observe(self, zone)
        self.needed.seen = answer if isinstance(answer, Seen) else None
        return answer

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        self.needed.for_listing(self.who)
        return await GatedPublisher.transfer(self, zone)
