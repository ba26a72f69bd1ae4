"""What a history in memory has to publish: the changes from a fence on, and how each stands on the wire there.
The same rules as the SQL store's, on dictionaries.
"""

from dataclasses import replace

from dnsguard.core.fence import Fence
from dnsguard.core.history import PlanState, Waiting
from dnsguard.core.plan import Absence, Before, Change, fold, sort_key
from dnsguard.core.records import Key, Records
from dnsguard.core.server_effects import companions
from dnsguard.lab.ends.history import Head, MemoryHistory


def changes_between(history: MemoryHistory, base: int, target: int) -> tuple[Change, ...]:
    """Return what is to be published to come from one generation to another, and how it stands before."""
    found = []
    for key, changes in history.changes.items():
        head = history.heads[key]
        before = _before(history, key, base)
        found += [
            Change(key, wanted, generation, before, head.adopt, as_found=generation in history.as_found)
            for generation, wanted in changes.items()
            if base < generation <= target
        ]
    return tuple(_with_turned_down(history, change, base, target) for change in fold(found))


def waiting_plans(history: MemoryHistory) -> tuple[Waiting, ...]:
    """Return the plans that wait until their names can be read."""
    found = []
    for generation, entry in sorted(history.entries.items()):
        if entry.state is PlanState.WAITING:
            changes = [
                Change(
                    key,
                    wanted,
                    generation,
                    _recorded(history.heads[key]),
                    generation in history.adopt,
                    as_found=generation in history.as_found,
                )
                for key, wanted in history.turned_down[generation].items()
            ]
            found.append(Waiting(generation, tuple(sorted(changes, key=lambda change: sort_key(change.key)))))
    return tuple(found)


def _recorded(head: Head) -> Before:
    """Return how an RRset stands on the wire, as its head has it on record."""
    return Before.UNMANAGED if head.live is None else Before.HELD if head.held else Before.GONE


def resumable(history: MemoryHistory, fence: Fence) -> bool:
    """Tell whether what a publication under way was made of is known to the letter.

    It is not if a restored primary shows one from before the kept history: all that is left of that is made anew.
    """
    kept = fence.generation >= history.zone.kept_from
    return kept and not _turned_down(history, fence.base, fence.generation)


def _before(history: MemoryHistory, key: Key, base: int) -> Before:
    """Return how an RRset stands on the wire at a fence, which may be ahead of the record."""
    unrecorded = history.newest_change(key, base)
    if unrecorded is not None and unrecorded[0] > history.zone.published:
        match unrecorded[1]:
            case Absence.UNCOVERED:
                return Before.UNMANAGED
            case Absence.RETIRED:
                return Before.GONE
            case Records():
                return Before.HELD
    return _recorded(history.heads[key])


def _turned_down(history: MemoryHistory, base: int, upto: int) -> bool:
    """Tell whether a publication may have written what a rejected plan wanted and no newer one covers by then."""
    return any(
        not any(generation < newer <= upto for newer in history.changes[key])
        for generation, keys in history.turned_down.items()
        if base < generation <= upto
        for key in keys
    )


def _with_turned_down(history: MemoryHistory, change: Change, base: int, target: int) -> Change:
    """Add what rejected plans wanted at an RRset that is not managed yet: a publication may have written it."""
    if change.before is not Before.UNMANAGED:
        return change
    wanted = [
        here[change.key]
        for generation, here in sorted(history.turned_down.items())
        if base < generation <= target and change.key in here
    ]
    found = tuple(dict.fromkeys((*change.earlier, *(each for each in wanted if isinstance(each, Records)))))
    return replace(change, earlier=found)


def with_neighbours(
    history: MemoryHistory, changes: tuple[Change, ...], base: int, *, whole_names: bool
) -> tuple[Change, ...]:
    """Add what stands unchanged: all at the names at which something changes, or what stands or falls with a change."""
    names, keys = {change.key.name for change in changes}, {change.key for change in changes}
    beside = companions(keys)
    neighbours = []
    for key in history.changes:
        wanted = key in beside or (whole_names and key.name in names and key not in keys)
        found = history.newest_change(key, base) if wanted else None
        if found is not None and isinstance(found[1], Records):
            neighbours.append(Change(key, found[1], found[0]))
    return tuple(sorted((*changes, *neighbours), key=lambda change: sort_key(change.key)))
