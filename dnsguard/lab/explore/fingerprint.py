"""Tells the states of a scenario apart: what is stored and published, and what each actor knows.
An actor is a function of what it was told since it began afresh; so that is what stands for it. Different states
never get the same number: what is met is kept and compared, not hashed away.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.history import Entry, PlanState
from dnsguard.core.message import NamesRead
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.scheduler.moves import Kind, Move
from dnsguard.lab.scheduler.simulation import Violation

State = tuple[Hashable, tuple[tuple[str, int], ...]]
WRITING = frozenset(
    f"store.{act}" for act in ("accept", "record", "reject", "wait", "resume", "withdraw", "halt", "resync", "prune")
)
GONE = -1
"""Stands for an actor that crashed."""


class Numbers:
    """Gives each value that is met a number of its own."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, value: Hashable) -> int:
        """Return a value's number."""
        return self._numbers.setdefault(value, len(self._numbers))


@dataclass(slots=True)
class Fingerprint:
    """The state of one run; ``numbers`` are shared by all runs that are compared."""

    numbers: Numbers
    history: MemoryHistory | None
    """None for a store that cannot be looked into: then what was written to it, in order, stands for it."""
    primary: MemoryPrimary
    notes: Sequence[Note]
    record_told: bool = True
    """Whether anybody is told which fence was written down last."""
    forgets: bool = True
    """Whether what no longer matters is left out."""
    _known: dict[str, int] = field(default_factory=dict)
    _fresh: dict[str, int] = field(default_factory=dict)
    """By actor: how many effects had been noted when it began afresh."""
    _read: int = 0
    _contents: object = None
    _zone: int = 0
    _history: int = 0

    def known(self, who: str) -> int:
        """Return what an actor knows."""
        self._read_notes()
        return self._known.get(who, GONE)

    def afresh(self, who: str, *knows: Hashable) -> None:
        """Say that all an actor knows from here on is this, and what it will be told."""
        self._read_notes()
        before = () if self.forgets else (self._known.get(who, GONE),)
        self._known[who] = self.numbers.of((*before, *knows))
        self._fresh[who] = self._read

    def mourn(self, move: Move | None) -> Violation | None:
        """See who crashes, and what it knew is lost; and who, not being answered, knows less than what happened."""
        if move is not None and move.kind is Kind.CRASH:
            self._read_notes()
            self._known[move.actor] = GONE
        elif move is not None and move.kind is Kind.LOST_ANSWER:
            self.unanswered(move.actor)
        return None

    def unanswered(self, who: str) -> None:
        """Say that an actor was not told what was noted last."""
        self._read_notes()
        if self._fresh.get(who) != self._read:
            self._known[who] = self.numbers.of((self._known.get(who, GONE), "not answered"))

    def __call__(self) -> State:
        """Return the state: of the ends, and of each actor."""
        self._read_notes()
        if self.primary.contents is not self._contents:
            self._contents = self.primary.contents
            self._zone = self.numbers.of(frozenset(self.primary.contents.items()))
        return (self._zone, self._history), tuple(sorted(self._known.items()))

    def _read_notes(self) -> None:
        numbers, known = self.numbers, self._known
        written = self._read == 0 and self.history is not None
        while self._read < len(self.notes):
            note = self.notes[self._read]
            self._read += 1
            told = _hashable(note.result)
            known[note.who] = numbers.of((known.get(note.who, GONE), note.act, told))
            if note.act in WRITING and self.history is None:
                self._history = numbers.of((self._history, note.act, note.subject, told))
            written |= note.act in WRITING
        if written and self.history is not None:
            self._history = numbers.of(self._holds(self.history))

    def _holds(self, history: MemoryHistory) -> Hashable:
        return mattering(history, record_told=self.record_told) if self.forgets else stored(history)


def _hashable(result: object) -> Hashable:
    """Return what an actor was told as a value that can be kept and compared."""
    match result:
        case Mapping():
            return frozenset(result.items())
        case NamesRead(rrsets, unread):
            return frozenset(rrsets.items()), frozenset(unread.items())
        case Hashable():
            return result
    raise TypeError(f"expected a result that can be kept, found {result!r}")


def stored(history: MemoryHistory) -> tuple[Hashable, ...]:
    """Return all that a history holds, as a value that can be compared."""
    return (
        history.zone,
        tuple(history.entries.values()),
        tuple((key, tuple(changes.items())) for key, changes in history.changes.items()),
        tuple(history.chains.items()),
        tuple((head.live, head.held, head.adopt) for head in history.heads.values()),
        tuple((generation, tuple(rrsets.items())) for generation, rrsets in history.turned_down.items()),
    )


def mattering(history: MemoryHistory, *, record_told: bool) -> Hashable:
    """Return what of a history anybody acts on or asks for.

    Whether a plan that is settled was published or superseded on the way is for people. Which fence was written down
    last is looked at by none but those who are told the record; up to where it is published stays.
    """
    zone = history.zone if record_told else replace(history.zone, fence=None)
    entries = tuple(_settled(entry) for entry in history.entries.values())
    return (zone, entries, *stored(history)[2:])


def _settled(entry: Entry) -> Entry:
    return replace(entry, state=PlanState.PUBLISHED) if entry.state is PlanState.SUPERSEDED else entry
