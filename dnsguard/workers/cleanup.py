"""Clean-up forgets history that nothing can need any more: what a state, a rollback or a publication under way
is made of stays. What decides is read from the primary itself; age alone proves nothing.
"""

from dataclasses import dataclass

from dnsguard.core.enactment import Reach
from dnsguard.core.guards import Guards
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import Applied, Refused, Unknown, Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.sweep import Listed, deletion, markers, nodes
from dnsguard.core.written import seen_in
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
        deleted = await self._sweep(upto) if LAYOUTS[self.policy.layout].whole_names and upto > 0 else Swept()
        if upto <= zone.kept_from:
            event = "nodes.deleted" if deleted.nodes else "history.kept"
            return Step(event, Then.WOKEN, self.zone, zone.kept_from, "", deleted.nodes, 0, deleted.refused)
        rows = await self.store.prune(self.zone, upto)
        return Step("history.pruned", Then.WOKEN, self.zone, upto, "", deleted.nodes, rows, deleted.refused)

    async def _sweep(self, upto: int) -> "Swept":
        """Delete the nodes up to a generation that nothing names, one message each."""
        found = await self.publisher.transfer(self.zone)
        if isinstance(found, Unreachable):
            return Swept()
        listed = Listed(self.zone, seen_in(self.zone, found), found)
        if listed.seen.fence is None:
            return Swept()  # the zone is not ours at the moment: it was when the bound was read
        old = upto - self.policy.history_generations_min
        deleted = refused = 0
        for node in (*nodes(listed, upto), *markers(listed, old)):
            if self.guards.spares(listed, node):
                continue
            match await self.publisher.publish(deletion(listed, node, self.guards.delete)):
                case Applied():
                    deleted += 1
                case Refused():
                    refused += 1
                case Unknown():
                    break
        return Swept(deleted, refused)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many nodes went, and how many deletions the primary refused."""

    nodes: int = 0
    refused: int = 0
