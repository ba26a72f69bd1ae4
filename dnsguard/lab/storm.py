"""Ends that fail as the storm wants: messages late, doubled or refused, a store that breaks before or after it wrote.
Around ends in memory, which stay what they are; everything is drawn from the world's seed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dnsguard.core.history import StoreUnavailable
from dnsguard.core.message import Applied, Message, Outcome, Refused, Unknown, Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.lab.primary import MemoryPublisher
from dnsguard.lab.simulation import Simulation
from dnsguard.lab.store import MemoryStore
from dnsguard.lab.swarm import Swarm


@dataclass(slots=True)
class Storm:
    """The state of the weather, shared by all ends of a world."""

    simulation: Simulation
    swarm: Swarm
    draw: Random
    calm: bool = False
    late: list[Message] = field(default_factory=list)
    """Messages that the network still has."""
    poison: frozenset[bytes] = frozenset()
    """Rdata that the primary cannot hold at the moment."""

    def happens(self, chance: float) -> bool:
        """Draw whether something goes wrong now."""
        return not self.calm and chance > 0 and self.draw.random() < chance

    async def hold_up(self) -> None:
        """Hold an actor up, for a moment or for hours."""
        if self.happens(self.swarm.pause):
            await self.simulation.pause(self.draw.uniform(0, self.swarm.pause_s_max))


@dataclass(slots=True)
class StormyPublisher:
    """A `Publisher` whose messages meet the storm."""

    inner: MemoryPublisher
    storm: Storm

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self.storm.hold_up()
        return await self.inner.observe(zone)

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE through the storm."""
        storm = self.storm
        await storm.hold_up()
        if storm.happens(storm.swarm.late):
            storm.late.append(message)
            return Unknown("no answer in time")
        if storm.happens(storm.swarm.refused):
            return Refused("SERVFAIL", "a bad neighbour in the batch")
        if storm.poison and any(storm.poison & set(getattr(_records(u), "rdatas", ())) for u in message.updates):
            return Refused("SERVFAIL", "cannot hold these contents")
        outcome = await self.inner.publish(message)
        if isinstance(outcome, Applied) and storm.happens(storm.swarm.doubled):
            storm.late.append(message)
        return outcome

    async def read(self, zone: str, names: Collection[str]) -> Mapping[Key, Records] | Unreachable:
        """Return every RRset at these names."""
        await self.storm.hold_up()
        return await self.inner.read(zone, names)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        await self.storm.hold_up()
        return await self.inner.transfer(zone)


def _records(update: object) -> Records | None:
    found = getattr(update, "records", None)
    return found if isinstance(found, Records) else None


_READS = frozenset({"zone", "judge", "unmanaged", "covered", "pending"})


class StormyStore(MemoryStore):
    """A `Store` in memory that fails now and then, before or after it has written."""

    __slots__ = ("_storm",)

    def __init__(self, inner: MemoryStore, storm: Storm) -> None:
        super().__init__(inner.histories, inner.gate)
        self._storm = storm

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  whatever the method returns
        found = super().__getattribute__(name)
        if name.startswith("_") or name in {"histories", "gate"}:
            return found
        return _failing(found, self._storm, reads=name in _READS)


def _failing(method: Any, storm: Storm, *, reads: bool) -> Any:  # noqa: ANN401
    async def call(*args: object, **kwargs: object) -> object:
        await storm.hold_up()
        if storm.happens(storm.swarm.store_before):
            raise StoreUnavailable("the database does not answer")
        result = await method(*args, **kwargs)
        if not reads and storm.happens(storm.swarm.store_after):
            raise StoreUnavailable("the connection broke while committing")
        return result

    return call
