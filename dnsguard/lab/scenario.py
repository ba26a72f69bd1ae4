"""The scenario of the incident: one zone, a planner, and daemons that each publish and then clean up.
The workers are the real ones. What is different from run to run is only who goes next; what is different from
setting to setting are values. Nothing here knows which rules the guards have.
"""

from collections.abc import Callable, Coroutine, Hashable
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

from dnsguard.core import invariants
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.layout import resolved
from dnsguard.core.plan import Change, make_plan
from dnsguard.core.written import seen_in
from dnsguard.lab.ends import FENCE, GatedPublisher, GatedStore, Note, parts_of
from dnsguard.lab.fingerprint import Fingerprint, Numbers
from dnsguard.lab.gate import Gate, OpenGate
from dnsguard.lab.primary import MemoryPrimary
from dnsguard.lab.setting import HISTORY, PLANNER, ZONE, Setting
from dnsguard.lab.simulation import Scenario, Simulation, Violation
from dnsguard.lab.sqlite import SqliteFile
from dnsguard.lab.store import MemoryHistory, MemoryStore, make_history
from dnsguard.lab.story import Teller
from dnsguard.lab.watch import HEALED, WEDGED, Eye, Ledger
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
    )


@dataclass(slots=True)
class World:
    """One run's store and primary, and the workers on them."""

    setting: Setting
    inner: Store
    primary: MemoryPrimary
    gate: Gate
    notes: list[Note] = field(default_factory=list)
    fingerprint: Fingerprint | None = None
    aftermaths: dict[Hashable, tuple[bool, bool]] = field(default_factory=dict)
    """By state, where states are told apart: whether the zone heals, and whether new plans are installed."""

    def store(self, who: str) -> GatedStore:
        """Return the store as an actor has it."""
        return GatedStore(self.inner, self.gate, who, self.notes)

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
        """Submit all plans, one after the other."""
        for number in range(2, 1 + self.setting.plans):
            self._afresh(who, number)
            await self.submit(who, number)

    async def publish(self, who: str) -> None:
        """Publish until there is nothing left to publish, or a plan is found to be at fault."""
        setting = self.setting
        enactor = Enactor(ZONE, self.store(who), self.publisher(who), StillClock(), setting.guards, setting.policy)
        rejected = False
        while not rejected:
            self._afresh(who, *(getattr(enactor, each.name) for each in fields(enactor) if each.name[0] == "_"))
            step = await enactor.run_once()
            if step.then is not Then.AT_ONCE:
                return
            rejected = step.event == "plan.rejected"

    async def live(self, who: str) -> None:
        """Be a daemon: publish, then clean up."""
        setting = self.setting
        await self.publish(who)
        if setting.cleanup:
            self._afresh(who, "clean-up")
            await Cleanup(ZONE, self.store(who), self.publisher(who), setting.guards, setting.policy).run_once()
        self._afresh(who, "end")

    async def go_on(self) -> tuple[bool, bool]:
        """Try what can still be done: publish what there is, then a new plan. Returns whether each succeeded."""
        later = World(self.setting, self.inner, self.primary, OpenGate())
        await later.publish("(later)")
        healed = await later.stands()
        await later.submit("(later)", LATER)
        await later.publish("(later)")
        wanted = self.setting.wanted(LATER)
        return healed, all(resolved(self.primary.contents, key) == wanted[key] for key in self.setting.keys)

    async def stands(self) -> bool:
        """Tell whether the zone stands at its newest generation, and clients find that."""
        zone = await self.inner.zone(ZONE)
        fence = seen_in(ZONE, self.primary.contents).fence
        newest = {each.key: each.wanted for each in await self.inner.covered(ZONE)}
        found = {key: resolved(self.primary.contents, key) for key in newest}
        return invariants.healed(zone.newest, fence) is None and found == newest

    def _afresh(self, who: str, *knows: Hashable) -> None:
        if self.fingerprint is not None:
            self.fingerprint.afresh(who, *knows)


@dataclass(slots=True)
class Aftermath:
    """What becomes of the zone once nobody is busy any more: asked at the end of a run, by trying it."""

    world: World
    simulation: Simulation
    _found: tuple[bool, bool] | None = None

    def healed(self) -> Violation | None:
        """6, self-healing: an enactor that begins now brings the zone to the newest plan."""
        return None if self._look()[0] else Violation(HEALED, "an enactor that begins now does not get there")

    def wedged(self) -> Violation | None:
        """No installation ever succeeds again: a new plan is made, enactors run, and no client ever sees it."""
        return None if self._look()[1] else Violation(WEDGED, "a new plan is made, and no enactor can install it")

    def _look(self) -> tuple[bool, bool]:
        world = self.world
        if self._found is None and world.fingerprint is None:
            self._found = self.simulation.settle(world.go_on())
        elif self._found is None and world.fingerprint is not None:
            state, _ = world.fingerprint()
            self._found = world.aftermaths.get(state)
            if self._found is None:
                self._found = world.aftermaths[state] = self.simulation.settle(world.go_on())
        return self._found or (False, False)


async def begin(setting: Setting, store: Store, primary: MemoryPrimary) -> None:
    """Publish plan 1."""
    world = World(setting, store, primary, OpenGate())
    await world.submit(PLANNER, 1)
    await world.publish(setting.enactor_names[0])


Fresh = Callable[[], tuple[Store, MemoryHistory | None]]


def in_memory(setting: Setting, primary: MemoryPrimary) -> Fresh:
    """Return what makes a store in memory for each run."""
    history = make_history(ZONE, HISTORY)
    drive(begin(setting, MemoryStore({ZONE: history}), primary))

    def fresh() -> tuple[Store, MemoryHistory]:
        own = copied(history)
        return MemoryStore({ZONE: own}), own

    return fresh


def in_sqlite(setting: Setting, primary: MemoryPrimary) -> Fresh:
    """Return what makes a store in a database for each run."""
    file = SqliteFile(ZONE, HISTORY, lambda store: begin(setting, store, primary))
    return lambda: (file.store(), None)


STORES = {"memory": in_memory, "sqlite": in_sqlite}


def scenario(setting: Setting, tell: list[str] | None = None) -> Scenario:
    """Return the scenario of a setting; into ``tell`` it writes each run's story anew."""
    primary = MemoryPrimary(ZONE)
    fresh = STORES[setting.store](setting, primary)
    numbers = Numbers()
    aftermaths: dict[Hashable, tuple[bool, bool]] = {}
    published = tuple(Change(key, wanted, 1) for key, wanted in setting.wanted(1).items())

    def scene(simulation: Simulation) -> None:
        store, history = fresh()
        world = World(setting, store, replace(primary), simulation.gate)
        world.aftermaths = aftermaths
        world.fingerprint = Fingerprint(numbers, history, world.primary, world.notes)
        simulation.fingerprint = world.fingerprint
        simulation.after_effect(world.fingerprint.mourn, reads=())
        simulation.spawn(PLANNER, partial(world.plan, PLANNER), may_crash=False)
        for name in setting.enactor_names:
            live = partial(world.live, name)
            simulation.spawn(name, live, restart=live)
        ledger = Ledger(world.notes, changes=published)
        aftermath = Aftermath(world, simulation)
        simulation.at_end(aftermath.wedged)
        simulation.at_end(aftermath.healed)
        for key in setting.keys:
            for check in Eye(key, world.primary, ledger).checks:
                simulation.after_effect(check, reads=(FENCE, *parts_of(key.name)))

        if tell is not None:
            tell.clear()
            numbered = {setting.contents(number): number for number in range(1, 1 + setting.plans)}
            teller = Teller(world.notes, setting.keys, numbered, world.primary.contents, tell)
            simulation.after_effect(lambda move: teller.hear(move, world.primary.contents), reads=())

    return scene
