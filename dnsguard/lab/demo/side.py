"""One side of the demo: a name server, a history, a planner, three enactors and a client, composed once for all.
Of everything that a side is made of, only the `Guards` value differs between the sides.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time as real_time

from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.message import AddRecords, Message
from dnsguard.core.records import Key, parse_records
from dnsguard.lab.demo.clock import NoticedClock, StoryClock
from dnsguard.lab.demo.hands import send
from dnsguard.lab.demo.journal import CLEANUP, CLIENT, PLAN, PLANNER, ZONE_LANE, Journal
from dnsguard.lab.demo.publishers import DistantPublisher, WitnessedPublisher
from dnsguard.lab.demo.resolver import Answer, Questions, StubResolver
from dnsguard.lab.demo.script import (
    BACKOFF_S_MAX,
    ENDPOINTS,
    LEASE_S,
    MAIN,
    POLICY,
    QUICK,
    SITES,
    ZONE,
    Beat,
    Endpoint,
    Script,
    Site,
)
from dnsguard.lab.demo.servers import SOA, serving
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.lock import LockingPublisher
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Step, Then

HISTORY = "0c70be5202510194"
_GLANCE_S = 0.05
WATCH_S_MIN_REAL = 0.02
"""The watch looks no more often than this, however fast the story runs."""


class PlanNotTaken(Exception):
    """The planner's plan was not accepted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What both sides have in common: script, kind of name server, folder, time."""

    script: Script
    server: str
    folder: Path
    clock: StoryClock


@dataclass(slots=True)
class EnactorSite:
    """An enactor at its site, and the clean-up that it starts after its last endpoint."""

    site: Site
    enactor: Enactor
    cleanup: Cleanup
    journal: Journal
    clock: StoryClock
    stopping: asyncio.Event
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _at_rest: bool = False

    async def rests(self, patience_s: float) -> None:
        """Wait until it has nothing to do, at most so many story seconds."""
        end = self.clock.story + patience_s
        while self.clock.story < end and (self.woken.is_set() or not self._at_rest):
            await self.clock.sleep(_GLANCE_S)

    async def waits_for_the_lock(self, patience_s: float) -> None:
        """Wait until it has lost the lock for the first time, at most so many story seconds."""
        end = self.clock.story + patience_s
        while self.clock.story < end and not any(e.lane == self.site.name for e in self.journal.of("lock.lost")):
            await self.clock.sleep(_GLANCE_S)

    async def run(self) -> None:
        """Look when woken, until stopped."""
        while True:
            self.journal.doing[self.site.name] = "waits for a plan"
            self._at_rest = True
            await self.woken.wait()
            self._at_rest = False
            self.woken.clear()
            if self.stopping.is_set():
                self.journal.doing[self.site.name] = "switched off"
                return
            await self._round()

    async def _round(self) -> None:
        while not self.stopping.is_set():
            self.journal.doing[self.site.name] = "publishes the newest plan that it sees"
            began = self.clock.story
            with self.clock.working():
                step = await self.enactor.run_once()
            self._tell(step, began)
            if step.event == "publication.completed":
                await self._clean()
            if step.then is Then.WOKEN:
                return
            if step.then is Then.LATER or step.refused:
                self.journal.doing[self.site.name] = "was refused; tries again soon"
                await self.clock.sleep(self.site.pause_s)

    async def _clean(self) -> None:
        self.journal.doing[self.site.name] = f"{CLEANUP}: looks for old plans"
        began = self.clock.story
        with self.clock.working():
            step = await self.cleanup.run_once()
        if self.clock.story - began >= self.site.listing_s / 2:
            self.journal.worked(CLEANUP, self.site.name, began, step.event, step.generation)
        if step.messages or step.refused:
            self.journal.tell(
                CLEANUP,
                "clean-up.ended",
                f"started by {self.site.name}: {step.messages} nodes deleted, {step.refused} refused",
            )

    def _tell(self, step: Step, began: float) -> None:
        if step.event != "zone.current":
            self.journal.worked(self.site.name, self.site.name, began, step.event, step.generation)
            self.journal.tell(self.site.name, step.event, f"{step.event} {self.journal.label(step.generation)}")


@dataclass(slots=True)
class Side:
    """One zone and everything that lives on it."""

    name: str
    guards: Guards
    setting: Setting
    journal: Journal
    store: SqlStore
    database: Path
    address: tuple[str, int]
    """Where the name server listens."""
    plain: DnsPublisher
    """The operator's own way to the primary: the TSIG key and nothing else."""
    planner: Planner
    sites: Mapping[str, EnactorSite]
    questions: Questions
    stopping: asyncio.Event
    generations: dict[int, int] = field(default_factory=dict)
    """The generation that each of the planner's plans was given."""
    _enactors: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def dig(self) -> str:
        """The command with which anybody can look."""
        host, port = self.address
        return f"dig @{host} -p {port} {MAIN.name} {MAIN.type}"

    async def submit(self, number: int) -> None:
        """Have the planner make a plan."""
        clock = self.setting.clock
        plan = self.setting.script.plan(number)
        with clock.working():
            answer = await self.planner.submit(Submission(plan, "planner", clock.now()))
        if not isinstance(answer, Accepted):
            raise PlanNotTaken(f"expected plan {number} to be accepted, found {answer}")
        self.generations[number] = answer.generation
        self.journal.accepted.append((clock.story, number, answer.generation))
        self.journal.learn(answer.generation, number)
        self.journal.tell(PLANNER, "plan.accepted", f"plan {number} is accepted as g{answer.generation}")

    async def play(self, beat: Beat) -> None:
        """Play a beat: plans, and then each site looks when its time has come."""
        clock, quick = self.setting.clock, self.sites[QUICK]
        await quick.rests(beat.patience_s)
        began = clock.story
        for number in beat.plans:
            await self.submit(number)
        for name, wait in sorted(beat.looks.items(), key=lambda look: look[1]):
            await clock.until(began + wait)
            if name != QUICK and wait > beat.looks[QUICK]:
                await quick.rests(beat.patience_s)
            if name == QUICK and beat.slow:
                await self.sites[beat.slow].waits_for_the_lock(beat.patience_s)
            self.sites[name].woken.set()

    async def watch(self) -> None:
        """Ask the name server itself for the main endpoint, all the time."""
        clock = self.setting.clock
        period = max(self.setting.script.watch_every_s, WATCH_S_MIN_REAL * clock.speed)
        while True:
            answer = await self.questions.ask(MAIN.name, MAIN.type)
            word = self._word(MAIN, answer)
            if self.journal.answered(ZONE_LANE, word, answer.said):
                self.journal.tell(ZONE_LANE, f"answer.{word}", answer.said)
            await clock.sleep(period)

    async def ask(self) -> None:
        """Ask as a client does, all the time, through a cache."""
        script, clock = self.setting.script, self.setting.clock
        resolver = StubResolver(self.questions, clock)
        await clock.until(script.client_from)
        turn = 0
        while True:
            answer, cached = await resolver.resolve(MAIN.name, MAIN.type)
            self.journal.asked += 1
            self.journal.failed += not answer.addresses
            word = self._word(MAIN, answer)
            if self.journal.answered(CLIENT, word, answer.said):
                self.journal.tell(CLIENT, f"answer.{word}", answer.said + (", from its cache" if cached else ""))
            turn += 1
            await clock.until(script.client_from + turn * script.client_every_s)

    def _number(self, endpoint: Endpoint, answer: Answer) -> int | None:
        return self.setting.script.number_of(endpoint.key, answer.addresses)

    def _word(self, endpoint: Endpoint, answer: Answer) -> str:
        number = self._number(endpoint, answer)
        return answer.lack or ("other" if number is None else f"{PLAN}{number}")

    async def serves(self) -> tuple[int | None, ...]:
        """Ask the name server for every endpoint, and return whose plan's addresses each answer has."""
        with self.setting.clock.working():
            answers = [(each, await self.questions.ask(each.name, each.type)) for each in ENDPOINTS]
        return tuple(self._number(endpoint, answer) for endpoint, answer in answers)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Switch the automation on."""
        self.stopping.clear()
        self._enactors = [group.create_task(site.run()) for site in self.sites.values()]

    def wake(self) -> None:
        """Have every enactor look."""
        for site in self.sites.values():
            site.woken.set()

    async def stop(self) -> None:
        """Switch the automation off: each enactor ends its run and looks no more."""
        self.stopping.set()
        self.wake()
        if self._enactors:
            await asyncio.wait(self._enactors)
        for site in self.sites.values():
            site.woken.clear()

    async def lost(self) -> tuple[int, ...]:
        """Return the planner's plans that were accepted and then thrown away."""
        entries = await self.store.plans(ZONE, below=None, limit=1_000)
        thrown = {entry.generation for entry in entries if entry.state in {PlanState.REJECTED, PlanState.FAULTED}}
        return tuple(sorted(number for number, generation in self.generations.items() if generation in thrown))


@asynccontextmanager
async def open_side(name: str, guards: Guards, setting: Setting) -> AsyncIterator[Side]:
    """Open a side: the same for all, but for the guards."""
    folder = setting.folder / name
    folder.mkdir()
    async with serving(setting.server, folder) as primary:
        database = folder / "history.sqlite"
        engine = make_engine(f"sqlite:///{database}")
        await migrate(engine)
        store = SqlStore(engine)
        await store.ensure_zone(ZONE, HISTORY)
        plain = DnsPublisher(primary, real_time)
        journal = Journal(name, lambda: setting.clock.story)
        stopping = asyncio.Event()
        publishers = [plain]
        sites = {}
        for site in SITES:
            line = DnsPublisher(primary, real_time)
            publishers.append(line)
            sites[site.name] = _at(site, guards, setting, journal, store, line, stopping)
        address = (primary.host, primary.port)
        questions = await Questions.open(address)
        try:
            await send(plain, Message(ZONE, (), (AddRecords(Key(ZONE, "SOA"), parse_records("SOA", 300, [SOA])),)))
            planner = Planner(store, plain, guards, POLICY)
            yield Side(
                name, guards, setting, journal, store, database, address, plain, planner, sites, questions, stopping
            )
        finally:
            questions.close()
            for publisher in publishers:
                await publisher.close()
            await store.close()


def _at(
    site: Site,
    guards: Guards,
    setting: Setting,
    journal: Journal,
    store: SqlStore,
    line: DnsPublisher,
    stopping: asyncio.Event,
) -> EnactorSite:
    clock = setting.clock.of(site.name)

    def noticed() -> None:
        journal.doing[site.name] = "lost the lock; waits and tries again"
        journal.tell(site.name, "lock.lost", "the lock is held by another; it backs off and will try again")

    script = setting.script
    writes = WitnessedPublisher(DistantPublisher(line, clock, site), journal, script, site.name, site.name)
    locking = LockingPublisher(writes, NoticedClock(clock, noticed), site.name, LEASE_S, BACKOFF_S_MAX)
    deletes = WitnessedPublisher(DistantPublisher(line, clock, site), journal, script, CLEANUP, site.name)
    return EnactorSite(
        site,
        Enactor(ZONE, store, locking, clock, guards, POLICY),
        Cleanup(ZONE, store, deletes, guards, POLICY),
        journal,
        clock,
        stopping,
    )
