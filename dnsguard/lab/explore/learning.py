"""Learns what the actors of a scenario do by running the real ones: who knows this and finds the ends like that, does
what, and comes to know what. Between two effects a worker is a function of what it was told; so each step is run once,
under the deterministic loop, on real ends in the state that matters, and remembered.
Nothing here is derived by reading code, or guessed: what was not run yet, is run.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass

from dnsguard.core.records import Key, Records
from dnsguard.lab.ends.gated import Note, part_of
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.explore.fingerprint import GONE, WRITING, Fingerprint, Numbers, mattering, stored
from dnsguard.lab.explore.scenario import World, copied
from dnsguard.lab.explore.setting import ZONE, Setting
from dnsguard.lab.explore.watch import REMEMBERED
from dnsguard.lab.scheduler.actor import ACTOR, Actor, Start
from dnsguard.lab.scheduler.escape import confined
from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.loop import SimulatedGate, SimulatedLoop
from dnsguard.lab.scheduler.moves import Kind, MoveTable, Waiting

Contents = Mapping[Key, Records]
Way = tuple[int, Kind, int, int]
"""How one comes to a point in life: from which other point, by which turn, in which zone and history."""
TURNS = {Kind.GO: Turn.GO, Kind.LOST_REQUEST: Turn.LOST_REQUEST, Kind.LOST_ANSWER: Turn.LOST_ANSWER}
WAYS_MAX = 4
"""Of what is taken for one so many are kept, so that it can be tried whether they come to the same."""
WAITING_MAX = 10_000
"""So many actors are kept where they wait, since one may go on from there; others are run again from the start."""


class NotRepeatable(RuntimeError):
    """What an actor does depends on more than what it was told."""

    def __init__(self, name: str, expected: object, found: object) -> None:
        super().__init__(
            f"expected {name}, told the same, to go on with {expected}, found {found}: "
            "what it knows besides what it was told belongs into the scenario's fingerprint"
        )


@dataclass(frozen=True, slots=True)
class Role:
    """What actors that are alike are: how one starts in its world, under its name, and whether it may crash."""

    start: Callable[[World, str], Start]
    may_crash: bool = True


@dataclass(frozen=True, slots=True)
class Life:
    """A point in an actor's life: the effect for which it waits, None if there is none any more.

    ``before`` is the way by which it was first come to; None for the beginning.
    """

    role: str
    waiting: Waiting | None
    ended: bool = False
    before: Way | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What one step came to: the point in life, and the numbers of zone and history after it (None: as before)."""

    life: int
    zone: int | None
    history: int | None
    touched: tuple[int, int] | None
    """What it read and wrote, where that was less than declared."""
    notes: tuple[Note, ...]
    """What was noted of it, as far as anybody must hear of it."""
    faults: tuple[str, ...]


@dataclass(slots=True)
class _Puppet:
    """An actor that is run by itself, on ends of its own."""

    actor: Actor
    world: World
    histories: dict[str, MemoryHistory]
    fingerprint: Fingerprint


class Learning:
    """All that was learned of one setting. Zones, histories and points in life have numbers."""

    def __init__(
        self,
        setting: Setting,
        primary: MemoryPrimary,
        history: MemoryHistory,
        roles: Mapping[str, Role],
        table: MoveTable,
        *,
        forgets: bool = True,
        heard: Collection[str] = REMEMBERED,
    ) -> None:
        """Take the ends as they are at the beginning, and of each role (by its actor's name) how it starts.

        ``forgets``: what no longer matters to anybody tells no states apart. ``heard``: of which effects the notes are
        kept with the steps.
        """
        self.zones: list[Contents] = []
        self.histories: list[MemoryHistory] = []
        self.alike: list[dict[Hashable, MemoryHistory]] = []
        """Of each history, some that have its number and are different in what does not matter."""
        self.lives: list[Life] = []
        self.runs = 0
        """How many steps were run in truth, repetitions included."""
        self._setting = setting
        self._forgets = forgets
        self._heard = heard
        self._table = table
        self._parts: dict[tuple[int, int], int] = {}
        self._roles = roles
        self._loop = SimulatedLoop(table, timed=False)  # type: ignore[abstract]  # the rest are closed doors
        self._numbers = Numbers()
        self._zones: dict[object, int] = {}
        self._histories: dict[object, int] = {}
        self._lives: dict[tuple[str, int], int] = {}
        self._steps: dict[tuple[int, Kind, int], Learned] = {}
        self._learned_in: dict[tuple[int, Kind, int], tuple[int, int]] = {}
        """By step: a zone and a history in which it was learned."""
        self._ways: dict[int, list[Way]] = {}
        self._waiting: dict[int, list[_Puppet]] = {}
        self._kept = 0
        self.first_zone = self._zone(primary.contents)
        self.first_history = self._history(history)
        self.first: dict[str, int] = {}
        """Of each role, where its life begins."""
        for role in roles:
            self.first[role], puppet = self._begin(role)
            self._keep(self.first[role], puppet)
        self.gone = {role: self._number(role, GONE, Life(role, None)) for role in roles}
        """Of each role, what is left of one that crashed."""

    def step(self, life: int, kind: Kind, zone: int, history: int) -> Learned:
        """Return what a turn comes to. Raises EscapedSimulation and NotRepeatable."""
        key = (life, kind, self._end_of(life, zone, history))
        found = self._steps.get(key)
        if found is None:
            puppet = self._take(life) or self._again(life)
            found = self._steps[key] = self._run(puppet, life, kind, zone, history)
            self._keep(found.life, puppet)
            self._learned_in[key] = zone, history
        return found

    def repeatable(self) -> Iterator[tuple[int, Kind, int, int, Way]]:
        """Yield steps that were learned, each with another way to the point in life from which it goes."""
        for (life, kind, _), (zone, history) in list(self._learned_in.items()):
            for way in self._ways.get(life, ())[1:]:
                yield life, kind, zone, history, way

    def repeated(
        self, life: int, kind: Kind, zone: int, history: int, way: Way, other: MemoryHistory | None = None
    ) -> Learned:
        """Run a step once more, with an actor that came there by this way, in another history. Raises NotRepeatable."""
        puppet = self._again(life, way)
        try:
            return self._run(puppet, life, kind, zone, history, other)
        finally:
            puppet.actor.kill()

    def _end_of(self, life: int, zone: int, history: int) -> int:
        """Return the number of all that an effect's outcome depends on: of the store, or of the zone.

        What only reads depends on the parts that it declares; two zones that are the same in them are one to it.
        """
        waiting = self.lives[life].waiting
        if waiting is None:
            raise ValueError("expected somebody who waits for a turn, found one who does not")
        go = waiting.go
        if go.label.startswith("store."):
            return history
        if go.writes:
            return zone
        number = self._parts.get((zone, go.reads))
        if number is None:
            part = frozenset(each for each in self.zones[zone].items() if self._bit(each[0]) & go.reads)
            number = self._parts[zone, go.reads] = -1 - self._numbers.of(part)
        return number

    def _bit(self, key: Key) -> int:
        return self._table.footprint((part_of(key.name),), ())[0]

    def _keep(self, life: int, puppet: _Puppet) -> None:
        """Keep an actor where it waits, if there are not too many."""
        if self._kept < WAITING_MAX and puppet.actor.alive:
            self._waiting.setdefault(life, []).append(puppet)
            self._kept += 1
        else:
            puppet.actor.kill()

    def _take(self, life: int) -> _Puppet | None:
        """Return an actor that waits at a point in life, if there is one."""
        kept = self._waiting.get(life)
        if not kept:
            return None
        self._kept -= 1
        return kept.pop()

    def _again(self, life: int, way: Way | None = None) -> _Puppet:
        """Lead an actor to a point in life by telling it the same once more, or what another was told."""
        steps: list[Way] = []
        at = self.lives[life]
        before = at.before if way is None else way
        while before is not None:
            steps.append(before)
            before = self.lives[before[0]].before
        first, puppet = self._begin(at.role)
        for came_from, kind, zone, history in reversed(steps):
            if first != came_from:
                raise NotRepeatable(at.role, self.lives[came_from].waiting, self.lives[first].waiting)
            first = self._run(puppet, came_from, kind, zone, history).life
        if first != life:
            raise NotRepeatable(at.role, self.lives[life].waiting, self.lives[first].waiting)
        return puppet

    def _begin(self, role: str) -> tuple[int, _Puppet]:
        histories = {ZONE: copied(self.histories[self.first_history])}
        primary = MemoryPrimary(ZONE, dict(self.zones[self.first_zone]))
        world = World(self._setting, MemoryStore(histories), primary, SimulatedGate(self._loop))
        world.fingerprint = Fingerprint(self._numbers, None, primary, world.notes, forgets=self._forgets)
        puppet = _Puppet(Actor(role, may_crash=self._roles[role].may_crash), world, histories, world.fingerprint)
        token = ACTOR.set(puppet.actor)
        try:
            coroutine = self._roles[role].start(world, role)()
        finally:
            ACTOR.reset(token)
        with confined():
            self._loop.enter()
            try:
                self._loop.begin(puppet.actor, coroutine)
                self._drain()
            finally:
                self._loop.leave()
        return self._arrive(puppet, None), puppet

    def _run(
        self,
        puppet: _Puppet,
        life: int,
        kind: Kind,
        zone: int,
        history: int,
        other: MemoryHistory | None = None,
    ) -> Learned:
        """Run one step in truth."""
        held = self.histories[history] if other is None else other
        self.runs += 1
        actor, world, loop = puppet.actor, puppet.world, self._loop
        noted = len(world.notes)
        world.primary.contents = self.zones[zone]  # type: ignore[assignment]  # ends replace contents, never change them
        act = self.lives[life].waiting
        writes = act is not None and act.go.label in WRITING
        # What only reads may read what is kept.
        puppet.histories[ZONE] = copied(held) if writes else held
        with confined():
            loop.enter()
            try:
                actor.parked.popleft()[0].set_result(TURNS[kind])
                self._drain()
            finally:
                loop.leave()
        if kind is Kind.LOST_ANSWER:
            puppet.fingerprint.unanswered(actor.name)
        notes = world.notes[noted:]
        touched, loop.touched = loop.touched, None
        faults, loop.faults = tuple(loop.faults), []
        if any(note.act in WRITING for note in notes):
            history_after: int | None = self._history(puppet.histories[ZONE])
        else:
            history_after = None
        number = self._zone(world.primary.contents)
        zone_after = None if number == zone else number
        arrived = self._arrive(puppet, (life, kind, zone, history))
        heard = tuple(note for note in notes if note.act in self._heard)
        return Learned(arrived, zone_after, history_after, touched, heard, faults)

    def _drain(self) -> None:
        self._loop.drain()
        escaped, self._loop.escaped = self._loop.escaped, None
        if escaped is not None:
            raise escaped

    def _arrive(self, puppet: _Puppet, before: Way | None) -> int:
        actor = puppet.actor
        if actor.next_timer() is not None:
            raise NotRepeatable(actor.name, "effects only", "a timer")
        waiting = actor.waiting() if actor.alive else None
        life = Life(actor.name, waiting, not actor.alive, before)
        number = self._number(actor.name, puppet.fingerprint.known(actor.name), life)
        if before is not None and len(ways := self._ways.setdefault(number, [])) < WAYS_MAX and before not in ways:
            ways.append(before)
        known = self.lives[number]
        if known.waiting is not waiting or known.ended is not life.ended:
            raise NotRepeatable(actor.name, known.waiting, waiting)
        return number

    def _number(self, role: str, known: int, life: Life) -> int:
        number = self._lives.setdefault((role, known), len(self.lives))
        if number == len(self.lives):
            self.lives.append(life)
        return number

    def _zone(self, contents: Contents) -> int:
        number = self._zones.setdefault(frozenset(contents.items()), len(self.zones))
        if number == len(self.zones):
            self.zones.append(contents)
        return number

    def _history(self, history: MemoryHistory) -> int:
        number = self._histories.setdefault(self.holds(history), len(self.histories))
        if number == len(self.histories):
            self.histories.append(copied(history))
            self.alike.append({stored(history): self.histories[number]})
        elif len(alike := self.alike[number]) < WAYS_MAX and (held := stored(history)) not in alike:
            alike[held] = copied(history)
        return number

    def holds(self, history: MemoryHistory) -> Hashable:
        """Return what of a history matters here."""
        return mattering(history, record_told=self._setting.read_back) if self._forgets else stored(history)

    def close(self) -> None:
        """End all actors that still wait."""
        for kept in self._waiting.values():
            for puppet in kept:
                puppet.actor.kill()
        self._waiting.clear()
