"""Moves: what may happen next in a simulation, and the value that writes down what did happen.
Two moves that touch nothing in common may be swapped; whoever searches relies on exactly that. Nothing runs here.
"""

import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


class Kind(enum.Enum):
    """What a move is."""

    GO = "go"
    LOST_REQUEST = "lost request"
    LOST_ANSWER = "lost answer"
    CRASH = "crash"
    """The actor is gone before this effect; nothing of it runs any more."""
    RESTART = "restart"
    """The actor begins anew, from its factory."""
    TIMER = "timer"
    """The actor's earliest timer fires (untimed simulations only; elsewhere the clock decides)."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """One thing that one actor may do next. Equal moves are the same object, so that identity tells them apart.

    ``reads`` and ``writes`` are sets of resources, one bit each.
    """

    actor: str
    kind: Kind
    label: str
    reads: int = 0
    writes: int = 0

    def conflicts(self, other: "Move") -> bool:
        """Tell whether the order of the two can matter."""
        return bool(self.writes & (other.reads | other.writes) or other.writes & self.reads)

    def __str__(self) -> str:
        return f"{self.actor} {self.label}" + ("" if self.kind is Kind.GO else f" ({self.kind.value})")


Offer = tuple[Move, ...]
"""What one actor may do next, the way without faults first."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How many faults a run may have; without any there is nothing to choose but the order."""

    crashes_max: int = 0
    losses_max: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """An effect's moves, as offered with and without faults."""

    go: Move
    offers: tuple[Offer, Offer, Offer, Offer]
    """By what the budget still has: nothing, a crash, a loss, both."""


@dataclass(slots=True)
class MoveTable:
    """Makes moves, each once. ``watched``: groups of resources that a check reads together after every move."""

    watched: tuple[tuple[str, ...], ...] = ()
    _bits: dict[str, int] = field(default_factory=dict)
    _waiting: dict[tuple[str, str, tuple[str, ...], tuple[str, ...], bool, bool], Waiting] = field(default_factory=dict)
    _alone: dict[tuple[str, Kind], Move] = field(default_factory=dict)
    _others: dict[tuple[Move, str], Waiting] = field(default_factory=dict)
    _footprints: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[int, int]] = field(default_factory=dict)

    def waiting(
        self, actor: str, label: str, reads: Iterable[str], writes: Iterable[str], *, losable: bool, may_crash: bool
    ) -> Waiting:
        """Return the moves of an effect that waits for its turn."""
        key = (actor, label, tuple(reads), tuple(writes), losable, may_crash)
        found = self._waiting.get(key)
        if found is None:
            found = self._waiting[key] = self._make(*key)
        return found

    def of_another(self, waiting: Waiting, actor: str) -> Waiting:
        """Return the moves of an effect as those of another actor that waits for the same."""
        key = (waiting.go, actor)
        found = self._others.get(key)
        if found is None:
            renamed = {move: replace(move, actor=actor) for offer in waiting.offers for move in offer}
            none, crash, loss, both = (tuple(renamed[move] for move in offer) for offer in waiting.offers)
            found = self._others[key] = Waiting(renamed[waiting.go], (none, crash, loss, both))
        return found

    def alone(self, actor: str, kind: Kind) -> Move:
        """Return a move that touches nothing but its actor."""
        key = (actor, kind)
        found = self._alone.get(key)
        if found is None:
            found = self._alone[key] = Move(actor, kind, kind.value)
        return found

    def _make(
        self,
        actor: str,
        label: str,
        reads: tuple[str, ...],
        writes: tuple[str, ...],
        losable: bool,
        may_crash: bool,
    ) -> Waiting:
        read, written = self.footprint(reads, writes)
        go = Move(actor, Kind.GO, label, read, written)
        crash = (Move(actor, Kind.CRASH, label),) if may_crash else ()
        lost: Offer = ()
        if losable:
            lost = (Move(actor, Kind.LOST_REQUEST, label), Move(actor, Kind.LOST_ANSWER, label, read, written))
        return Waiting(go, ((go,), (go, *crash), (go, *lost), (go, *lost, *crash)))

    def footprint(self, reads: tuple[str, ...], writes: tuple[str, ...]) -> tuple[int, int]:
        """Return what is touched as sets of resources, one bit each; what checks look at then included."""
        found = self._footprints.get((reads, writes))
        if found is None:
            read, written = self._mask(reads), self._mask(writes)
            for number, group in enumerate(self.watched):
                # A check reads its whole group after each write to any of it: such writes don't commute.
                if written & self._mask(group):
                    written |= self._mask((f"(check {number})",))
            found = self._footprints[reads, writes] = read, written
        return found

    def _mask(self, names: Iterable[str]) -> int:
        mask = 0
        for name in names:
            mask |= 1 << self._bits.setdefault(name, len(self._bits))
        return mask


@dataclass(frozen=True, slots=True)
class Step:
    """A move as written down."""

    actor: str
    label: str
    turn: str


class ScheduleUnreadable(ValueError):
    """A text is not a schedule."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The moves of a run in order. On the same scenario it replays exactly."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, moves: Sequence[Move]) -> "Schedule":
        """Write moves down."""
        return cls(tuple(Step(move.actor, move.label, move.kind.value) for move in moves))

    @classmethod
    def from_json(cls, text: str) -> "Schedule":
        """Read a schedule. Raises ScheduleUnreadable."""
        expected = 'expected a JSON list of {"actor": …, "label": …, "turn": …}'
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ScheduleUnreadable(f"{expected}, found no JSON at line {error.lineno}: save the file anew") from error
        if not isinstance(found, list):
            raise ScheduleUnreadable(f"{expected}, found {type(found).__name__}: save the file anew")
        turns = {kind.value for kind in Kind}
        for number, step in enumerate(found, 1):
            if not (
                isinstance(step, dict)
                and step.keys() == {"actor", "label", "turn"}
                and all(isinstance(value, str) for value in step.values())
                and step["turn"] in turns
            ):
                raise ScheduleUnreadable(f"{expected}, found {step!r} as step {number}: turns are {sorted(turns)}")
        return cls(tuple(Step(step["actor"], step["label"], step["turn"]) for step in found))

    def to_json(self) -> str:
        """Return one step per line, as a JSON list."""
        lines = (
            json.dumps({"actor": step.actor, "label": step.label, "turn": step.turn}, ensure_ascii=False)
            for step in self.steps
        )
        return "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n]\n" if self.steps else "[]\n"

    def __len__(self) -> int:
        return len(self.steps)

    def switches(self) -> int:
        """Count how often the turn passes from one actor to another."""
        return sum(a.actor != b.actor for a, b in zip(self.steps, self.steps[1:], strict=False))
