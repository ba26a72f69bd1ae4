"""What the history says to those who ask: zones, plans, RRsets at a generation, differences, what is pending.
Each is one transaction that writes nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from dnsguard.core.fence import Fence
from dnsguard.core.history import (
    TAKEN_OUT,
    Covered,
    Difference,
    Entry,
    GenerationUnknown,
    Pending,
    PlanState,
    Waiting,
    Zone,
)
from dnsguard.core.plan import Absence, Before, Change, Wanted, sort_key
from dnsguard.core.records import Key, Records
from dnsguard.core.server_effects import companions
from dnsguard.core.withdrawal import Verdict, verdict
from dnsguard.store.rows import (
    chain_at,
    covered_from,
    entry_from,
    newest_between,
    open_withdrawals,
    same_rrset,
    slices,
    under_way,
    wanted_from,
    zone_row,
    zone_with_backlog,
)
from dnsguard.store.schema import changes, plans, rejected, rrsets

_UNCOVERED = Absence.UNCOVERED.value
_CHANGES_SORTED_MAX = 5_000


def plans_below(conn: sa.Connection, zone: str, below: int | None, limit: int) -> tuple[Entry, ...]:
    """Return plans, newest first, of generations below a bound. Raises ZoneUnknown."""
    parts = under_way(zone_row(conn, zone).fence)
    query = sa.select(plans).where(plans.c.zone == zone).order_by(plans.c.generation.desc()).limit(limit)
    if below is not None:
        query = query.where(plans.c.generation < below)
    return tuple(entry_from(row, parts) for row in conn.execute(query))


def plans_of(conn: sa.Connection, zone: str, generations: Collection[int]) -> tuple[Entry, ...]:
    """Return the plans of some generations, without those that have been pruned. Raises ZoneUnknown."""
    parts = under_way(zone_row(conn, zone).fence)
    query = sa.select(plans).where(
        plans.c.zone == zone, plans.c.generation.in_(sa.bindparam("generations", expanding=True))
    )
    found = (row for some in slices(sorted(generations)) for row in conn.execute(query, {"generations": some}))
    return tuple(entry_from(row, parts) for row in found)


def unfinished_plans(conn: sa.Connection, zone: str, limit: int) -> tuple[Entry, ...]:
    """Return the plans that wait, are being withdrawn, or are at fault, oldest first. Raises ZoneUnknown."""
    parts = under_way(zone_row(conn, zone).fence)
    states = (PlanState.WAITING.value, PlanState.WITHDRAWING.value, PlanState.FAULTED.value)
    query = (
        sa.select(plans)
        .where(plans.c.zone == zone, plans.c.state.in_(states))
        .order_by(plans.c.generation)
        .limit(limit)
    )
    return tuple(entry_from(row, parts) for row in conn.execute(query))


def plan_at(
    conn: sa.Connection, zone: str, generation: int, after: Key | None, limit: int | None
) -> tuple[Entry, tuple[Covered, ...]]:
    """Return one plan with those of its RRsets that are kept, a page of them. Raises ZoneUnknown, GenerationUnknown."""
    seen = zone_row(conn, zone)
    row = conn.execute(sa.select(plans).where(plans.c.zone == zone, plans.c.generation == generation)).one_or_none()
    if row is None:
        raise GenerationUnknown(zone, generation, seen.kept_from, seen.newest)
    held = rejected if PlanState(row.state) in TAKEN_OUT else changes
    query = (
        sa.select(held)
        .where(held.c.zone == zone, held.c.generation == generation, *_beyond(held, after))
        .order_by(held.c.name, held.c.type)
        .limit(limit)
    )
    return entry_from(row, under_way(seen.fence)), tuple(covered_from(found) for found in conn.execute(query))


def _beyond(table: sa.FromClause, after: Key | None) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that a row comes after an RRset, if one is given."""
    return () if after is None else (sa.tuple_(table.c.name, table.c.type) > sa.tuple_(after.name, after.type),)


def rrsets_at(
    conn: sa.Connection,
    zone: str,
    *,
    at: int | None,
    name: str | None,
    rdtype: str | None,
    after: Key | None,
    limit: int | None,
) -> tuple[Covered, ...]:
    """Return what is covered at a generation, by name and type. Raises ZoneUnknown, GenerationUnknown."""
    seen = zone_row(conn, zone)
    _reachable(seen, at)
    generation: sa.ColumnElement[int] = rrsets.c.newest
    if at is not None and at < seen.newest:
        generation = _newest_of(rrsets, upto=at)
    query = (
        sa.select(changes)
        .select_from(rrsets)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == generation))
        .where(rrsets.c.zone == zone, changes.c.disposition != _UNCOVERED, *_beyond(rrsets, after))
        .order_by(rrsets.c.name, rrsets.c.type)
        .limit(limit)
    )
    if name is not None:
        query = query.where(rrsets.c.name == name)
    if rdtype is not None:
        query = query.where(rrsets.c.type == rdtype)
    return tuple(covered_from(row) for row in conn.execute(query))


def differences(
    conn: sa.Connection, zone: str, before: int, after: int, beyond: Key | None = None, limit: int | None = None
) -> tuple[Difference, ...]:
    """Return a page of the RRsets that differ between two generations, those after ``beyond``, by name and type.

    Raises ZoneUnknown, GenerationUnknown.
    """
    seen = zone_row(conn, zone)
    _reachable(seen, before)
    _reachable(seen, after)
    low, high = min(before, after), max(before, after)
    late = _changed_between(conn, zone, low, high)
    new, old = changes.alias("new"), changes.alias("old")
    older = _newest_of(late, upto=low)
    columns = ("disposition", "ttl", "rdatas")
    query = (
        sa.select(new, *(old.c[column].label(f"{column}_was") for column in columns))
        .select_from(late)
        .join(new, same_rrset(new, late) & (new.c.generation == late.c.generation))
        .outerjoin(old, same_rrset(old, late) & (old.c.generation == older))
        .where(sa.or_(*(_said(old, column).is_distinct_from(_said(new, column)) for column in columns)))
        .where(*_beyond(late, beyond))
        .order_by(late.c.name, late.c.type)
        .limit(limit)
    )
    found = []
    for row in conn.execute(query):
        is_now = _covered(row.type, row.disposition, row.ttl, row.rdatas)
        was = _covered(row.type, row.disposition_was, row.ttl_was, row.rdatas_was)
        key = Key(row.name, row.type)
        found.append(Difference(key, was, is_now) if before <= after else Difference(key, is_now, was))
    return tuple(found)


def _said(table: sa.FromClause, column: str) -> sa.ColumnElement[Any]:
    """Return what a change says of an RRset in one column; to be uncovered is to say nothing."""
    return sa.func.nullif(table.c.disposition, _UNCOVERED) if column == "disposition" else table.c[column]


def _changed_between(conn: sa.Connection, zone: str, low: int, high: int) -> sa.Subquery:
    """Return each RRset that changed after ``low`` and up to ``high``, with its newest generation there.

    Few changes are found by their generations and cost what changed. Where there are many, a page of them is found in
    the order of the RRsets instead, and costs about as much as the page: all of them need not be sorted for it.
    """
    some = sa.select(changes.c.name).where(
        changes.c.zone == zone, changes.c.generation > low, changes.c.generation <= high
    )
    count = conn.scalar(sa.select(sa.func.count()).select_from(some.limit(_CHANGES_SORTED_MAX + 1).subquery()))
    if count is not None and count <= _CHANGES_SORTED_MAX:
        return newest_between(zone, low, high)
    newest = _newest_of(rrsets, upto=high)
    return (
        sa.select(rrsets.c.zone, rrsets.c.name, rrsets.c.type, newest.label("generation"))
        .where(rrsets.c.zone == zone, rrsets.c.newest > low, newest > low)
        .subquery()
    )


def _newest_of(table: sa.FromClause, *, upto: int) -> sa.ScalarSelect[int]:
    """Return the newest generation that says something of a row's RRset, up to a bound."""
    earlier = changes.alias()
    return (
        sa.select(sa.func.max(earlier.c.generation))
        .where(same_rrset(earlier, table), earlier.c.generation <= upto)
        .correlate(table)
        .scalar_subquery()
    )


def _covered(rdtype: str, disposition: str | None, ttl: int | None, rdatas: bytes | None) -> Wanted | None:
    if disposition is None or disposition == _UNCOVERED:
        return None
    return wanted_from(rdtype, disposition, ttl, rdatas)


def _reachable(seen: sa.Row[Any], generation: int | None) -> None:
    if generation is not None and not seen.kept_from <= generation <= seen.newest:
        raise GenerationUnknown(seen.name, generation, seen.kept_from, seen.newest)


def pending(
    conn: sa.Connection, name: str, fence: Fence | None, target: int | None, *, whole_names: bool = False
) -> Pending:
    """Return what there is to publish from a fence on. Raises ZoneUnknown, GenerationUnknown.

    It also has what stands unchanged and stands or falls with a change; with ``whole_names``, everything that stands
    unchanged at the names at which something changes. Towards a trusted fence everything is restated, whatever it says:
    it counts from other plans.
    """
    zone = zone_with_backlog(conn, name)
    known = None if fence is None else chain_at(conn, name, fence.generation)
    trusted = fence is not None and str(fence) == zone.trusted_fence
    base = 0 if fence is None or trusted else fence.base
    withdrawals = open_withdrawals(conn, name)
    if fence is not None and not trusted and any(verdict(each, fence) is Verdict.TOO_LATE for each in withdrawals):
        return Pending(zone, known, fence.generation, fence.digest, (), record_first=True)
    if target is not None:
        goal = target
    elif fence is None or trusted:
        goal = zone.newest
    elif fence.progress is not None and _resumable(conn, zone, fence):
        goal = fence.generation
    else:
        goal = max(zone.newest, fence.generation)
    digest = chain_at(conn, name, goal)
    if digest is None and fence is not None and goal == fence.generation:
        digest = fence.digest
    elif digest is None and goal == 0 and target is None:
        digest = zone.history
    if digest is None:
        raise GenerationUnknown(name, goal, zone.kept_from, zone.newest)
    # An enactor sees a fence before it is on record: what the wire shows then is newer than the heads' live contents.
    unrecorded = _stood(conn, name, zone.published, base) if zone.published < base < goal else {}
    found = _folded(conn, name, base, goal, unrecorded)
    settled = not found and fence is not None and fence.progress is None and fence.generation == zone.published == goal
    owed = _owed(conn, name) if settled else ()
    waiting = _waiting(conn, name) if settled else ()
    found, owed = (_with_neighbours(conn, name, base, each, whole_names=whole_names) for each in (found, owed))
    return Pending(zone, known, goal, digest, found, owed, waiting=waiting)


def _waiting(conn: sa.Connection, zone: str) -> tuple[Waiting, ...]:
    """Return the plans that wait until their names can be read."""
    query = (
        sa.select(rejected, rrsets.c.live, rrsets.c.held, plans.c.adopt, plans.c.as_found)
        .select_from(plans)
        .join(rejected, (rejected.c.zone == plans.c.zone) & (rejected.c.generation == plans.c.generation))
        .join(rrsets, same_rrset(rrsets, rejected))
        .where(plans.c.zone == zone, plans.c.state == PlanState.WAITING.value)
        .order_by(rejected.c.generation)
    )
    found: dict[int, list[Change]] = {}
    for row in conn.execute(query):
        change = Change(
            Key(row.name, row.type),
            covered_from(row).wanted,
            row.generation,
            _recorded(row),
            row.adopt,
            as_found=row.as_found,
        )
        found.setdefault(row.generation, []).append(change)
    return tuple(
        Waiting(generation, tuple(sorted(changes, key=lambda change: sort_key(change.key))))
        for generation, changes in found.items()
    )


def _recorded(row: sa.Row[Any]) -> Before:
    """Return how an RRset stands on the wire, as its head has it on record."""
    return Before.UNMANAGED if row.live is None else Before.HELD if row.held else Before.GONE


def _owed(conn: sa.Connection, zone: str) -> tuple[Change, ...]:
    """Return what is on record as on the wire by plans that are marked at fault: it may not be there."""
    query = (
        sa.select(changes)
        .select_from(plans)
        .join(changes, (changes.c.zone == plans.c.zone) & (changes.c.generation == plans.c.generation))
        .join(rrsets, same_rrset(rrsets, changes) & (rrsets.c.live == changes.c.generation))
        .where(plans.c.zone == zone, plans.c.state == PlanState.FAULTED.value)
    )
    found = [covered_from(row) for row in conn.execute(query)]
    owed = [Change(covered.key, covered.wanted, covered.generation, Before.GONE) for covered in found]
    return tuple(sorted(owed, key=lambda change: sort_key(change.key)))


def _resumable(conn: sa.Connection, zone: Zone, fence: Fence) -> bool:
    """Tell whether what a publication under way was made of is known to the letter.

    It is not if a restored primary shows one from before the kept history: all that is left of that is made anew.
    """
    return fence.generation >= zone.kept_from and not _turned_down(conn, zone.name, fence.base, fence.generation)


def _turned_down(conn: sa.Connection, zone: str, base: int, upto: int) -> bool:
    """Tell whether a publication may have written what a rejected plan wanted and no newer one covers by then.

    It is not resumed: to finish it with what stood before would show older contents under the same generation.
    """
    newer = (
        sa.select(sa.literal_column("1"))
        .where(
            same_rrset(changes, rejected), changes.c.generation > rejected.c.generation, changes.c.generation <= upto
        )
        .exists()
    )
    found = sa.select(rejected.c.generation).where(
        rejected.c.zone == zone, rejected.c.generation > base, rejected.c.generation <= upto, ~newer
    )
    return conn.execute(found.limit(1)).first() is not None


def _with_neighbours(
    conn: sa.Connection, zone: str, base: int, found: tuple[Change, ...], *, whole_names: bool
) -> tuple[Change, ...]:
    """Add what stands unchanged since ``base``: all at the names of changes, or what stands or falls with them."""
    keys = {change.key for change in found}
    beside = companions(keys)
    names = sorted({key.name for key in (keys if whole_names else beside)})
    query = (
        sa.select(changes)
        .select_from(rrsets)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == _newest_of(rrsets, upto=base)))
        .where(
            rrsets.c.zone == zone,
            rrsets.c.name.in_(sa.bindparam("names", expanding=True)),
            changes.c.disposition == "records",
        )
    )
    neighbours = []
    for some in slices(names):
        for row in conn.execute(query, {"names": some}):
            covered = covered_from(row)
            if covered.key in beside or (whole_names and covered.key not in keys):
                neighbours.append(Change(covered.key, covered.wanted, covered.generation))
    return tuple(sorted((*found, *neighbours), key=lambda change: sort_key(change.key)))


def _folded(
    conn: sa.Connection,
    zone: str,
    base: int,
    goal: int,
    unrecorded: Mapping[Key, Before],
) -> tuple[Change, ...]:
    """Return one change per RRset that changed in a range, as `core.plan.fold` makes them, in publication order.

    What was overtaken is read only where an RRset is not managed yet, and where it therefore matters.
    """
    late = newest_between(zone, base, goal)
    query = (
        sa.select(changes, rrsets.c.live, rrsets.c.held, rrsets.c.adopt, plans.c.as_found)
        .select_from(late)
        .join(rrsets, same_rrset(rrsets, late))
        .join(changes, same_rrset(changes, late) & (changes.c.generation > base))
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .where(
            (changes.c.generation == late.c.generation)
            | (rrsets.c.live.is_(None) & (changes.c.generation < late.c.generation))
        )
        .order_by(changes.c.generation)
    )
    newest: dict[Key, Change] = {}
    earlier: dict[Key, dict[Records, None]] = {}
    for row in conn.execute(query):
        key = Key(row.name, row.type)
        if (older := newest.get(key)) is not None and isinstance(older.wanted, Records):
            earlier.setdefault(key, {})[older.wanted] = None
        before = unrecorded.get(key, _recorded(row))
        wanted = covered_from(row).wanted
        newest[key] = Change(key, wanted, row.generation, before, row.adopt, as_found=row.as_found)
    for key, wanted in _turned_down_between(conn, zone, base, goal):
        if key in newest:
            earlier.setdefault(key, {})[wanted] = None
    for key, found in earlier.items():
        if newest[key].before is Before.UNMANAGED:
            newest[key] = replace(newest[key], earlier=tuple(found))
    return tuple(sorted(newest.values(), key=lambda change: sort_key(change.key)))


def _turned_down_between(conn: sa.Connection, zone: str, above: int, upto: int) -> Iterator[tuple[Key, Records]]:
    """Yield the records that rejected plans wanted: a publication that was left half-way may have written them."""
    query = (
        sa.select(rejected)
        .where(rejected.c.zone == zone, rejected.c.generation > above, rejected.c.generation <= upto)
        .order_by(rejected.c.generation)
    )
    for row in conn.execute(query):
        found = covered_from(row)
        if isinstance(found.wanted, Records):
            yield found.key, found.wanted


_STOOD = {"records": Before.HELD, "retired": Before.GONE, "uncovered": Before.UNMANAGED}


def _stood(conn: sa.Connection, zone: str, above: int, upto: int) -> Mapping[Key, Before]:
    """Return how the RRsets that changed in a range stood at its end."""
    late = newest_between(zone, above, upto)
    query = (
        sa.select(changes.c.name, changes.c.type, changes.c.disposition)
        .select_from(late)
        .join(changes, same_rrset(changes, late) & (changes.c.generation == late.c.generation))
    )
    return {Key(row.name, row.type): _STOOD[row.disposition] for row in conn.execute(query)}
