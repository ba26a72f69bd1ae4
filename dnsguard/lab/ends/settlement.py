"""What became of the plans of a history in memory: published, superseded, at fault, mended.
The same rules as the SQL store's, on dictionaries; the store asks them in its own single steps.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from dnsguard.core.history import TAKEN_OUT, PlanState
from dnsguard.core.plan import Absence, Before, Change, Wanted, sort_key
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Suspect
from dnsguard.lab.ends.history import MemoryHistory


def mend(history: MemoryHistory, generations: Collection[int], at: float) -> bool:
    """Take the mark of a fault from plans; return whether any had one."""
    found = False
    for generation in generations:
        entry = history.entries.get(generation)
        if entry is not None and entry.state is PlanState.FAULTED:
            history.entries[generation] = replace(
                entry, state=PlanState.PUBLISHED, settled_at=at, why=None, suspects=()
            )
            found = True
    return found


def mark_faulted(
    history: MemoryHistory, generation: int, why: str, at: float, suspects: Sequence[Suspect] = ()
) -> None:
    """Mark a plan at fault: what it wants is still what should be there."""
    entry = history.entries.get(generation)
    if entry is not None and entry.state in {PlanState.ACCEPTED, PlanState.PUBLISHED, PlanState.SUPERSEDED}:
        history.entries[generation] = replace(
            entry, state=PlanState.FAULTED, settled_at=at, why=why, suspects=tuple(suspects)
        )


def owed_by(history: MemoryHistory) -> tuple[Change, ...]:
    """Return what is on record as on the wire by plans that are marked at fault: it may not be there."""
    faulted = {generation for generation, entry in history.entries.items() if entry.state is PlanState.FAULTED}
    owed = [
        Change(key, history.changes[key][head.live], head.live, Before.GONE)
        for key, head in history.heads.items()
        if head.live is not None and head.live in faulted
    ]
    return tuple(sorted(owed, key=lambda change: sort_key(change.key)))


def settle(history: MemoryHistory, reached: int, at: float, faults: Mapping[int, str]) -> None:
    """Settle the plans up to a generation: on the wire, or covered by newer ones before they came there."""
    before = history.zone.published
    contributing: set[int] = set()
    for key in history.changes:
        found = history.newest_change(key, reached)
        if found is not None and found[0] > before:
            generation, wanted = found
            contributing.add(generation)
            head = history.heads[key]
            uncovered = wanted is Absence.UNCOVERED
            head.live, head.held = (None, False) if uncovered else (generation, isinstance(wanted, Records))
            head.adopt = head.adopt and not uncovered
    for generation, entry in history.entries.items():
        if generation in faults and entry.state not in TAKEN_OUT | {PlanState.FAULTED}:
            state, why = PlanState.FAULTED, faults[generation]
        elif before < generation <= reached and entry.state is PlanState.ACCEPTED:
            state, why = PlanState.PUBLISHED if generation in contributing else PlanState.SUPERSEDED, None
        else:
            continue
        history.entries[generation] = replace(entry, state=state, settled_at=at, why=why)


def put_back(
    history: MemoryHistory, own: Mapping[Key, Wanted], generation: int, created: Collection[Key], *, again: bool
) -> dict[Key, Wanted]:
    """Return what to put back: what the newest plan before says, or, if that was tried, what is on the wire."""
    back: dict[Key, Wanted] = {}
    for key in own:
        before = history.newest_change(key, (history.heads[key].live or 0) if again else generation - 1)
        back[key] = Absence.UNCOVERED if before is None else before[1]
        if back[key] is Absence.UNCOVERED and (key in created or _created_before(history, key, own[key], again=again)):
            back[key] = Absence.RETIRED
    return back


def _created_before(history: MemoryHistory, key: Key, wanted: Wanted, *, again: bool) -> bool:
    """Tell whether an RRset was already to be retired because a publication left half-way had created it."""
    return again and history.heads[key].adopt and wanted is Absence.RETIRED


def take_out(history: MemoryHistory, generation: int) -> None:
    """Move a plan's changes out of every state."""
    here = [key for key, changes in history.changes.items() if generation in changes]
    history.turned_down[generation] = {key: history.changes[key].pop(generation) for key in here}


def newest_in(history: MemoryHistory, generation: int) -> dict[Key, Wanted]:
    """Return what a plan wants of those RRsets of which it is the newest."""
    return {key: here[generation] for key, here in history.changes.items() if max(here, default=None) == generation}


def created_before_withdrawal(history: MemoryHistory, generation: int, created: Collection[Key]) -> dict[Key, Wanted]:
    """Return what a publication created before its plan was withdrawn, and what the barrier would leave there."""
    newest = {key: history.newest_change(key, history.zone.newest) for key in created}
    return {
        key: Absence.RETIRED
        for key, found in newest.items()
        if found is not None and found[1] is Absence.UNCOVERED and history.entries[found[0]].reverts == generation
    }
