"""Eyes on a scenario: after every effect they ask the invariants of what a client of each endpoint would find.
They look at the primary itself and at what was answered, never at what a worker believes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dnsguard.core import invariants
from dnsguard.core.fence import Fence
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.layout import resolved, rollback_name, target_of
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records
from dnsguard.core.written import seen_in
from dnsguard.lab.ends import Note
from dnsguard.lab.moves import Move
from dnsguard.lab.primary import MemoryPrimary
from dnsguard.lab.simulation import Check, Violation

EMPTY = "never empty"
STALE = "forward (contents)"
BACK = "forward (fence)"
PREFIX = "prefix"
HARMLESS = "clean-up is harmless"
HEALED = "self-healing"
WEDGED = "wedged"
BY_GRAVITY = (EMPTY, STALE, WEDGED, HEALED, HARMLESS, BACK, PREFIX)
"""The checks of a scenario, what hurts most first."""


@dataclass(slots=True)
class Ledger:
    """All changes ever accepted, whatever clean-up forgets; those of rejected plans apart."""

    notes: Sequence[Note]
    changes: tuple[Change, ...] = ()
    rejected: tuple[Change, ...] = ()
    newest: int = 0
    _read: int = 0

    def read(self) -> None:
        """Take in what was noted since."""
        while self._read < len(self.notes):
            note = self.notes[self._read]
            self._read += 1
            match note:
                case Note(_, "store.accept", Submission() as submission, Accepted(generation, False)):
                    self._append(submission.plan.rrsets, generation)
                case Note(_, "store.reject", int() as rejected, int() as appended):
                    gone = tuple(change for change in self.changes if change.generation == rejected)
                    self.rejected += gone
                    self.changes = tuple(change for change in self.changes if change.generation != rejected)
                    stood = invariants.standing(self.changes, rejected)
                    newer = {change.key for change in self.changes if change.generation > rejected}
                    back = [(c.key, stood.get(c.key, Absence.WITHDRAWN)) for c in gone if c.key not in newer]
                    self._append(back, appended)

    def _append(self, rrsets: Sequence[tuple[Key, Wanted]], generation: int) -> None:
        self.changes += tuple(Change(key, wanted, generation) for key, wanted in rrsets)
        self.newest = max(self.newest, generation)


@dataclass(slots=True)
class Eye:
    """Looks at one endpoint."""

    key: Key
    primary: MemoryPrimary
    ledger: Ledger
    _contents: object = None
    _fence: Fence | None = None
    _answer: dict[Key, Records] = field(default_factory=dict)
    _origin: dict[Key, int] = field(default_factory=dict)
    _found: tuple[invariants.Violation | None, ...] = (None, None, None, None)

    def never_empty(self, _: Move | None) -> Violation | None:
        """3, never empty."""
        return self._said(0, EMPTY)

    def contents_forward(self, _: Move | None) -> Violation | None:
        """2, forward: no RRset shows contents older than it showed."""
        return self._said(1, STALE)

    def fence_forward(self, _: Move | None) -> Violation | None:
        """2, forward: the fence never goes back."""
        return self._said(2, BACK)

    def prefix(self, _: Move | None) -> Violation | None:
        """1, prefix."""
        return self._said(3, PREFIX)

    def rollback_kept(self, _: Move | None) -> Violation | None:
        """5, clean-up is harmless: what the alias kept for a rollback names is there."""
        alias = Key(rollback_name(self.key.name), "CNAME")
        node = target_of(self.primary.contents.get(alias))
        if node is None or Key(node, self.key.type) in self.primary.contents:
            return None
        return Violation(HARMLESS, f"{alias.name} names {node} for a rollback, and nothing is there any more")

    @property
    def checks(self) -> tuple[Check, ...]:
        """All that it watches for."""
        return (self.never_empty, self.contents_forward, self.fence_forward, self.prefix, self.rollback_kept)

    def _said(self, which: int, name: str) -> Violation | None:
        if self.primary.contents is not self._contents:
            self._look()
        found = self._found[which]
        return None if found is None else Violation(name, found.detail)

    def _look(self) -> None:
        self.ledger.read()
        changes = self.ledger.changes
        contents = self.primary.contents
        fence = seen_in(self.primary.zone, contents).fence
        records = resolved(contents, self.key)
        answer = {} if records is None else {self.key: records}
        origin = invariants.origins(changes, answer, self._origin)
        if self._contents is not None:
            self._found = (
                invariants.never_empty(changes, fence, self._answer, answer),
                invariants.forward(None, None, self._origin, origin),
                invariants.forward(self._fence, fence, {}, {}),
                invariants.prefix(changes, fence, answer, (self.key,), self.ledger.rejected),
            )
        self._contents, self._fence, self._answer = contents, fence, answer
        self._origin = self._origin | origin
