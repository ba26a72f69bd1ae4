"""A simulated world: planners, operators and daemons of one zone in a storm, and the seven invariants over them.
The workers are the real ones. When the storm ends everything must converge by itself.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from dnsguard.core.fence import Fence, fence_key
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, StoreUnavailable, Submission
from dnsguard.core.invariants import (
    Violation as Broken,
)
from dnsguard.core.invariants import (
    accountable,
    cleanup_harmless,
    forward,
    healed,
    never_empty,
    nothing_lost,
    origins,
    prefix,
    standing,
)
from dnsguard.core.layout import LAYOUTS, ROLLBACK_LABEL, node_of, resolved, target_of
from dnsguard.core.plan import Absence, Change, Wanted, make_plan, state_at
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.moves import Move
from dnsguard.lab.primary import Contents, MemoryPrimary, MemoryPublisher
from dnsguard.lab.simulation import Simulation, Violation
from dnsguard.lab.store import MemoryHistory, MemoryStore, make_history
from dnsguard.lab.storm import Storm, StormyPublisher, StormyStore
from dnsguard.lab.swarm import Swarm
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Then

ZONE = "example.test."
TRIES_MAX = 60
"""How often a daemon runs, or a planner tries again, once the storm is over."""

IDLE_MAX = 8
"""How often a daemon that finds nothing to do doubles its pause: worlds with pauses of hours stay short."""

ADDRESSES = tuple(parse_records("A", 60, [f"192.0.2.{last}"]) for last in range(1, 200))


@dataclass(slots=True)
class World:
    """One world: what it is made of, and what has been seen of it."""

    simulation: Simulation
    swarm: Swarm
    guards: Guards
    draw: Random
    history: MemoryHistory = field(default_factory=lambda: make_history(ZONE, "0123456789abcdef"))
    primary: MemoryPrimary = field(default_factory=lambda: MemoryPrimary(ZONE))
    storm: Storm = field(init=False)
    keys: tuple[Key, ...] = field(init=False)
    policy: Policy = field(init=False)
    clock_jump_s: float = 0.0
    acknowledged: list[int] = field(default_factory=list)
    planners_done: int = 0
    plans_made: int = 0
    seen_contents: object = None
    fence: Fence | None = None
    shown: dict[Key, Records] = field(default_factory=dict)
    came_from: dict[Key, int] = field(default_factory=dict)
    kept_from: int = 0
    changes_before: tuple[Change, ...] = ()
    adopting: set[Key] = field(default_factory=set)
    """The RRsets that some plan may take over, whoever has put something there."""
    theirs: dict[Key, Records] = field(default_factory=dict)
    """What strangers put into the zone, and dnsguard must keep."""
    strange: frozenset[Records] = frozenset()
    """Contents that only strangers ever write."""
    junk: Records | None = None
    """What a stranger put in the fence's place; until an operator settles it, nothing may be published."""
    by_hand: set[Key] = field(default_factory=set)
    """RRsets that somebody pointed elsewhere past dnsguard."""
    settled_at: int | None = 0
    """The generation from which history and zone agree; None until an operator has settled it."""
    ever_shown: set[Key] = field(default_factory=set)
    lost_history: bool = False
    """Whether the database was ever put back."""
    operator_done: bool = False
    built: set[str] = field(default_factory=set)
    """The nodes that stood in the zone when it was last looked at."""

    def __post_init__(self) -> None:
        self.storm = Storm(self.simulation, self.swarm, self.draw)
        self.keys = tuple(Key(f"n{number}.{ZONE}", "A") for number in range(self.swarm.names))
        self.policy = Policy(
            layout=self.swarm.layout,
            history_generations_min=self.swarm.keep,
            message_rrsets_max=self.swarm.message_rrsets_max,
        )

    def now(self) -> float:
        """Return the time that the daemons' clocks show."""
        return 1_000_000.0 + self.simulation.now + self.clock_jump_s

    def hex_digits(self, count: int) -> str:
        """Return digits."""
        return f"{self.draw.getrandbits(4 * count):0{count}x}"

    def ends(self) -> tuple[StormyStore, StormyPublisher]:
        """Return a daemon's own ends."""
        store = MemoryStore({ZONE: self.history}, self.simulation.gate)
        return (
            StormyStore(store, self.storm),
            StormyPublisher(MemoryPublisher(self.primary, self.simulation.gate), self.storm),
        )

    def is_under_way(self, key: Key) -> bool:
        """Tell whether an RRset was ever published, or a publication may be writing it."""
        return (self.fence is not None and self.fence.progress is not None) or key in self.ever_shown

    def settle_views(self) -> None:
        """Take what stands now as it is: somebody else has put it there."""
        contents = self.primary.contents
        self.seen_contents = contents
        self.fence = seen_in(ZONE, contents).fence
        self.shown = {key: found for key in self.keys if (found := resolved(contents, key)) is not None}

    def restore_history(self, backup: MemoryHistory) -> None:
        """Put the database back as it was."""
        for name in ("zone", "entries", "chains", "changes", "heads", "answered", "turned_down"):
            setattr(self.history, name, getattr(backup, name))
        self.lost_history = True
        newest = backup.zone.newest
        if self.fence is not None and self.fence.generation > newest:
            self.settled_at = None
        self.acknowledged = [generation for generation in self.acknowledged if generation <= newest]
        self.kept_from, self.changes_before = backup.zone.kept_from, ()

    def settled_by_operator(self, generation: int) -> None:
        """Go on from an operator's decision: from this generation on everything must hold again."""
        self.settled_at, self.junk, self.theirs = generation, None, {}

    def changes(self) -> tuple[Change, ...]:
        """Return every change that the history has."""
        return tuple(
            Change(key, wanted, generation)
            for key, changes in self.history.changes.items()
            for generation, wanted in changes.items()
        )

    def rejected(self) -> tuple[Change, ...]:
        """Return what rejected plans wanted."""
        return tuple(
            Change(key, wanted, generation)
            for generation, rrsets in self.history.turned_down.items()
            for key, wanted in rrsets.items()
        )


async def plan_on(world: World, planner_number: int, plans: int) -> None:
    """Submit plans, each until there is an answer, under one idempotency key."""
    draw, storm, swarm = world.draw, world.storm, world.swarm
    for number in range(plans):
        await world.simulation.pause(draw.uniform(0, swarm.storm_s / plans))
        newest = world.history.zone.newest
        rrsets = _wanted(world, newest)
        based_on = newest if draw.random() < 0.3 else None
        adopt = draw.random() < 0.2
        plan = make_plan(ZONE, rrsets, based_on=based_on, adopt=adopt)
        for taken in rrsets if adopt else ():
            world.adopting.add(taken)
            world.theirs.pop(taken, None)
        key = f"planner {planner_number} plan {number}"
        submission = Submission(plan, f"planner{planner_number}", world.now(), key, key.encode())
        for _ in range(TRIES_MAX):
            store, publisher = world.ends()
            try:
                answer = await Planner(store, publisher, world.guards, world.policy).submit(submission)
            except StoreUnavailable:
                await world.simulation.pause(draw.uniform(0, 1))
                continue
            if isinstance(answer, Accepted):
                world.acknowledged.append(answer.generation)
            break
        storm.draw.random()
    world.planners_done += 1


def _wanted(world: World, newest: int) -> dict[Key, Wanted]:
    draw, swarm = world.draw, world.swarm
    if newest and draw.random() < swarm.rollback:
        to = draw.randrange(max(1, world.history.zone.kept_from), newest + 1)
        old: dict[Key, Wanted] = dict(state_at(world.changes(), to))
        if old:
            return old
    rrsets: dict[Key, Wanted] = {}
    for key in world.keys:
        if draw.random() < 0.7 or not rrsets:
            world.plans_made += 1
            rrsets[key] = ADDRESSES[world.plans_made % len(ADDRESSES)]
            if draw.random() < swarm.retire and key in world.history.changes:
                rrsets[key] = Absence.RETIRED
    return rrsets


async def serve(world: World, number: int) -> None:
    """Run a daemon's enactor and clean-up until all is quiet."""
    store, publisher = world.ends()
    await world.simulation.pause(world.draw.uniform(0, 0.5))
    enactor = Enactor(ZONE, store, publisher, world, world.guards, world.policy)
    cleanup = Cleanup(ZONE, store, publisher, world.guards, world.policy)
    quiet = tries = idle = 0
    while quiet < 2 and tries < TRIES_MAX:
        over = world.operator_done and world.planners_done == world.swarm.planners and not world.storm.late
        tries += over
        try:
            step = await enactor.run_once()
            if step.then is Then.WOKEN:
                await cleanup.run_once()
        except StoreUnavailable:
            step = None
        quiet = quiet + 1 if over and step is not None and step.then is Then.WOKEN else 0
        idle = 0 if over or step is None or step.then is Then.AT_ONCE else min(idle + 1, IDLE_MAX)
        if step is None or step.then is not Then.AT_ONCE:
            await world.simulation.pause(world.draw.uniform(0.1, 1.0) * (1 + number) * 2**idle)


async def blow(world: World) -> None:
    """Be the weather: change it now and then, and end it."""
    draw, swarm, primary = world.draw, world.swarm, world.primary
    backup = primary.contents
    turns = 6
    for _ in range(turns):
        await world.simulation.pause(draw.uniform(0, 2 * swarm.storm_s / turns))
        if draw.random() < swarm.away:
            primary.away = not primary.away
        if draw.random() < swarm.poisoned:
            last = world.plans_made % len(ADDRESSES)
            ahead = {ADDRESSES[(last + each) % len(ADDRESSES)].rdatas[0] for each in range(1, 4)}
            world.storm.poison = frozenset() if world.storm.poison else frozenset(ahead)
        if draw.random() < swarm.restored:
            await world.simulation.gate.pass_through("restore", writes=(f"zone {ZONE}",))
            primary.contents = backup
            forget(world)
            world.theirs, world.junk = {}, None
        elif draw.random() < 0.3:
            backup = primary.contents
        world.clock_jump_s += draw.uniform(-1, 1) * swarm.clock_jump_s_max
    primary.away, world.storm.poison, world.storm.calm = False, frozenset(), True


async def carry(world: World) -> None:
    """Be the network: deliver what is late, in any order, until nothing more can come."""
    primary = MemoryPublisher(world.primary, world.simulation.gate)
    while not (world.storm.calm and not world.storm.late):
        await world.simulation.pause(world.draw.uniform(0.05, 4.0))
        if world.storm.late:
            message = world.storm.late.pop(world.draw.randrange(len(world.storm.late)))
            await primary.publish(message)


def forget(world: World) -> None:
    """Begin to look anew: somebody else has put the zone back."""
    world.seen_contents, world.fence, world.shown, world.came_from = None, None, {}, {}


def look(world: World, _: Move | None) -> Violation | None:
    """Ask the invariants of what has changed."""
    zone = world.history.zone
    broken: Broken | None = None
    if world.primary.contents is not world.seen_contents:
        broken = _look_at_zone(world)
    if broken is None and zone.kept_from != world.kept_from:
        changes = world.changes()
        since = range(zone.kept_from, zone.newest + 1)
        known = [change for change in world.changes_before if change.key in world.history.changes]
        before = [c for c in known if c.generation in world.history.entries or c.generation <= zone.kept_from]
        reach = zone.newest - world.policy.history_generations_min
        broken = cleanup_harmless(_standing_only(world, before), changes, since)
        if zone.kept_from > max(0, reach):
            broken = Broken(5, "clean-up is harmless", f"a rollback reaches to {zone.kept_from}, and not to {reach}")
        world.kept_from = zone.kept_from
    world.changes_before = world.changes() if zone.newest else ()
    return None if broken is None else Violation(broken.invariant, broken.detail)


def _standing_only(world: World, changes: list[Change]) -> list[Change]:
    rejected = {(change.key, change.generation) for change in world.rejected()}
    return [change for change in changes if (change.key, change.generation) not in rejected]


def _look_at_zone(world: World) -> Broken | None:
    contents, changes = world.primary.contents, world.changes()
    fence = seen_in(ZONE, contents).fence
    if (past := _past_strangers(world, contents)) is not None:
        return past
    if world.settled_at == 0 and world.lost_history and _of_lost_history(world, fence):
        world.settled_at = None  # what was on its way when the database was put back has landed
    if world.settled_at is None or (world.settled_at and (fence is None or fence.base < world.settled_at)):
        went_back = forward(world.fence, fence, {}, {}) if world.junk is None and world.fence and fence else None
        world.seen_contents, world.fence = contents, fence or world.fence
        return went_back
    if world.settled_at:
        world.settled_at = 0
        forget(world)
    stages = len(LAYOUTS[world.policy.layout].stages)
    wire = {key: found for key in world.keys if (found := resolved(contents, key)) is not None}
    ours = {k: records for k, records in wire.items() if records not in world.strange and k not in world.by_hand}
    lookback = _as_inline(fence, stages)
    rejected = world.rejected()
    said = tuple(
        change for change in (*changes, *rejected) if fence is not None and change.generation <= fence.generation
    )
    came_from = origins(said, wire, world.came_from)
    broken = (
        _prefix(world, changes, lookback, wire, rejected)
        or forward(world.fence, fence, *(_without(each, world.by_hand) for each in (world.came_from, came_from)))
        or never_empty(said, fence, world.shown, wire)
        or (_accountable(world, fence, said, ours) if fence and fence.base >= world.kept_from else None)
    )
    world.seen_contents, world.fence, world.shown, world.came_from = contents, fence, wire, came_from
    world.ever_shown |= ours.keys()
    return broken


def _accountable(world: World, fence: Fence, said: tuple[Change, ...], wire: dict[Key, Records]) -> Broken | None:
    """Ask where contents come from, of what was covered when the publication under way began."""
    covered = standing(said, fence.base) if fence.progress is not None else standing(said, fence.generation)
    return accountable(said, world.history.entries, wire, covered.keys())


def _prefix(
    world: World,
    changes: tuple[Change, ...],
    fence: Fence | None,
    wire: dict[Key, Records],
    rejected: tuple[Change, ...],
) -> Broken | None:
    """Ask for the prefix; a plan in flight when it was rejected may land all the same, until it is put back."""
    if fence is None or fence.base < world.kept_from:
        return None
    entries = world.history.entries
    put_back = {entry.reverts: entry.generation for entry in entries.values() if entry.reverts is not None}
    in_flight = [c for c in rejected if put_back.get(c.generation, fence.base + 1) > fence.base]
    keys = [key for key in world.keys if key not in world.by_hand]
    broken = prefix(changes, fence, wire, keys, rejected)
    landed = broken is not None and prefix((*changes, *in_flight), fence, wire, keys) is None
    return None if landed else broken


def _of_lost_history(world: World, fence: Fence | None) -> bool:
    chains = world.history.chains
    return fence is not None and chains.get(fence.generation, "" if fence.generation else fence.digest) != fence.digest


def _without(origins_found: dict[Key, int], keys: set[Key]) -> dict[Key, int]:
    return {key: generation for key, generation in origins_found.items() if key not in keys}


def _past_strangers(world: World, contents: Contents) -> Broken | None:
    """Ask whether what strangers did was respected."""
    for key, records in world.theirs.items():
        if contents.get(key) != records:
            return Broken(1, "strangers", f"{key} was somebody else's and no plan adopted it, and it was changed")
    if world.junk is not None and contents.get(fence_key(ZONE)) != world.junk:
        return Broken(1, "strangers", "the fence was somebody else's, nobody had settled it, and it was written over")
    back = {key: target_of(records) for key, records in contents.items() if key.name.startswith(ROLLBACK_LABEL)}
    for key, node in back.items():
        if node is not None and node in world.built and not any(found.name == node for found in contents):
            return Broken(5, "clean-up is harmless", f"{key} names {node}, and there is nothing left to go back to")
    world.built = {key.name for key in contents if node_of(key.name) is not None}
    return None


def _as_inline(fence: Fence | None, stages: int) -> Fence | None:
    """Count only what clients can see: of a publication in stages, the last one's part."""
    if fence is None or fence.progress is None or stages == 1:
        return fence
    part = fence.progress
    count = part.of // stages
    return replace(fence, progress=replace(part, done=max(0, part.done - (stages - 1) * count), of=count))


def look_at_the_end(world: World) -> Violation | None:
    """Ask what must hold once the storm is over and there was time."""
    zone = world.history.zone
    broken = (
        healed(zone.newest, seen_in(ZONE, world.primary.contents).fence)
        or nothing_lost(world.acknowledged, world.history.entries, zone.kept_from, quiet=True)
        or _doubled(world)
    )
    return None if broken is None else Violation(broken.invariant, broken.detail)


def _doubled(world: World) -> Broken | None:
    if len(set(world.acknowledged)) != len(world.acknowledged):
        return Broken(4, "nothing lost", f"one generation was given to two plans: {world.acknowledged}")
    return None


def scene(
    swarm: Swarm, strangers: Callable[[World], Coroutine[object, object, None]], guards: Guards = GUARDED
) -> Callable[[Simulation, int], None]:
    """Return what sets up a world of these settings from a seed, with strangers in it."""

    def set_up(simulation: Simulation, seed: int) -> None:
        world = World(simulation, swarm, guards, Random(f"world {seed}"))  # noqa: S311  a simulation, no secret
        share, more = divmod(swarm.plans, swarm.planners)
        for number in range(swarm.planners):
            simulation.spawn(f"P{number}", partial(plan_on, world, number, share + (number < more)), may_crash=False)
        for number in range(swarm.enactors):
            start = partial(serve, world, number)
            simulation.spawn(f"D{number}", start, restart=start)
        simulation.spawn("weather", partial(blow, world), may_crash=False)
        simulation.spawn("network", partial(carry, world), may_crash=False)
        simulation.spawn("stranger", partial(strangers, world), may_crash=False)
        simulation.after_effect(partial(look, world), reads=(f"zone {ZONE}", f"history {ZONE}"))
        simulation.at_end(partial(look_at_the_end, world))

    return set_up
