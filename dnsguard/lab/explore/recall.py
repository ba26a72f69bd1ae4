"""Runs a scenario's schedules from what was learned of its actors: a move is looked up, and run in truth if it is new.
A state is a value here; so a search that turns back goes on from where it turned, and repeats nothing. It offers the
same moves, asks the same checks and comes to the same outcomes as `simulator` does, which runs everything every time.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.explore.fingerprint import mattering
from dnsguard.lab.explore.learning import Learned, Learning, Role
from dnsguard.lab.explore.scenario import World, copied, drive, first_look, opening, watched
from dnsguard.lab.explore.setting import PLANNER, ZONE, Setting
from dnsguard.lab.explore.watch import REMEMBERED, Watch
from dnsguard.lab.scheduler.actor import Start
from dnsguard.lab.scheduler.gate import OpenGate
from dnsguard.lab.scheduler.moves import Faults, Kind, Move, MoveTable, Offer
from dnsguard.lab.scheduler.simulation import Attentive, Chooser, Ending, Outcome, Recognising, Violation

ENACTOR = "E0"
"""The enactor that is run in truth; the others are alike."""
CODES = {kind: code for code, kind in enumerate(Kind)}
_CRASH, _RESTART = CODES[Kind.CRASH], CODES[Kind.RESTART]
_LOSSES = frozenset({CODES[Kind.LOST_REQUEST], CODES[Kind.LOST_ANSWER]})
KINDS = tuple(Kind)
LIVES_MAX = 1 << 24


@runtime_checkable
class Resuming(Protocol):
    """A chooser that repeats the beginning of its last run, and does not mind if that is passed over."""

    def resume(self, moves_max: int) -> int:
        """Return how many moves of its last run, so many at most, it would repeat; it is not asked for them."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A move as it was looked up: where it leads to, and what is broken then."""

    world: int
    life: int
    reads: int
    writes: int
    narrowed: bool
    """Whether that is less than was declared."""
    broken: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: a state of the scenario, and what was broken on the way there."""

    world: int
    lives: tuple[int, ...]
    crashes: int
    losses: int
    broken: tuple[Violation, ...]


class Recalled:
    """Runs one setting as often as wanted, in memory. What was learned is kept from run to run."""

    def __init__(
        self,
        setting: Setting,
        *,
        faults: Faults = Faults(),  # noqa: B008  frozen
        moves_max: int = 10_000,
        forgets: bool = True,
        heard: Collection[str] = REMEMBERED,
    ) -> None:
        """Take a setting whose history is in memory. ``forgets`` and ``heard``: as in `Learning`."""
        self._setting = setting
        self._faults = faults
        self.moves_max = moves_max
        primary = MemoryPrimary(ZONE)
        history = opening(setting, primary, [])
        self._table = MoveTable(watched(setting))
        self.names = (PLANNER, *setting.enactor_names)
        self._roles = (PLANNER, *(ENACTOR for _ in setting.enactor_names))
        self.learning = Learning(setting, primary, history, ROLES, self._table, forgets=forgets, heard=heard)
        self._gone = frozenset(self.learning.gone.values())
        self._watches: list[Watch] = []
        self._watch_numbers: dict[Watch, int] = {}
        self._looks: dict[tuple[int, int, int], tuple[int, tuple[Violation, ...]]] = {}
        self._worlds: list[tuple[int, int, int]] = []
        self._world_numbers: dict[tuple[int, int, int], int] = {}
        self._steps: dict[int, Step] = {}
        self._offers: dict[tuple[int, int, int], Offer] = {}
        self._codes: dict[Move, tuple[int, int]] = {}
        """Of each move: whose it is, and of which kind."""
        self._ends: dict[tuple[int, int], tuple[Violation, ...]] = {}
        self._owner: Chooser | None = None
        self._resume: Callable[[int], int] | None = None
        self._arrived: Callable[[Callable[[], Hashable]], Hashable | None] | None = None
        self._touched: Callable[[int, int], None] | None = None
        self._moves: list[Move] = []
        first, broken = first_look(setting, primary, history)
        ends = self.learning.first_zone, self.learning.first_history
        self.first = Place(
            self._world(*ends, self._watch(first)),
            tuple(self.learning.first[role] for role in self._roles),
            faults.crashes_max,
            faults.losses_max,
            broken,
        )
        self._places = [self.first]

    @property
    def steps(self) -> int:
        """How many different moves were made: of an actor that knows something, in a world."""
        return len(self._steps)

    def ends(self) -> set[Hashable]:
        """Return the zones and, as far as they matter, the histories in which runs have ended, for comparison."""
        found: set[Hashable] = set()
        for zone, history in self._ends:
            held = mattering(self.learning.histories[history], record_told=self._setting.read_back)
            found.add((frozenset(self.learning.zones[zone].items()), held))
        return found

    def run(self, chooser: Chooser) -> Outcome:
        """Run the scenario once. Raises EscapedSimulation, NotRepeatable, and whatever a check raises."""
        places, moves = self._places, self._moves
        if chooser is not self._owner:
            self._owner = chooser
            # Asked once: it takes as long as a move.
            self._resume = chooser.resume if isinstance(chooser, Resuming) else None
            self._arrived = chooser.arrived if isinstance(chooser, Recognising) else None
            self._touched = chooser.touched if isinstance(chooser, Attentive) else None
            moves.clear()
        kept = 0 if self._resume is None else self._resume(len(moves))
        del moves[kept:], places[kept + 1 :]
        arrived, touched = self._arrived, self._touched
        states: list[Hashable] = []
        place = places[-1]
        while True:
            offers = self._offered(place)
            if not offers:
                return self._end(place, states)
            if len(moves) >= self.moves_max:
                return self._cut(place, states)
            move = chooser.choose(offers)
            if move is None:
                return Outcome(Ending.STOPPED, tuple(moves), place.broken, tuple(states))
            moves.append(move)
            place, step = self._go(place, move)
            places.append(place)
            if touched is not None and step.narrowed:
                touched(step.reads, step.writes)
            state = self._state(place)
            if arrived is None:
                states.append(state)
            elif (found := arrived(lambda state=state: state)) is not None:  # type: ignore[misc]
                states.append(found)

    def _state(self, place: Place) -> Hashable:
        return (place.world, place.crashes, place.losses), tuple(zip(self.names, place.lives, strict=True))

    def _offered(self, place: Place) -> list[Offer]:
        budget = (place.crashes > 0) | (place.losses > 0) << 1
        known = self._offers
        offers = []
        for at, life in enumerate(place.lives):
            offer = known.get((at, life, budget))
            if offer is None:
                offer = known[at, life, budget] = self._offer(at, life, budget)
            if offer:
                offers.append(offer)
        return offers

    def _offer(self, at: int, life: int, budget: int) -> Offer:
        name, here = self.names[at], self.learning.lives[life]
        offer: Offer = ()
        if life in self._gone:
            offer = (self._table.alone(name, Kind.RESTART),)
        elif here.waiting is not None:
            offer = self._table.of_another(here.waiting, name).offers[budget]
        for move in offer:
            self._codes[move] = at, CODES[move.kind]
        return offer

    def _go(self, place: Place, move: Move) -> tuple[Place, Step]:
        at, code = self._codes[move]
        step = self.step(place.world, place.lives[at], code)
        lives = (*place.lives[:at], step.life, *place.lives[at + 1 :])
        broken = place.broken
        for violation in step.broken:
            if all(violation.name != known.name for known in broken):
                broken = (*broken, Violation(violation.name, violation.detail, len(self._moves)))
        crashes, losses = place.crashes - (code == _CRASH), place.losses - (code in _LOSSES)
        return Place(step.world, lives, crashes, losses, broken), step

    def ways(self, life: int, budget: int) -> tuple[int, ...]:
        """Return by which turns, as codes, an actor goes on from a point in life."""
        if life in self._gone:
            return (_RESTART,)
        waiting = self.learning.lives[life].waiting
        return () if waiting is None else tuple(CODES[move.kind] for move in waiting.offers[budget])

    def only_reads(self, life: int) -> int:
        """Return what somebody reads next that can go on in one way only and will write nothing; 0 for anybody else."""
        waiting = self.learning.lives[life].waiting
        if waiting is None or waiting.go.writes or len(waiting.offers[3]) > 1:
            return 0
        return waiting.go.reads

    def move(self, life: int, code: int, name: str) -> Move:
        """Return a turn as the move of a named actor."""
        kind = KINDS[code]
        if kind is Kind.RESTART:
            return self._table.alone(name, kind)
        waiting = self.learning.lives[life].waiting
        if waiting is None:
            raise ValueError(f"expected {name} to wait for a turn, found that it has ended")
        both = self._table.of_another(waiting, name).offers[3]
        return next(move for move in both if move.kind is kind)

    def step(self, world: int, life: int, code: int) -> Step:
        """Return what a turn leads to: as it is remembered, or by running it."""
        key = (world * LIVES_MAX + life) << 3 | code
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._made(world, life, code)
        return step

    def learned(self, world: int, life: int, code: int) -> Learned:
        """Return what was learned of a turn; of a crash and a new beginning there is nothing to learn."""
        zone, history, _ = self._worlds[world]
        return self.learning.step(life, KINDS[code], zone, history)

    def _made(self, world: int, life: int, code: int) -> Step:
        role = self.learning.lives[life].role
        if code == _CRASH:
            return Step(world, self.learning.gone[role], 0, 0, narrowed=False, broken=())
        if code == _RESTART:
            return Step(world, self.learning.first[role], 0, 0, narrowed=False, broken=())
        zone, history, watch = self._worlds[world]
        learned = self.learned(world, life, code)
        after = (
            zone if learned.zone is None else learned.zone,
            history if learned.history is None else learned.history,
        )
        watch, broken = self._look(watch, learned, *after, (zone, history))
        if learned.faults:
            broken = (*broken, Violation("fault", "; ".join(learned.faults)))
        declared = self.move(life, code, role)
        reads, writes = learned.touched or (declared.reads, declared.writes)
        narrowed = learned.touched is not None
        return Step(self._world(*after, watch), learned.life, reads, writes, narrowed, broken)

    def _look(
        self, watch: int, learned: Learned, zone: int, history: int, before: tuple[int, int]
    ) -> tuple[int, tuple[Violation, ...]]:
        told = any(note.act in REMEMBERED for note in learned.notes)
        if (zone, history) == before and not told:
            return watch, ()
        found = self._looks.get((watch, zone, history)) if not told else None
        if found is None:
            ends = self.learning.zones[zone], self.learning.histories[history]
            seen, broken = self._watches[watch].after(learned.notes, *ends)
            found = self._watch(seen), broken
            if not told:
                self._looks[watch, zone, history] = found
        return found

    def _watch(self, watch: Watch) -> int:
        number = self._watch_numbers.setdefault(watch, len(self._watches))
        if number == len(self._watches):
            self._watches.append(watch)
        return number

    def _world(self, zone: int, history: int, watch: int) -> int:
        number = self._world_numbers.setdefault((zone, history, watch), len(self._worlds))
        if number == len(self._worlds):
            self._worlds.append((zone, history, watch))
        return number

    def ended(self, world: int, lives: Sequence[int]) -> tuple[Violation, ...]:
        """Look at a world in which nothing more can happen."""
        ends = self._worlds[world][:2]
        found = self._ends.get(ends)
        if found is None:
            found = self._ends[ends] = self._after(*ends)
        stuck = [str(life) for life in lives if not self.learning.lives[life].ended]
        if stuck:
            said = f"nothing can happen any more, and {len(stuck)} still wait"
            found = (Violation("deadlock", said), *found)
        return found

    def _end(self, place: Place, states: Sequence[Hashable]) -> Outcome:
        broken = place.broken
        found = self.ended(place.world, place.lives)
        for violation in found:
            if all(violation.name != known.name for known in broken):
                broken = (*broken, Violation(violation.name, violation.detail, len(self._moves)))
        ending = Ending.DEADLOCK if any(each.name == "deadlock" for each in found) else Ending.DONE
        return Outcome(ending, tuple(self._moves), broken, tuple(states))

    def _after(self, zone: int, history: int) -> tuple[Violation, ...]:
        """Try what can still be done, with faults over."""
        store = MemoryStore({ZONE: copied(self.learning.histories[history])})
        primary = MemoryPrimary(ZONE, dict(self.learning.zones[zone]))
        return drive(World(self._setting, store, primary, OpenGate()).go_on())

    def _cut(self, place: Place, states: Sequence[Hashable]) -> Outcome:
        said = Violation("livelock", f"no end after {len(self._moves)} moves", len(self._moves))
        return Outcome(Ending.LIVELOCK, tuple(self._moves), (*place.broken, said), tuple(states))


def _plans(world: World, name: str) -> Start:
    return partial(world.plan, name)


def _lives(world: World, name: str) -> Start:
    return partial(world.live, name)


ROLES = {PLANNER: Role(_plans, may_crash=False), ENACTOR: Role(_lives)}
