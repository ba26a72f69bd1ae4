"""Clean-up forgets history that nothing can need any more: what a state, a rollback or a publication under way
is made of stays. What decides is read from the primary itself; age alone proves nothing.
"""

from dataclasses import dataclass

from dnsguard.core.enactment import Reach
from dnsguard.core.guards import Guards
from dnsguard.core.message import Unreachable
from dnsguard.core.policy import Policy
from dnsguard.workers.effects import Publisher, Store
from dnsguard.workers.step import Step, Then


@dataclass(slots=True)
class Cleanup:
    """Prunes the history of one zone."""

    zone: str
    store: Store
    publisher: Publisher
    guards: Guards
    policy: Policy

    async def run_once(self) -> Step:
        """Forget what is superseded below the newest generation that no guard needs kept."""
        seen = await self.publisher.observe(self.zone)
        if isinstance(seen, Unreachable):
            return Step("primary.unreachable", Then.LATER, self.zone, detail=seen.reason)
        zone = await self.store.zone(self.zone)
        reach = Reach(zone.history, zone.newest, zone.published, seen.fence, self.policy)
        upto = self.guards.prune_upto(reach)
        if upto <= zone.kept_from:
            return Step("history.kept", Then.WOKEN, self.zone, generation=zone.kept_from)
        rows = await self.store.prune(self.zone, upto)
        return Step("history.pruned", Then.WOKEN, self.zone, generation=upto, rrsets=rows)
