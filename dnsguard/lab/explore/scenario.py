"""The scenario of the incident: one zone, a planner, and daemons that each publish and then clean up.
The workers are the real ones. What is different from run to run is only who goes next; what is different from
setting to setting are values. Nothing here knows which rules the guards have.
"""

from collections.abc import Callable, Coroutine, Hashable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from dnsguard.core import invariants
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.layout import resolved
from dnsguard.core.plan import Change, make_plan
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.gated import FENCE, KEPT, PLANS, GatedPublisher, GatedStore, Note, parts_of
from dnsguard.lab.ends.history import MemoryHistory, make_history
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.ends.story import Teller
from dnsguard.lab.explore.fingerprint import WRITING, Fingerprint, Numbers
from dnsguard.lab.explore.forgetting import (
    CleaningPublisher,
    CleaningStore,
    EnactingPublisher,
    EnactingStore,
    Needed,
    Underway,
)
from dnsguard.lab.explore.setting import HISTORY, PLANNER, ZONE, Setting
from dnsguard.lab.explore.watch import HEALED, LOST, WATCHED, WEDGED, Ledger, Watch
from dnsguard.lab.scheduler.gate import Gate, OpenGate
from dnsguard.lab.scheduler.moves import Move
from dnsguard.lab.scheduler.simulation import Check, Scenario, Simulation, Violation
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.effects import Store
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Then

LATER = 99
"""The number of the plan with which it is tried whether anything can still be installed."""

Returned = TypeVar("Returned")


class StillClock:
    """A clock that stands."""

    def now(self) -> float:
        """Return always the same moment."""
        return 1000.0

    def hex_digits(self, count: int) -> str:
        """Return always the same digits."""
        return "0" * count


def drive(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    """Run a coroutine that waits for nothing. Raises RuntimeError if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        returned: Returned = end.value
        return returned
    raise RuntimeError("expected a coroutine that waits for nothing, found one that waits")


def copied(history: MemoryHistory) -> MemoryHistory:
    """Return a history that goes on by itself."""
    return MemoryHistory(
        history.zone,
        dict(history.entries),
        dict(history.chains),
        {key: dict(changes) for key, changes in history.changes.items()},
        {key: copy(head) for key, head in history.heads.items()},
        dict(history.answered),
        {generation: dict(rrsets) for generation, rrsets in history.turned_down.items()},
        set(history.adopt),
        set(history.as_found),
    )


@dataclass(slots=True)
class World:
    """One run's store and primary, and the workers on them."""

    setting: Setting
    inner: Store
    primary: MemoryPrimary
    gate: Gate
    notes: list[Note] = field(default_factory=list)
    alone: bool = False
    """Whether an enactor that has yielded to another one looks again: nobody else is at work any more."""
    fingerprint: Fingerprint | None = None
    aftermaths: dict[Hashable, tuple[Violation, ...]] = field(default_factory=dict)
    """By state, where states are told apart: what fails once faults are over."""

    def store(self, who: str) -> GatedStore:
        """Return the store as an actor has it."""
        return GatedStore(self.inner, self.gate, who, self.notes, tells_record=self.setting.read_back)

    def publisher(self, who: str) -> GatedPublisher:
        """Return the primary as an actor has it."""
        return GatedPublisher(self.primary, self.gate, self.setting.owners, who, self.notes)

    async def submit(self, who: str, number: int) -> int | None:
        """Submit one plan; return its generation, None if it was refused."""
        setting = self.setting
        plan = make_plan(ZONE, setting.wanted(number), reason=f"plan {number}")
        planner = Planner(self.store(who), self.publisher(who), setting.guards, setting.policy)
        answer = await planner.submit(Submission(plan, "planner", 999.0))
        return answer.generation if isinstance(answer, Accepted) else None

    async def plan(self, who: str) -> None:
        """Submit all plans, one after the other, and withdraw the last one if that is wanted."""
        generation: int | None = None
        for number in range(1 if self.setting.fresh else 2, 1 + self.setting.plans):
            self.afresh(who, number)
            generation = await self.submit(who, number)
        if self.setting.withdraws and generation is not None:
            self.afresh(who, "withdrawal")
            await self.store(who).withdraw(ZONE, generation, "withdrawn", "operator", 999.0)

    async def publish(self, who: str) -> None:
        """Publish until there is nothing left to publish, or a plan is found to be at fault."""
        setting = self.setting
        underway = Underway(self.afresh, setting.policy)
        store = EnactingStore(self.inner, self.gate, who, self.notes, setting.read_back, underway=underway)
        publisher = EnactingPublisher(self.primary, self.gate, setting.owners, who, self.notes, underway=underway)
        enactor = Enactor(ZONE, store, publisher, StillClock(), setting.guards_of(who), setting.policy)
        try:
            step = None
            while (
                step is None
                or (step.then is Then.AT_ONCE and step.event != "plan.rejected")
                or (self.alone and step.event == "publication.yielded")
            ):
                underway.begin(who, enactor)
                step = await enactor.run_once()
        finally:
            underway.enactor = None  # each has the other: what a killed one holds open would be closed at any time

    async def live(self, who: str) -> None:
        """Be a daemon: publish, then clean up."""
        setting = self.setting
        await self.publish(who)
        if setting.cleanup:
            self.afresh(who, "clean-up")
            known = Needed(self.afresh, setting.guards, setting.policy)
            store = CleaningStore(self.inner, self.gate, who, self.notes, needed=known)
            publisher = CleaningPublisher(self.primary, self.gate, setting.owners, who, self.notes, needed=known)
            await Cleanup(ZONE, store, publisher, setting.guards, setting.policy).run_once()
        self.afresh(who, "end")

    async def go_on(self) -> tuple[Violation, ...]:
        """Try what can still be done, with faults over: publish what there is, then a new plan; say what fails.

        6: an enactor that begins now brings the zone to the newest plan; 4: then no plan is left unsettled. Wedged:
        a new plan is made, enactors run, and no client ever sees it.
        """
        later = World(self.setting, self.inner, self.primary, OpenGate(), alone=True)
        await later.publish("(later)")
        broken = [] if await later.stands() else [Violation(HEALED, "an enactor that begins now does not get there")]
        waiting = (await self.inner.zone(ZONE)).pending
        if waiting:
            broken.append(Violation(LOST, f"{waiting} plans were answered with yes, and nothing ever comes of them"))
        await later.submit("(later)", LATER)
        await later.publish("(later)")
        wanted = self.setting.wanted(LATER)
        if any(resolved(self.primary.contents, key) != wanted[key] for key in self.setting.keys):
            broken.append(Violation(WEDGED, "a new plan is made, and no enactor can install it"))
        return tuple(broken)

    async def stands(self) -> bool:
        """Tell whether the zone stands at its newest generation, and clients find that."""
        zone = await self.inner.zone(ZONE)
        fence = seen_in(ZONE, self.primary.contents).fence
        newest = {each.key: each.wanted for each in await self.inner.covered(ZONE)}
        found = {key: resolved(self.primary.contents, key) for key in newest}
        return invariants.healed(zone.newest, fence) is None and found == newest

    def afresh(self, who: str, *knows: Hashable) -> None:
        """Say that all an actor knows from here on is this, and what it will be told."""
        if self.fingerprint is not None:
            self.fingerprint.afresh(who, *knows)


Reading = Callable[[], MemoryHistory]
"""Returns what a store holds now, past the gate."""


@dataclass(slots=True)
class Look:
    """Looks at one run: what was seen so far, and what becomes of the zone once nobody is busy any more."""

    world: World
    simulation: Simulation
    watch: Watch
    history: Reading
    broken: tuple[Violation, ...]
    _read: int = 0
    _contents: object = None
    _found: MemoryHistory | None = None
    _after: tuple[Violation, ...] | None = None

    def register(self) -> None:
        """Have everything asked."""
        for reads in watched(self.world.setting):
            self.simulation.after_effect(self._look, reads=reads)
        for name in WATCHED:
            self.simulation.after_effect(partial(self._said, name), reads=())
        for name in (WEDGED, HEALED, LOST):
            self.simulation.at_end(partial(self._said_at_end, name))

    def _look(self, _: Move | None) -> Violation | None:
        notes = self.world.notes[self._read :]
        self._read += len(notes)
        contents = self.world.primary.contents
        written = any(note.act in WRITING for note in notes)
        if contents is not self._contents or written:
            self._contents = contents
            if self._found is None or written:
                self._found = self.history()
            self.watch, self.broken = self.watch.after(notes, contents, self._found)
        return None

    def _said(self, name: str, _: Move | None) -> Violation | None:
        return next((violation for violation in self.broken if violation.name == name), None)

    def _said_at_end(self, name: str) -> Violation | None:
        if self._after is None:
            self._after = self._try()
        return next((violation for violation in self._after if violation.name == name), None)

    def _try(self) -> tuple[Violation, ...]:
        world = self.world
        state = None if world.fingerprint is None else world.fingerprint()[0]
        found = world.aftermaths.get(state) if state is not None else None
        if found is None:
            found = self.simulation.settle(world.go_on())
            if state is not None:
                world.aftermaths[state] = found
        return found


def watched(setting: Setting) -> tuple[tuple[str, ...], ...]:
    """Return the groups of resources that are looked at together: moves that write to one of them do not commute.

    What clients find is in the zone; whether history can account for it depends on what clean-up has left; whether
    a rollback reaches as far as is promised depends on which plan is the newest.
    """
    zone = tuple((FENCE, *parts_of(key.name)) for key in setting.keys)
    return (*zone, *((*group, KEPT) for group in zone), (PLANS, KEPT))


def first_look(setting: Setting, primary: MemoryPrimary, history: MemoryHistory) -> tuple[Watch, tuple[Violation, ...]]:
    """Look at a scenario before it begins."""
    published = tuple(Change(key, wanted, 1) for key, wanted in setting.wanted(1).items())
    ledger = Ledger() if setting.fresh else Ledger(published, acknowledged=(1,), newest=1)
    watch = Watch(ZONE, setting.keys, setting.keep, ledger)
    return watch.after((), primary.contents, history)


async def begin(setting: Setting, store: Store, primary: MemoryPrimary, notes: list[Note]) -> None:
    """Publish plan 1, unless the endpoints are to be new."""
    if setting.fresh:
        return
    world = World(setting, store, primary, OpenGate(), notes)
    await world.submit(PLANNER, 1)
    await world.publish(setting.enactor_names[0])


Fresh = Callable[[], tuple[Store, MemoryHistory | None, Reading]]
"""Makes a run's store, with the history that it shares if there is one to be looked into, and what reads it."""


def opening(setting: Setting, primary: MemoryPrimary, notes: list[Note]) -> MemoryHistory:
    """Set the scene in memory, at a primary, and return the history."""
    history = make_history(ZONE, HISTORY)
    drive(begin(setting, MemoryStore({ZONE: history}), primary, notes))
    return history


def in_memory(setting: Setting, primary: MemoryPrimary, notes: list[Note]) -> Fresh:
    """Return what makes a store in memory for each run."""
    history = opening(setting, primary, notes)

    def fresh() -> tuple[Store, MemoryHistory, Reading]:
        own = copied(history)
        return MemoryStore({ZONE: own}), own, lambda: own

    return fresh


def in_sqlite(setting: Setting, primary: MemoryPrimary, notes: list[Note]) -> Fresh:
    """Return what makes a store in a database for each run."""
    # Late: SQL is loaded for nobody who does not ask for it.
    from dnsguard.lab.ends.sqlite import SqliteFile

    file = SqliteFile(ZONE, HISTORY, lambda store: begin(setting, store, primary, notes))
    return lambda: (file.store(), None, file.history)


def in_postgresql(setting: Setting, primary: MemoryPrimary, notes: list[Note]) -> Fresh:
    """Return what makes a store in a PostgreSQL for each run. Raises StoreUnavailable."""
    # Late: SQL is loaded for nobody who does not ask for it.
    from dnsguard.lab.ends.postgresql import PostgresqlSchema

    schema = PostgresqlSchema(setting.database, ZONE, HISTORY, lambda store: begin(setting, store, primary, notes))
    return lambda: (schema.store(), None, schema.history)


STORES = {"memory": in_memory, "sqlite": in_sqlite, "postgresql": in_postgresql}


class Onlookers(Protocol):
    """Makes, for each run, one who looks on: of what happened before the run, and what is noted in it as it happens."""

    def __call__(self, before: Sequence[Note], notes: Sequence[Note]) -> Check:
        """Return what is asked after each move."""
        ...


def scenario(setting: Setting, tell: list[str] | None = None, onlookers: Onlookers | None = None) -> Scenario:
    """Return the scenario of a setting; into ``tell`` it writes each run's story anew."""
    primary = MemoryPrimary(ZONE)
    before: list[Note] = []
    fresh = STORES[setting.store](setting, primary, before)
    numbers = Numbers()
    aftermaths: dict[Hashable, tuple[Violation, ...]] = {}

    def scene(simulation: Simulation) -> None:
        store, history, read = fresh()
        world = World(setting, store, replace(primary), simulation.gate)
        world.aftermaths = aftermaths
        world.fingerprint = Fingerprint(numbers, history, world.primary, world.notes, setting.read_back)
        simulation.fingerprint = world.fingerprint
        simulation.after_effect(world.fingerprint.mourn, reads=())
        simulation.spawn(PLANNER, partial(world.plan, PLANNER), may_crash=False)
        for name in setting.enactor_names:
            live = partial(world.live, name)
            simulation.spawn(name, live, restart=live)
        watch, broken = first_look(setting, primary, read())
        Look(world, simulation, watch, read, broken).register()
        if onlookers is not None:
            simulation.after_effect(onlookers(before, world.notes), reads=())
        if tell is not None:
            tell.clear()
            numbered = {setting.contents(number): number for number in range(1, 1 + setting.plans)}
            teller = Teller(world.notes, setting.keys, numbered, world.primary.contents, tell)
            simulation.after_effect(lambda move: teller.hear(move, world.primary.contents), reads=())

    return scene
