"""Rows and values: how contents lie in a column, and how a row becomes one of core's frozen values.
Contents are wire octets, each rdata with its length before it; nothing is parsed again when it is read.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from dnsguard.core.fence import fence_from_text
from dnsguard.core.history import Covered, Entry, PlanState, Zone, ZoneUnknown
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records, stored_records
from dnsguard.core.refusal import Suspect
from dnsguard.core.withdrawal import Withdrawal
from dnsguard.store.schema import changes, plans, rejected, zones

NAMES_AT_ONCE = 500
"""How many values go into one IN list; SQLite takes 999 parameters in its oldest builds."""

Item = TypeVar("Item")

_PROPAGATION = ("propagated", "propagated_at")
_NOT_OF_ZONE = frozenset({*_PROPAGATION, "unchanged_answers"})
_PENDING = (PlanState.ACCEPTED, PlanState.WITHDRAWING)


def slices(items: Sequence[Item], size: int = NAMES_AT_ONCE) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def contents_row(wanted: Wanted) -> dict[str, Any]:
    """Return the columns of a change that hold what is wanted."""
    match wanted:
        case Absence():
            return {"disposition": wanted.value, "ttl": None, "rdatas": None}
        case Records(ttl, rdatas):
            octets = b"".join(struct.pack("!H", len(rdata)) + rdata for rdata in rdatas)
            return {"disposition": "records", "ttl": ttl, "rdatas": octets}


def wanted_from(rdtype: str, disposition: str, ttl: int | None, rdatas: bytes | None) -> Wanted:
    """Return what the columns of a change say is wanted of an RRset of a type."""
    if ttl is None or rdatas is None:
        return Absence(disposition)
    found, at = [], 0
    while at < len(rdatas):
        end = at + 2 + int.from_bytes(rdatas[at : at + 2], "big")
        found.append(rdatas[at + 2 : end])
        at = end
    return stored_records(rdtype, ttl, tuple(found))


def covered_from(row: sa.Row[Any]) -> Covered:
    """Return an RRset with its contents from a row with the columns of a change."""
    return Covered(Key(row.name, row.type), wanted_from(row.type, row.disposition, row.ttl, row.rdatas), row.generation)


def zone_row(conn: sa.Connection, name: str) -> sa.Row[Any]:
    """Return a zone's own row. Raises ZoneUnknown."""
    row = conn.execute(sa.select(zones).where(zones.c.name == name)).one_or_none()
    if row is None:
        raise ZoneUnknown(name)
    return row


def zones_with_backlog(conn: sa.Connection, name: str | None = None) -> tuple[Zone, ...]:
    """Return one zone or all, by name, with what is accepted and not settled."""
    query = sa.select(
        *(column for column in zones.columns if column.name not in _NOT_OF_ZONE),
        _of_plans(sa.func.count(), *_PENDING).label("pending"),
        _of_plans(sa.func.min(plans.c.accepted_at), *_PENDING).label("oldest"),
        *(zones.c[name] for name in _PROPAGATION),
        _of_plans(sa.func.count(), PlanState.WAITING).label("waiting"),
        _of_plans(sa.func.count(), PlanState.FAULTED).label("faulted"),
        _of_plans(sa.func.count(), PlanState.WITHDRAWING).label("withdrawing"),
    ).order_by(zones.c.name)
    if name is not None:
        query = query.where(zones.c.name == name)
    return tuple(Zone(*row) for row in conn.execute(query))


def _of_plans(what: sa.ColumnElement[Any], *states: PlanState) -> sa.ScalarSelect[Any]:
    """Return the query for something about a zone's plans in some states."""
    mine = (plans.c.zone == zones.c.name) & plans.c.state.in_([state.value for state in states])
    return sa.select(what).select_from(plans).where(mine).correlate(zones).scalar_subquery()


def zone_with_backlog(conn: sa.Connection, name: str) -> Zone:
    """Return one zone with what is accepted and not settled. Raises ZoneUnknown."""
    found = zones_with_backlog(conn, name)
    if not found:
        raise ZoneUnknown(name)
    return found[0]


def entry_from(row: sa.Row[Any], under_way: range) -> Entry:
    """Return a plan's entry; ``under_way`` has the generations that a publication in parts is made of."""
    state = PlanState(row.state)
    if state is PlanState.ACCEPTED and row.generation in under_way:
        state = PlanState.PUBLISHING
    return Entry(
        row.zone,
        row.generation,
        row.actor,
        row.reason,
        row.accepted_at,
        row.based_on,
        row.digest,
        state,
        row.settled_at,
        row.why,
        row.rrsets,
        row.reverts,
        row.propagated_at,
        tuple(Suspect(Key(name, rdtype), reason) for name, rdtype, reason in row.suspects or ()),
    )


def under_way(fence: str | None) -> range:
    """Return the generations that are being published in several messages, as the recorded fence says."""
    seen = fence_from_text(fence)
    return range(0) if seen is None else range(seen.base + 1, seen.generation + 1)


def chain_at(conn: sa.Connection, zone: str, generation: int) -> str | None:
    """Return the chain digest of a generation, None if the history has no such plan, or no longer."""
    return conn.scalar(sa.select(plans.c.chain).where(plans.c.zone == zone, plans.c.generation == generation))


def open_withdrawals(conn: sa.Connection, zone: str) -> tuple[Withdrawal, ...]:
    """Return the withdrawals of which the fence has not yet been recorded to say what became of them."""
    barrier = plans.alias("barrier")
    newest = sa.select(sa.func.max(barrier.c.generation)).where(
        barrier.c.zone == plans.c.zone, barrier.c.reverts == plans.c.generation
    )
    taken_out = sa.exists().where(rejected.c.zone == plans.c.zone, rejected.c.generation == plans.c.generation)
    query = sa.select(plans.c.generation, newest.correlate(plans).scalar_subquery(), taken_out.correlate(plans)).where(
        plans.c.zone == zone, plans.c.state == PlanState.WITHDRAWING.value
    )
    return tuple(Withdrawal(*row) for row in sorted(conn.execute(query)))


def same_rrset(one: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return the condition that two tables' rows are of the same RRset."""
    return sa.and_(one.c.zone == other.c.zone, one.c.name == other.c.name, one.c.type == other.c.type)


def newest_between(zone: str, above: int, upto: int) -> sa.Subquery:
    """Return each RRset that changed after ``above`` and up to ``upto``, with its newest generation there.

    Reads the index on generations: it costs what changed, whatever the size of the zone.
    """
    return (
        sa.select(changes.c.zone, changes.c.name, changes.c.type, sa.func.max(changes.c.generation).label("generation"))
        .where(changes.c.zone == zone, changes.c.generation > above, changes.c.generation <= upto)
        .group_by(changes.c.zone, changes.c.name, changes.c.type)
        .subquery()
    )


def claim(conn: sa.Connection, seen: sa.Row[Any], believing: Sequence[str], values: Mapping[str, Any]) -> bool:
    """Write a zone's row if it still is as it was seen in the columns that the transaction relies on.

    Two transactions that both read generation 41 come here; one of them finds no row any more, and starts again.
    """
    still = [zones.c[column] == getattr(seen, column) for column in believing]
    return conn.execute(sa.update(zones).where(zones.c.name == seen.name, *still).values(values)).rowcount == 1
