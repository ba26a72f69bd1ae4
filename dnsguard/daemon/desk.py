"""The running daemon as its doors see it: zones to serve, histories to read, a place to wait.
Settings may be replaced while it runs; what cannot change without a restart is said.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from prometheus_client import CollectorRegistry

from dnsguard.api.desk import WaitFor
from dnsguard.core.comparison import Verification
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import TAKEN_OUT, UNSETTLED, Entry, GenerationUnknown, PlanState, StoreUnavailable
from dnsguard.core.message import Unreachable
from dnsguard.core.propagation import Served
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.verification_state import VerificationState
from dnsguard.core.written import Seen
from dnsguard.daemon.clock import SystemClock
from dnsguard.daemon.config import Settings
from dnsguard.daemon.examining import Examining
from dnsguard.daemon.following import Circle, Following
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.lines import Lines, Place, place_of
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outages import PrimaryOutage, StoreOutage
from dnsguard.daemon.roster import Roster
from dnsguard.daemon.verifying import AT_ONCE_MAX, Verifying
from dnsguard.daemon.waiters import Waiters
from dnsguard.daemon.zones import ZoneRoom, open_room
from dnsguard.store.bulletin import Act, News
from dnsguard.store.sql import SqlStore
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.observer import Followers
from dnsguard.wire.primary import Primary
from dnsguard.workers.adoption import Adopted, Adoption, Wish
from dnsguard.workers.planner import Planner
from dnsguard.workers.propagation import Propagation
from dnsguard.workers.resync import Keep, resync
from dnsguard.workers.verifier import Postponed, Verifier

_SURVEY_S = 5.0
LOOKS_PER_S_MAX = 20
"""How often all zones together are looked at while nobody has said anything: with many zones, each is more seldom."""


class DaemonDesk:
    """Zones, stores and publishers of one daemon."""

    def __init__(
        self,
        store: SqlStore,
        guards: Guards = GUARDED,
        end: Callable[[], None] = lambda: None,
        lasting: Lasting | None = None,
    ) -> None:
        """``end`` is called when another version has to take over; ``lasting`` starts what is to run for ever."""
        self._store = store
        self._guards = guards
        self._clock = SystemClock()
        self._metrics = Metrics(self.mode)
        self._outage = StoreOutage()
        self._primary_outages: dict[Place, PrimaryOutage] = {}
        self._lasting = lasting or Lasting()
        self.roster = Roster(store, self._clock, end, self._outage, self._lasting)
        self._rooms: dict[str, ZoneRoom] = {}
        self._lines = Lines(self._clock.now)
        self._circle = Circle(self._clock.now)
        self._primaries: dict[str, Primary] = {}
        self._name_servers: dict[str, NameServer] = {}
        self._settings = Settings()
        self._transfers: dict[Place, asyncio.Semaphore] = {}
        """Turns for whole zones, by primary: one that is silent keeps nobody else's zones from being compared."""
        self._waiters: dict[str, Waiters] = {}
        self._survey: asyncio.Task[None] | None = None

    @property
    def histories(self) -> SqlStore:
        """The store's reads."""
        return self._store

    @property
    def registry(self) -> CollectorRegistry:
        """What /metrics shows."""
        return self._metrics.registry

    @property
    def mode(self) -> str:
        """Which rules are asked."""
        return "guarded" if self._guards == GUARDED else "unguarded"

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        return self._clock.now()

    async def apply(
        self, settings: Settings, primaries: Mapping[str, Primary], name_servers: Mapping[str, NameServer]
    ) -> None:
        """Serve what the settings name: open rooms that are new or changed, close those that are gone.

        ``primaries`` has each zone's, ``name_servers`` those that zones list. A zone about which nothing changed goes
        on undisturbed.
        """
        known = {zone.name for zone in await self._store.zones()}
        for name in settings.zones.keys() - known:
            await self._store.ensure_zone(name, self._clock.hex_digits(16))
        stale = [name for name in self._rooms if self._has_changed(name, settings, primaries, name_servers)]
        await asyncio.gather(*(self._rooms.pop(name).close() for name in stale))
        for name in stale:
            self._primary_outage(name).forget(name)
        for name in self._primaries.keys() - settings.zones.keys():
            self._metrics.forget(name)
            if (waiters := self._waiters.pop(name, None)) is not None:
                waiters.close()
        await self._lines.keep(primaries.values())
        self._circle.keep(name_servers)
        self._settings, self._primaries, self._name_servers = settings, dict(primaries), dict(name_servers)
        for name in settings.zones:
            if name not in self._rooms:
                self._rooms[name] = self._open_room(name)
        if self._survey is None:
            self._survey = self._lasting.start(self._keep_surveying(), "survey")
            self.roster.start(self._hear)

    def _has_changed(
        self,
        zone: str,
        settings: Settings,
        primaries: Mapping[str, Primary],
        name_servers: Mapping[str, NameServer],
    ) -> bool:
        before = self._settings
        return (
            zone not in settings.zones
            or settings.policy_of(zone) != before.policy_of(zone)
            or settings.workers != before.workers
            or primaries[zone] != self._primaries[zone]
            or settings.propagation != before.propagation
            or [name_servers[name] for name in settings.zones[zone].name_servers]
            != [self._name_servers[name] for name in before.zones[zone].name_servers]
        )

    def _paced(self, interval_s: float) -> float:
        """Return how often to look at one zone of many."""
        return max(interval_s, len(self._settings.zones) / LOOKS_PER_S_MAX)

    def _open_room(self, zone: str) -> ZoneRoom:
        workers = self._settings.workers
        primary_outage = self._primary_outage(zone)
        workers = msgspec.structs.replace(
            workers,
            enactor_interval_s=self._paced(workers.enactor_interval_s),
            cleanup_interval_s=self._paced(workers.cleanup_interval_s),
        )
        room = open_room(
            zone,
            store=self._store,
            publisher=self._lines.publisher(self._primaries[zone]),
            clock=self._clock,
            guards=self._guards,
            policy=self._settings.policy_of(zone),
            workers=workers,
            metrics=self._metrics,
            returned=self._hurry_beside,
            recorded=self._waiters_of(zone).notify,
            examining=Examining(
                zone,
                self._primaries[zone],
                (self._name_servers[name] for name in self._settings.zones[zone].name_servers),
                self._clock,
            ),
            outage=self._outage,
            primary_outage=primary_outage,
            lasting=self._lasting,
            patience_s=self.roster.patience_s,
        )
        policy, workers = self._settings.policy_of(zone), self._settings.workers
        room.verifying = Verifying(
            Verifier(zone, self._store, room.publisher, self._clock, self._guards, policy),
            self._transfer_turns(zone),
            self._metrics,
            room.wake,
            interval_s=workers.verifier_interval_s,
            backoff_s_max=workers.backoff_s_max,
            outage=self._outage,
            is_known=primary_outage.knows,
            lasting=self._lasting,
        )
        self._metrics.forget_servers(zone)
        if names := self._settings.zones[zone].name_servers:
            section = self._settings.propagation
            section = msgspec.structs.replace(section, interval_s=self._paced(section.interval_s))
            observer = Followers(self._circle.of(names))
            propagation = Propagation(zone, names, self._store, observer, self._clock, section.lag_s_max)
            room.following = Following(
                propagation, section, self._metrics, self._waiters_of(zone).notify, self._outage, self._lasting
            )
        return room

    def _primary_outage(self, zone: str) -> PrimaryOutage:
        primary = self._primaries[zone]
        return self._primary_outages.setdefault(place_of(primary), PrimaryOutage(str(primary)))

    def _hurry_beside(self, zone: str) -> None:
        """Have the other zones of a primary that answers again look at once: their pauses have grown long."""
        place = place_of(self._primaries[zone])
        for name, room in self._rooms.items():
            if name != zone and room.trouble and place_of(self._primaries[name]) == place:
                room.hurry()

    async def close(self) -> None:
        """End all work; what is under way is settled by observing at the next start."""
        if self._survey is not None:
            self._survey.cancel()
            await asyncio.gather(self._survey, return_exceptions=True)
        await self.roster.close()
        await asyncio.gather(*(room.close() for room in self._rooms.values()))
        for waiters in self._waiters.values():
            waiters.close()
        await self._lines.keep(())

    def is_alive(self, daemon: str) -> bool:
        """Tell whether a daemon, by its id, has said lately that it is there."""
        return daemon == self.roster.own.id or daemon in self.roster.alive()

    def planner(self, zone: str) -> Planner | None:
        """Return the planner of a zone, or None if this daemon does not serve it."""
        room = self._rooms.get(zone)
        return None if room is None else room.planner

    def wake(self, zone: str) -> None:
        """Say that there is something to publish."""
        if (room := self._rooms.get(zone)) is not None:
            room.wake()

    def _hear(self, news: News) -> None:
        """Wake who waits for what another daemon did."""
        if (room := self._rooms.get(news.zone)) is None:
            return
        if news.act is Act.ACCEPTED:
            room.wake()
        self._waiters_of(news.zone).notify()

    async def settled(self, zone: str, generation: int, timeout_s: float, wait_for: WaitFor = "published") -> Entry:
        """Wait until a plan is settled, or has propagated, or time is up; return it as it is then."""
        if timeout_s > 0 and zone in self._settings.zones:
            is_over = partial(_is_over, wait_for=wait_for, followed=bool(self.followed(zone)))
            entry = await self._waiters_of(zone).wait(generation, is_over, timeout_s)
            if entry is not None:
                return entry
        found = await self._store.plans_of(zone, (generation,))
        if not found:
            raise GenerationUnknown(zone, generation, generation, generation)
        return found[0]

    def _waiters_of(self, zone: str) -> Waiters:
        if (waiters := self._waiters.get(zone)) is None:
            waiters = self._waiters[zone] = Waiters(partial(self._store.plans_of, zone))
        return waiters

    def followed(self, zone: str) -> tuple[Served, ...]:
        """Return how the name servers stand that a zone lists; empty if it lists none."""
        section, room = self._settings.zones.get(zone), self._rooms.get(zone)
        if room is not None and room.following is not None:
            return room.following.served
        return () if section is None else tuple(Served(server) for server in section.name_servers)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the zone's fence from its primary now."""
        room = self._rooms.get(zone)
        return Unreachable("the zone is not served here") if room is None else await room.publisher.observe(zone)

    async def withdraw(self, zone: str, generation: int, why: str, actor: str) -> Refusal | None:
        """Take back a plan of which nothing is published; return why not."""
        refusal = await self._store.withdraw(zone, generation, why, actor, self.now())
        self._rooms[zone].wake()
        return refusal

    async def resync(self, zone: str, keep: Keep, actor: str, reason: str) -> int:
        """Settle a zone whose fence is not of this history."""
        room = self._rooms[zone]
        generation = await resync(
            zone,
            keep,
            actor,
            reason,
            store=self._store,
            publisher=room.publisher,
            clock=self._clock,
            guards=self._guards,
        )
        room.hurry()
        return generation

    async def verify(self, zone: str) -> Verification | Unreachable | Postponed:
        """Compare what the primary holds with the history now."""
        verifying = self._verifying(zone)
        return Postponed("the zone is not served here") if verifying is None else await verifying.look()

    def verification_state(self, zone: str) -> VerificationState | None:
        """Return what this daemon's verifications came to, None if it does not serve the zone."""
        verifying = self._verifying(zone)
        return None if verifying is None else verifying.state

    def suspended(self, zone: str) -> tuple[Key, ...]:
        """Return what is repaired no more for the time being."""
        verifying = self._verifying(zone)
        return () if verifying is None else verifying.suspended

    def _transfer_turns(self, zone: str) -> asyncio.Semaphore:
        return self._transfers.setdefault(place_of(self._primaries[zone]), asyncio.Semaphore(AT_ONCE_MAX))

    def _verifying(self, zone: str) -> Verifying | None:
        room = self._rooms.get(zone)
        return None if room is None else room.verifying

    async def adopt(self, wish: Wish, actor: str, *, dry_run: bool) -> Adopted:
        """Take over what stands in a zone. Raises AdoptionRefused."""
        room = self._rooms[wish.zone]
        policy = self._settings.policy_of(wish.zone)
        adoption = Adoption(self._store, room.publisher, self._clock, self._guards, policy)
        async with self._transfer_turns(wish.zone):
            adopted = await adoption.adopt(wish, actor, dry_run=dry_run)
        room.wake()
        return adopted

    def stands_in_the_way(self, zone: str) -> str | None:
        """Return why not everything is being published for a zone at the moment, None if nothing stands in the way."""
        room = self._rooms.get(zone)
        if room is None:
            return "this daemon does not serve the zone: it is in the database, and not in the settings"
        return room.trouble or room.refused or None

    async def missing(self) -> Mapping[str, str]:
        """Return what keeps the daemon from accepting plans, by part; trouble with a zone's primary does not."""
        try:
            await self._store.zones()
        except StoreUnavailable as error:
            self._outage.begin(str(error))
            return {"store": str(error)}
        fault = self._store.write_fault
        return {} if fault is None else {"store": fault}

    async def _keep_surveying(self) -> None:
        while True:
            try:
                for zone in await self._store.zones():
                    if (waiters := self._waiters.get(zone.name)) is not None:
                        waiters.notify()  # another daemon may have published, and its notification was lost
                    if (room := self._rooms.get(zone.name)) is not None:
                        if zone.published < zone.newest:
                            room.wake()  # another daemon may have accepted it, and nobody has said so
                        stuck = self.stands_in_the_way(zone.name) is not None
                        followed = bool(self.followed(zone.name))
                        self._metrics.survey(zone, self.now(), stuck=stuck, followed=followed)
            except StoreUnavailable as error:
                self._outage.begin(str(error))
            await asyncio.sleep(_SURVEY_S)


def _is_over(entry: Entry, wait_for: WaitFor, *, followed: bool) -> bool:
    """Tell whether waiting for a plan is over; what was refused will never propagate."""
    if entry.state in UNSETTLED:
        return False
    waits_on = followed and wait_for == "propagated" and entry.state not in TAKEN_OUT | {PlanState.FAULTED}
    return not waits_on or entry.propagated_at is not None
