"""The specification alongside what `dnsguard explore` remembers of the real code: where it may be is part of each state
that is searched, so that every step of every schedule is a step of the specification, or told apart. Steps are the real
workers' own: what each did to the ends is replayed, from the notes that were taken when it ran.

The specification tells enactors apart that are alike to a search; so here none may change places.
"""

from collections.abc import Sequence
from dataclasses import replace

from dnsguard.core.message import Unknown
from dnsguard.core.plan import Change
from dnsguard.core.records import Key
from dnsguard.lab.explore.exploring import MOVES_MAX
from dnsguard.lab.explore.learning import Learned
from dnsguard.lab.explore.recall import KINDS, LIVES_MAX, Recalled, Step
from dnsguard.lab.explore.setting import ZONE, Setting
from dnsguard.lab.scheduler.moves import Faults, Kind, Move
from dnsguard.lab.scheduler.simulation import Violation
from tests.model.recording import NOTED, Recorder
from tests.model.refinement import NOT_SPECIFIED, Replay, States

Knows = tuple[tuple[Change, ...], frozenset[tuple[Key, int]], frozenset[int]]
"""What a recorder has of an actor: what that was given to publish, could not reject, and may reject."""
NOTHING: Knows = ((), frozenset(), frozenset())
Seen = tuple[tuple[Knows, ...], States | None]
"""What each actor knows, and where the specification may be; None once it was left."""
BEGINS_TO_CLEAN = "store.zone"
"""Whoever does this has nothing to publish any more, and asks anew before it has."""


class Alongside:
    """What a survey searches: the real code as it is remembered, and the specification with it.

    An actor's number is part of each point in its life.
    """

    def __init__(self, setting: Setting, faults: Faults, replay: Replay, begun: States) -> None:
        """Take what is explored, and where the specification is when it begins."""
        self._recalled = Recalled(setting, faults=faults, moves_max=MOVES_MAX, heard=NOTED | {BEGINS_TO_CLEAN})
        self._replay = replay
        self.names = self._recalled.names
        self.moves_max = MOVES_MAX
        self.events = 0
        """How many effects were replayed, each once from where it can happen."""
        self.acts: set[type] = set()
        self._seen: list[Seen] = []
        self._seen_numbers: dict[Seen, int] = {}
        self._worlds: list[tuple[int, int]] = []
        """Of each world, its number without the specification, and where that is."""
        self._world_numbers: dict[tuple[int, int], int] = {}
        self._steps: dict[int, Step] = {}
        self._followed: dict[tuple[int, int, int, int], tuple[int, tuple[Violation, ...]]] = {}
        first = self._recalled.first
        world = self._world(first.world, self._number(((NOTHING,) * len(self.names), begun)))
        lives = tuple(self._life(life, at) for at, life in enumerate(first.lives))
        self.first = replace(first, world=world, lives=lives)

    @property
    def states(self) -> int:
        """Where the specification may have been, all in all."""
        return len(self._seen)

    def step(self, world: int, life: int, code: int) -> Step:
        """Return what a turn leads to, and whether the specification lets it."""
        key = (world * LIVES_MAX + life) << 3 | code
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._made(*self._worlds[world], *self._split(life), code)
        return step

    def ended(self, world: int, lives: Sequence[int]) -> tuple[Violation, ...]:
        """Look at a world in which nothing more can happen."""
        return self._recalled.ended(self._worlds[world][0], [self._split(life)[0] for life in lives])

    def ways(self, life: int, budget: int) -> tuple[int, ...]:
        """Return by which turns, as codes, an actor goes on from a point in life."""
        return self._recalled.ways(self._split(life)[0], budget)

    def only_reads(self, life: int) -> int:
        """Return what somebody reads next that can go on in one way only and will write nothing; 0 for anybody else."""
        return self._recalled.only_reads(self._split(life)[0])

    def move(self, life: int, code: int, name: str) -> Move:
        """Return a turn as the move of a named actor."""
        return self._recalled.move(self._split(life)[0], code, name)

    def _life(self, life: int, at: int) -> int:
        return life * len(self.names) + at

    def _split(self, life: int) -> tuple[int, int]:
        return divmod(life, len(self.names))

    def _made(self, world: int, seen: int, life: int, at: int, code: int) -> Step:
        step, kind = self._recalled.step(world, life, code), KINDS[code]
        alone = kind in {Kind.CRASH, Kind.RESTART}
        learned = None if alone else self._recalled.learned(world, life, code)
        key = (seen, at, code, id(learned))  # what was learned is kept for good
        found = self._followed.get(key)
        if found is None:
            found = self._followed[key] = self._replayed(*self._seen[seen], at, kind, learned)
        after, forbidden = found
        broken = (*step.broken, *forbidden)
        return replace(step, world=self._world(step.world, after), life=self._life(step.life, at), broken=broken)

    def _replayed(
        self,
        known: tuple[Knows, ...],
        states: States | None,
        at: int,
        kind: Kind,
        learned: Learned | None,
    ) -> tuple[int, tuple[Violation, ...]]:
        name = self.names[at]
        fetched, aside, suspects = known[at]
        recorder = Recorder(ZONE, fetched={name: fetched}, aside={name: aside}, suspects={name: suspects})
        for note in () if learned is None else learned.notes:
            # What its sender cannot know, the specification is not told.
            lost = kind is Kind.LOST_ANSWER and note.act == "publish"
            recorder.note(name, note.act, note.subject, Unknown("the answer is lost") if lost else note.result)
            if note.act == BEGINS_TO_CLEAN:
                recorder.fetched[name] = ()
        if kind is Kind.CRASH:
            recorder.crashed(name)
        forbidden: tuple[Violation, ...] = ()
        for event in recorder.events:
            if states is None:
                break
            self.events += 1
            self.acts.add(type(event.act))
            after = self._replay.after(states, event)
            if isinstance(after, str):
                states, forbidden = None, (Violation(NOT_SPECIFIED, f"{event.actor} {event.act}: {after}"),)
            else:
                states = after
        knows = (
            recorder.fetched.get(name, NOTHING[0]),
            recorder.aside.get(name, NOTHING[1]),
            recorder.suspects.get(name, NOTHING[2]),
        )
        return self._number(((*known[:at], knows, *known[at + 1 :]), states)), forbidden

    def _number(self, seen: Seen) -> int:
        number = self._seen_numbers.setdefault(seen, len(self._seen))
        if number == len(self._seen):
            self._seen.append(seen)
        return number

    def _world(self, world: int, seen: int) -> int:
        number = self._world_numbers.setdefault((world, seen), len(self._worlds))
        if number == len(self._worlds):
            self._worlds.append((world, seen))
        return number
