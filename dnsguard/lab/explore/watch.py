"""What is watched in a scenario: after every effect the invariants are asked of what a client of each endpoint would
find and of what the history has; what was seen is a value, so that a search can go on from it. It looks at the ends
themselves and at what was answered, never at what a worker believes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dnsguard.core import invariants
from dnsguard.core.fence import Fence
from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.layout import resolved, rollback_name, target_of
from dnsguard.core.plan import Absence, Change, Wanted, fold
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.withdrawal import Withdrawal
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.scheduler.simulation import Violation

EMPTY = "never empty"
STALE = "forward (contents)"
BACK = "forward (fence)"
PREFIX = "prefix"
LOST = "nothing lost"
HARMLESS = "clean-up is harmless"
HEALED = "self-healing"
ACCOUNTABLE = "accountable"
WEDGED = "wedged"
REFUSED = "no false refusal"
BY_GRAVITY = (EMPTY, STALE, WEDGED, HEALED, LOST, REFUSED, HARMLESS, ACCOUNTABLE, BACK, PREFIX)
"""The checks of a scenario, what hurts most first."""
WATCHED = (EMPTY, STALE, BACK, PREFIX, LOST, REFUSED, HARMLESS, ACCOUNTABLE)
"""Those that are asked after every effect; the others are asked at the end of a run, by trying it."""
REMEMBERED = frozenset({"store.accept", "store.reject", "store.withdraw"})
"""The effects of which a watch must hear: what was promised, and what was taken back."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All changes ever accepted, whatever clean-up forgets; those of rejected plans apart."""

    changes: tuple[Change, ...] = ()
    rejected: tuple[Change, ...] = ()
    acknowledged: tuple[int, ...] = ()
    """The generations of plans that were answered with yes."""
    newest: int = 0
    withdrawals: tuple[Withdrawal, ...] = ()
    """Those of which it is not known yet what became of them."""
    withdrawn: tuple[Change, ...] = ()

    def after(self, note: Note) -> "Ledger":
        """Take in one effect."""
        match note:
            case Note(_, "store.accept", Submission() as submission, Accepted(generation, False)):
                kept = replace(self, acknowledged=(*self.acknowledged, generation))
                return kept.with_more(submission.plan.rrsets, generation)
            case Note(_, "store.reject", int() as rejected, int() as appended):
                gone = tuple(change for change in self.changes if change.generation == rejected)
                left = tuple(change for change in self.changes if change.generation != rejected)
                stood = invariants.standing(left, rejected)
                newer = {change.key for change in left if change.generation > rejected}
                back = [(c.key, stood.get(c.key, Absence.UNCOVERED)) for c in gone if c.key not in newer]
                kept = replace(self, changes=left, rejected=(*self.rejected, *gone))
                return kept.with_more(back, appended) if back else kept
            case Note(_, "store.withdraw", int() as generation, None):
                stood = invariants.standing(self.changes, generation - 1)
                back = [
                    (c.key, stood.get(c.key, Absence.UNCOVERED))
                    for c in fold(self.changes)
                    if c.generation == generation
                ]
                more = self.with_more(back, self.newest + 1)
                withdrawals = (*self.withdrawals, Withdrawal(generation, more.newest))
                return replace(more, withdrawals=withdrawals)
        return self

    def settled(self, history: MemoryHistory) -> "Ledger":
        """Take in what became of withdrawals, as the history says."""
        ledger = self
        for each in self.withdrawals:
            entry, barrier = history.entries.get(each.generation), history.entries.get(each.barrier)
            if entry is not None and entry.state is PlanState.WITHDRAWING:
                continue
            left = tuple(other for other in ledger.withdrawals if other != each)
            ledger = replace(ledger, withdrawals=left)
            if entry is not None and entry.state is PlanState.WITHDRAWN:
                gone = tuple(change for change in ledger.changes if change.generation == each.generation)
                ledger = ledger.without(gone)
                ledger = replace(ledger, withdrawn=(*ledger.withdrawn, *gone))
            elif barrier is not None and barrier.state is PlanState.REJECTED:
                gone = tuple(change for change in ledger.changes if change.generation == each.barrier)
                said = {change.key: change.wanted for change in ledger.changes if change.generation == each.generation}
                ledger = ledger.without(gone)
                if gone:
                    ledger = ledger.with_more([(change.key, said[change.key]) for change in gone], ledger.newest + 1)
        return ledger

    def without(self, gone: tuple[Change, ...]) -> "Ledger":
        """Take changes out of every state."""
        left = tuple(change for change in self.changes if change not in gone)
        return replace(self, changes=left, rejected=(*self.rejected, *gone))

    def with_more(self, rrsets: Iterable[tuple[Key, Wanted]], generation: int) -> "Ledger":
        """Add what a plan says."""
        more = tuple(Change(key, wanted, generation) for key, wanted in rrsets)
        return replace(self, changes=(*self.changes, *more), newest=max(self.newest, generation))


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen of the endpoints so far.

    ``keep`` is how many generations the policy promises to keep for a rollback.
    """

    zone: str
    keys: tuple[Key, ...]
    keep: int
    ledger: Ledger
    fence: Fence | None = None
    answers: tuple[Records | None, ...] | None = None
    """What a client finds at each endpoint; None before the first look."""
    origins: tuple[int | None, ...] = ()
    """The generation from which each endpoint's contents came when it last had any."""

    def after(
        self, notes: Iterable[Note], contents: Mapping[Key, Records], history: MemoryHistory
    ) -> "tuple[Watch, tuple[Violation, ...]]":
        """Look again; return what was seen, and what is wrong."""
        ledger = self.ledger
        broken: list[Violation | None] = []
        for note in notes:
            if note.act in REMEMBERED:
                ledger = ledger.after(note)
                broken.append(_falsely_refused(note))
        ledger = ledger.settled(history)
        fence = seen_in(self.zone, contents).fence
        answers = tuple(resolved(contents, key) for key in self.keys)
        shown = _found(self.keys, answers)
        before = {key: origin for key, origin in zip(self.keys, self.origins, strict=False) if origin is not None}
        came_from = before | invariants.origins(ledger.changes, shown, before)
        if self.answers is not None:
            broken += (
                _named(EMPTY, invariants.never_empty(ledger.changes, fence, _found(self.keys, self.answers), shown)),
                _named(STALE, invariants.forward(None, None, before, came_from)),
                _named(BACK, invariants.forward(self.fence, fence, {}, {})),
            )
        broken += (
            _named(PREFIX, invariants.prefix(ledger.changes, fence, shown, self.keys, ledger.rejected)),
            *(_rollback_kept(key, contents) for key in self.keys),
        )
        broken.append(_named(LOST, invariants.unpublished(ledger.changes, ledger.withdrawn, shown)))
        broken += _of_history(ledger, fence, shown, history, self.keep)
        seen = Watch(
            self.zone,
            self.keys,
            self.keep,
            ledger,
            fence,
            answers,
            tuple(came_from.get(key) for key in self.keys),
        )
        return seen, tuple(each for each in broken if each is not None)


def _found(keys: tuple[Key, ...], answers: tuple[Records | None, ...]) -> dict[Key, Records]:
    return {key: answer for key, answer in zip(keys, answers, strict=True) if answer is not None}


def _named(name: str, broken: invariants.Violation | None) -> Violation | None:
    return None if broken is None else Violation(name, broken.detail)


def _falsely_refused(note: Note) -> Violation | None:
    """Every plan of a scenario is lawful, and only dnsguard writes to its zone: no guard has a reason to refuse one."""
    match note:
        case Note(_, "store.accept", Submission(), Refusal(guard, detail)):
            return Violation(REFUSED, f"a plan is refused by {guard} although nobody else writes: {detail}")
    return None


def _rollback_kept(key: Key, contents: Mapping[Key, Records]) -> Violation | None:
    """5, clean-up is harmless: what the alias kept for a rollback names is there."""
    alias = Key(rollback_name(key.name), "CNAME")
    node = target_of(contents.get(alias))
    if node is None or Key(node, key.type) in contents:
        return None
    return Violation(HARMLESS, f"{alias.name} names {node} for a rollback, and nothing is there any more")


def _of_history(
    ledger: Ledger, fence: Fence | None, shown: Mapping[Key, Records], history: MemoryHistory, keep: int
) -> list[Violation | None]:
    """4, 5 and 7: nothing acknowledged is gone; every state that is live or promised is as it was accepted; and
    what clients find comes from a plan that the history can account for.
    """
    zone = history.zone
    kept = changes_of(history)
    live = 0 if fence is None else fence.base
    promised = range(max(1, min(live, zone.newest - keep)), zone.newest + 1)
    said = [
        change for change in (*kept, *ledger.rejected) if fence is not None and change.generation <= fence.generation
    ]
    covered = {} if fence is None else invariants.standing(said, fence.base)
    return [
        _named(LOST, invariants.nothing_lost(ledger.acknowledged, history.entries, zone.kept_from)),
        _named(HARMLESS, invariants.cleanup_harmless(ledger.changes, kept, promised)),
        _named(ACCOUNTABLE, invariants.accountable(said, history.entries, shown, covered.keys())),
    ]


def changes_of(history: MemoryHistory) -> tuple[Change, ...]:
    """Return every change that a history has."""
    return tuple(
        Change(key, wanted, generation)
        for key, changes in history.changes.items()
        for generation, wanted in changes.items()
    )
