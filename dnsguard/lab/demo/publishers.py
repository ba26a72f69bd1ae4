"""What stands between a worker and the wire in the demo: a site's distance, and a witness who writes the journal.
Neither changes a message, an answer or a decision.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dnsguard.core.message import Applied, Message, NameInUse, NameNotInUse, NamesRead, Outcome, Refused, Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.lab.demo.clock import StoryClock
from dnsguard.lab.demo.journal import Journal, Sent
from dnsguard.lab.demo.script import Script, Site
from dnsguard.lab.demo.wording import act_of, failed_prerequisite, plan_in
from dnsguard.workers.effects import Publisher

_BELIEFS = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})


@dataclass(frozen=True, slots=True)
class DistantPublisher:
    """A `Publisher` far away: every exchange takes what it takes from its site."""

    publisher: Publisher
    clock: StoryClock
    site: Site

    async def _travel(self) -> None:
        await self.clock.sleep(self.site.exchange_s * (0.8 + 0.4 * self.clock.random()))

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self._travel()
        return await self.publisher.observe(zone)

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE."""
        await self._travel()
        return await self.publisher.publish(message)

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        await self._travel()
        return await self.publisher.read(zone, names)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone; listing it takes long."""
        await self.clock.sleep(self.site.listing_s * (0.98 + 0.04 * self.clock.random()))
        return await self.publisher.transfer(zone)


@dataclass(frozen=True, slots=True)
class WitnessedPublisher:
    """A `Publisher` whose messages are noted; of a refused one also which belief was wrong."""

    publisher: Publisher
    journal: Journal
    script: Script
    lane: str
    site: str

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        return await self.publisher.observe(zone)

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE and note what became of it."""
        at = self.journal.story()
        outcome = await self.publisher.publish(message)
        answered_at = self.journal.story()
        failed = found = ""
        if isinstance(outcome, Refused) and outcome.rcode in _BELIEFS:
            failed, found = await self._explained(message)
        word = "applied" if isinstance(outcome, Applied) else getattr(outcome, "rcode", "") or "no answer"
        act, about, generation = act_of(message)
        plan = plan_in(message, self.script)
        if act == "build" and generation is not None and plan is not None:
            self.journal.learn(generation, plan)
        plan = None if generation is None else self.journal.contents.get(generation)
        label = self.journal.label(generation)
        names = (self.lane, self.site, act, about, generation, plan, label)
        sent = Sent(at, answered_at, *names, message, word, failed, found)
        self.journal.sent.append(sent)
        kind = f"{act}.{'applied' if sent.applied else 'refused'}"
        why = "" if sent.applied else f": {word} (believed: {failed or 'nothing'}; found: {found or 'it holds now'})"
        self.journal.tell(self.lane, kind, f"{sent.words}{why}", sent)
        return outcome

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        return await self.publisher.read(zone, names)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        self.journal.tell(self.lane, "listing.began", f"{self.site} lists the zone for what is old")
        return await self.publisher.transfer(zone)

    async def _explained(self, message: Message) -> tuple[str, str]:
        names = {
            each.name if isinstance(each, NameInUse | NameNotInUse) else each.key.name for each in message.prerequisites
        }
        wire = await self.publisher.read(message.zone, sorted(names))
        return ("", "") if isinstance(wire, Unreachable) else failed_prerequisite(message, wire.rrsets)
