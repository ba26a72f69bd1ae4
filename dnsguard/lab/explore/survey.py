"""Search by states on numbers: what `recognition` does with any scenario, on what `recall` has learned of this one, and
several times as fast. Actors that are alike are told apart only by what they know; states in which they have changed
places are one.

Where the planner only reads what no enactor ever writes, it goes first, and no other order is tried there (a persistent
set of one). That nobody writes it is not known beforehand; it is taken for so, and watched: at the first write the
search begins anew without. That is enough: cut off all moves that write it, and the search is complete for what is
left; so if there were any in truth, the first of them would have been met.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from dnsguard.lab.explore.recall import CODES, Place, Step
from dnsguard.lab.scheduler.moves import Kind, Move, Schedule
from dnsguard.lab.scheduler.simulation import Ending, Violation
from dnsguard.lab.search.findings import Ended, Findings, Found
from dnsguard.lab.search.strategies import Prefer

Footprint = tuple[int, int]
Turn = int
"""Who goes on, by the point in life, and how: life * 8 + kind. Those who are at one point are one to a search."""
_CRASH, _GO = CODES[Kind.CRASH], CODES[Kind.GO]
_LOST = frozenset({CODES[Kind.LOST_REQUEST], CODES[Kind.LOST_ANSWER]})
MOVES_BETWEEN_LOOKS = 256
"""At the clock."""
NONE: frozenset[Turn] = frozenset()
LIFE_BITS, FAULTS_BITS = 24, 16
"""A state is one number: in tuples, millions of them would not fit."""
ORDERED_SCHEDULES = 10_000
"""After so many, no order is preferred any more: what it was to find it has found, and asking for it takes time."""


class Remembering(Protocol):
    """What can be searched: moves that are looked up by who is where in which world, all of them numbers."""

    names: tuple[str, ...]
    first: Place
    moves_max: int

    def step(self, world: int, life: int, code: int) -> Step:
        """Return what a turn leads to."""
        ...

    def ended(self, world: int, lives: Sequence[int]) -> tuple[Violation, ...]:
        """Look at a world in which nothing more can happen."""
        ...

    def ways(self, life: int, budget: int) -> tuple[int, ...]:
        """Return by which turns, as codes, an actor goes on from a point in life."""
        ...

    def only_reads(self, life: int) -> int:
        """Return what somebody reads next that can go on in one way only and will write nothing; 0 for anybody else."""
        ...

    def move(self, life: int, code: int, name: str) -> Move:
        """Return a turn as the move of a named actor."""
        ...


class _Frame:
    """A state on the current path: who is where, what is left to try, and what sleeps."""

    __slots__ = ("broken", "crashes", "lives", "losses", "made", "names", "sleep", "taken", "todo", "world")

    def __init__(
        self,
        world: int,
        lives: tuple[int, ...],
        names: tuple[str, ...],
        faults_left: tuple[int, int],
        broken: frozenset[str],
        made: dict[str, int],
    ) -> None:
        self.world = world
        self.lives = lives
        """Points in life: the planner's, then the enactors' in ascending order."""
        self.names = names
        self.crashes, self.losses = faults_left
        self.broken = broken
        """What was broken on the way."""
        self.made = made
        """How many moves each actor made on the way."""
        self.todo: list[Turn] = []
        self.sleep: dict[Turn, Footprint] = {}
        self.taken: tuple[Turn, str] = (0, "")
        """The turn that is being tried, and whose it is."""


class Survey:
    """Searches one setting. It may be searched on after a bound was reached."""

    def __init__(self, recalled: Remembering, prefer: Prefer | None = None) -> None:
        """Take what runs the setting, and an order."""
        self._recalled = recalled
        self._prefer = prefer
        self._seen: dict[int, frozenset[Turn]] = {}
        """By state: which turns slept whenever it was met, and so were not tried from it."""
        self._ways: dict[tuple[int, int], tuple[Turn, ...]] = {}
        self._stack: list[_Frame] = []
        self._begun = False
        self._cut = False
        self._relied = self._written = 0
        """What the planner's going first relied on not being written by enactors, and what they wrote; a bit each."""
        self._goes_first = True

    def search(
        self,
        *,
        schedules_max: int | None = None,
        seconds_max: float | None = None,
        enough: Callable[[Collection[str]], bool] = lambda _: False,
        halted: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> Findings:
        """Try schedules until none is left, a bound is reached, what was broken is enough, or somebody halts it."""
        begun, worked, looked = clock(), time.process_time(), 0
        stack, seen, recall = self._stack, self._seen, self._recalled.step
        counted = _Counted(self)
        if not self._begun:
            self._begun = True
            self._enter(self._first(), {}, counted)
        ended = Ended.EXHAUSTED
        while stack:
            if counted.schedules == schedules_max:
                ended = Ended.SCHEDULES
                break
            looked += 1
            if looked % MOVES_BETWEEN_LOOKS == 0:
                if counted.schedules > ORDERED_SCHEDULES:
                    self._prefer = None
                if seconds_max is not None and clock() - begun >= seconds_max:
                    ended = Ended.SECONDS
                    break
                if halted():
                    ended = Ended.HALTED
                    break
            frame = stack[-1]
            if not frame.todo:
                stack.pop()
                continue
            turn = frame.todo.pop()
            life, code = turn >> 3, turn & 7
            lives = frame.lives
            at = lives.index(life)
            frame.taken = turn, frame.names[at]
            step = recall(frame.world, life, code)
            if at:
                self._written |= step.writes
                if self._relied & self._written:
                    self._anew()
                    counted = _Counted(self)
                    continue
            after = self._after(frame, at, code, step)
            if step.broken:
                counted.note(after, step.broken)
            reads, writes = step.reads, step.writes
            sleep = {
                other: touched
                for other, touched in frame.sleep.items()
                if other >> 3 != life and not (writes & (touched[0] | touched[1]) or touched[1] & reads)
            }
            frame.sleep[turn] = reads, writes
            self._enter(after, sleep, counted)
            if counted.ended and enough(counted.violations):
                ended = Ended.FOUND
                break
            counted.ended = False
        seconds = clock() - begun, time.process_time() - worked
        if not stack:  # also if the very last schedule was enough
            ended = Ended.CUT if self._cut else Ended.EXHAUSTED
        return counted.findings(*seconds, ended=ended, states=len(seen))

    def _anew(self) -> None:
        """Begin again, and let nobody go first."""
        self._goes_first, self._relied, self._begun, self._cut = False, 0, True, False
        self._seen.clear()
        self._stack.clear()
        self._enter(self._first(), {}, _Counted(self))

    def _first(self) -> _Frame:
        first = self._recalled.first
        planner, *enactors = first.lives
        broken = frozenset(violation.name for violation in first.broken)
        left = first.crashes, first.losses
        return _Frame(first.world, (planner, *sorted(enactors)), self._recalled.names, left, broken, {})

    def _after(self, frame: _Frame, at: int, code: int, step: Step) -> _Frame:
        """Return the state to which a step leads, those who are alike in order."""
        lives, names = frame.lives, frame.names
        name = names[at]
        if at == 0:
            lives = (step.life, *lives[1:])
        else:
            others = lives[1:at] + lives[at + 1 :]
            place = 1
            for other in others:
                if other > step.life:
                    break
                place += 1
            called = names[1:at] + names[at + 1 :]
            lives = (lives[0], *others[: place - 1], step.life, *others[place - 1 :])
            names = (names[0], *called[: place - 1], name, *called[place - 1 :])
        left = frame.crashes - (code == _CRASH), frame.losses - (code in _LOST)
        made = frame.made
        if self._prefer is not None:
            made = {**made, name: made.get(name, 0) + 1}
        return _Frame(step.world, lives, names, left, frame.broken, made)

    def _enter(self, frame: _Frame, sleep: dict[Turn, Footprint], counted: "_Counted") -> None:
        """Come to a state: go on from it with what was not tried yet, or end the schedule."""
        state = (frame.world << FAULTS_BITS | frame.crashes) << FAULTS_BITS | frame.losses
        for life in frame.lives:
            state = state << LIFE_BITS | life
        slept = self._seen.get(state)
        stack = self._stack
        if slept is None:
            ways = self._enabled(frame)
            if not ways:
                self._seen[state] = NONE
                counted.end(frame, self._recalled.ended(frame.world, frame.lives), Ending.DONE)
                return
            if len(stack) >= self._recalled.moves_max:
                self._cut = True
                counted.end(frame, (Violation("livelock", f"no end after {len(stack)} moves"),), Ending.LIVELOCK)
                return
            self._seen[state] = frozenset(sleep) if sleep else NONE
            todo = [turn for turn in ways if turn not in sleep] if sleep else ways
        else:
            # What slept then and does not now is still to be tried. What sleeps now and was tried then need not sleep
            # below: only what was left out both times is known to be seen elsewhere (Godefroid and others).
            left = slept - sleep.keys()
            todo = [turn for turn in self._enabled(frame) if turn in left] if left else []
            if left:
                self._seen[state] = slept & sleep.keys()
                sleep = {turn: touched for turn, touched in sleep.items() if turn in slept}
        if not todo:
            counted.end(frame, (), Ending.STOPPED)
            return
        frame.todo, frame.sleep = todo, sleep
        stack.append(frame)

    def _enabled(self, frame: _Frame) -> list[Turn]:
        """Return all turns that there are in a state, the one to be tried first at the end."""
        budget = (frame.crashes > 0) | (frame.losses > 0) << 1
        lives, prefer = frame.lives, self._prefer
        if self._goes_first and (reads := self._recalled.only_reads(lives[0])) and not reads & self._written:
            self._relied |= reads
            return [lives[0] << 3 | _GO]
        places = range(len(lives) - 1, -1, -1)
        if prefer is not None:
            made, names = frame.made, frame.names
            places = sorted(places, key=lambda at: -prefer(names[at], made.get(names[at], 0)))  # type: ignore[assignment]
        turns: list[Turn] = []
        for at in places:
            life = lives[at]
            if at > 1 and lives[at - 1] == life:
                continue  # whichever of them goes, it comes to the same
            ways = self._ways.get((life, budget))
            if ways is None:
                codes = self._recalled.ways(life, budget)
                ways = self._ways[life, budget] = tuple(life << 3 | code for code in reversed(codes))
            turns += ways
        return turns

    def schedule(self) -> Schedule:
        """Return the moves of the current path."""
        move = self._recalled.move
        return Schedule.of([move(turn >> 3, turn & 7, name) for turn, name in (frame.taken for frame in self._stack)])


class _Counted:
    """What a search comes to, while it is under way."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self.schedules = self.moves = 0
        self.ended = False
        self.endings: Counter[Ending] = Counter()
        self.violations: Counter[str] = Counter()
        self.first: dict[str, Found] = {}
        self.shortest: dict[str, Found] = {}

    def note(self, frame: _Frame, broken: tuple[Violation, ...]) -> None:
        """Take in what is broken where a move has led to."""
        moves = len(self._survey._stack)  # noqa: SLF001  one thing in two classes
        for violation in broken:
            name = violation.name
            if name in frame.broken:
                continue
            frame.broken |= {name}
            known = self.shortest.get(name)
            if known is None or moves < len(known.schedule):
                said = Violation(name, violation.detail, moves)
                number = self.schedules + 1
                found = Found(said, self._survey.schedule(), f"schedule {number}", number)
                self.first.setdefault(name, found)
                self.shortest[name] = found

    def end(self, frame: _Frame, broken: tuple[Violation, ...], ending: Ending) -> None:
        """Count a schedule that is over."""
        self.note(frame, broken)
        self.schedules += 1
        self.moves += len(self._survey._stack)  # noqa: SLF001
        self.endings[ending] += 1
        for name in frame.broken:
            self.violations[name] += 1
        self.ended = True

    def findings(self, seconds: float, processor_s: float, *, ended: Ended, states: int) -> Findings:
        """Return it in numbers."""
        return Findings(
            self.schedules,
            self.endings[Ending.STOPPED],
            self.moves,
            states,
            ended,
            dict(self.endings),
            dict(self.violations),
            self.first,
            self.shortest,
            seconds,
            processor_s,
        )
