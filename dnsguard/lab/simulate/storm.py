"""Ends that fail as the storm wants: messages late, doubled or refused, a store that breaks before or after it wrote.
Around ends in memory, which stay what they are; everything is drawn from the world's seed.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dnsguard.core.history import StoreUnavailable
from dnsguard.core.message import Applied, Message, NamesRead, Outcome, Refused, Unknown, Unreachable, octets_of
from dnsguard.core.names import is_within
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.ends.state_store import MemoryStateStore
from dnsguard.lab.scheduler.simulation import Simulation
from dnsguard.lab.simulate.draws import Draws
from dnsguard.lab.simulate.swarm import Swarm

TOLD = "told"
"""The act of a note whose subject is a sentence."""
TURN = "turn"
"""The act of a note that a daemon begins to publish, or to clean up: its subject says which."""
PAUSE_TOLD_S = 60.0
MESSAGE_OCTETS_MAX = 65_535
RRSETS_ROOM = 60
"""How many changes the disk of a world's database holds: plenty for all plans of usual size."""


@dataclass(slots=True)
class Storm:
    """The state of the weather, shared by all ends of a world."""

    simulation: Simulation
    swarm: Swarm
    draw: Draws
    calm: bool = False
    late: list[Message] = field(default_factory=list)
    """Messages that the network still has."""
    poison: frozenset[bytes] = frozenset()
    """Rdata that the primary cannot hold at the moment."""
    notes: list[Note] | None = None
    """What happened, for a story; None where nobody wants one."""
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a clean-up has listed the zone, and once all is over: a moment for somebody to get in between."""

    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something is on record as published, and once all is over."""
    written: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the zone was changed, by whomever, and once all is over."""

    def note(self, who: str, act: str, subject: object, result: object = None) -> None:
        """Note what happened."""
        if self.notes is not None:
            self.notes.append(Note(who, act, subject, result))

    def happens(self, kind: str, act: str = "") -> bool:
        """Draw whether a kind of thing goes wrong now, in an act; how often it does is in the settings by that name."""
        chance: float = getattr(self.swarm, kind)
        return not self.calm and chance > 0 and self.draw.of(f"{kind} {act}").random() < chance

    async def until(self, event: asyncio.Event) -> None:
        """Wait for the next time that an event is set; not at all once the storm is over."""
        event.clear()
        if not self.calm:
            await event.wait()

    def end(self) -> None:
        """Have the storm be over: nobody waits any more for somebody else's moment."""
        self.calm = True
        for event in (self.listed, self.recorded, self.written):
            event.set()

    async def hold_up(self, who: str, act: str) -> None:
        """Hold an actor up before an act, for a moment or for hours."""
        if self.happens("pause", act):
            pause_s = self.draw.of(act).uniform(0, self.swarm.pause_s_max)
            if pause_s >= PAUSE_TOLD_S:
                self.note(who, TOLD, f"is held up for {pause_s / 60:.0f} minutes")
            await self.simulation.pause(pause_s)


@dataclass(slots=True)
class StormyPublisher:
    """A `Publisher` whose messages meet the storm."""

    inner: MemoryPublisher
    storm: Storm
    who: str
    looked_at: Mapping[Key, Records] | None = None
    """What the last look at names showed; None if there was none, or the primary did not answer."""

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self.storm.hold_up(self.who, "observe")
        seen = await self.inner.observe(zone)
        self.storm.note(self.who, "observe", zone, seen)
        return seen

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE through the storm."""
        storm = self.storm
        await storm.hold_up(self.who, "publish")
        copies = len(storm.late)
        outcome = await self._sent(message)
        storm.note(self.who, "publish", message, outcome)
        if isinstance(outcome, Applied) and len(storm.late) > copies:
            storm.note("the network", TOLD, "keeps a copy of that")
        return outcome

    async def _sent(self, message: Message) -> Outcome:
        storm = self.storm
        if (refused := _never_taken(message)) is not None:
            return refused
        if storm.happens("late"):
            storm.late.append(message)
            return Unknown("no answer in time")
        if storm.happens("refused"):
            return Refused("SERVFAIL", "a bad neighbour in the batch")
        if storm.poison and any(storm.poison & set(getattr(_records(u), "rdatas", ())) for u in message.updates):
            return Refused("SERVFAIL", "cannot hold these contents")
        outcome = await self.inner.publish(message)
        if message.updates:
            storm.written.set()
        if isinstance(outcome, Applied) and storm.happens("doubled"):
            storm.late.append(message)
        return outcome

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        await self.storm.hold_up(self.who, "read")
        found = await self.inner.read(zone, names)
        self.storm.note(self.who, "read", tuple(names), found)
        self.looked_at = None if isinstance(found, Unreachable) else found.rrsets
        return found

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        await self.storm.hold_up(self.who, "transfer")
        found = await self.inner.transfer(zone)
        self.storm.note(self.who, "transfer", zone, found)
        self.storm.listed.set()
        return found


def _never_taken(message: Message) -> Refused | None:
    """Refuse what no server takes: names of another zone (RFC 2136 section 3.4.1.3), more than fits a message."""
    if any(not is_within(update.key.name, message.zone) for update in message.updates):
        return Refused("NOTZONE", "a name is outside the zone")
    if sum(octets_of(update) for update in message.updates) > MESSAGE_OCTETS_MAX:
        return Refused("FORMERR", "too large; nothing was sent")
    return None


def _records(update: object) -> Records | None:
    found = getattr(update, "records", None)
    return found if isinstance(found, Records) else None


_READS = frozenset({"zone", "judge", "unmanaged", "covered", "pending", "rrsets", "contents_between", "repairs_since"})
_ABOUT_FIRST = frozenset({"zone", "accept", "judge", "covered", "rrsets"})
"""Methods whose first argument says what they are about; of the others it is the second."""


class StormyStore(MemoryStateStore):
    """A `Store` in memory that fails now and then, before or after it has written, and when its disk is full."""

    __slots__ = ("_storm", "_who")

    def __init__(self, inner: MemoryStateStore, storm: Storm, who: str) -> None:
        super().__init__(inner.histories, inner.gate)
        self._storm = storm
        self._who = who

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  whatever the method returns
        found = super().__getattribute__(name)
        if name.startswith("_") or name in {"histories", "gate"}:
            return found
        return self._failing(name, found)

    def _failing(self, name: str, method: Any) -> Any:  # noqa: ANN401
        storm, who, reads = self._storm, self._who, name in _READS

        async def call(*args: object, **kwargs: object) -> object:
            await storm.hold_up(who, name)
            if not reads and self._is_full():
                raise StoreUnavailable("the disk is full")
            if storm.happens("store_before", name):
                raise StoreUnavailable("the database does not answer")
            result = await method(*args, **kwargs)
            if name == "record" and result:
                storm.recorded.set()
            storm.note(who, f"store.{name}", args[name not in _ABOUT_FIRST], result)
            if not reads and storm.happens("store_after", name):
                storm.note(who, TOLD, "loses the connection to the database, and does not know what came of that")
                raise StoreUnavailable("the connection broke while committing")
            return result

        return call

    def _is_full(self) -> bool:
        return any(
            sum(len(here) for here in history.changes.values()) > RRSETS_ROOM for history in self.histories.values()
        )
