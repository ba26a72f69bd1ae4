"""What is put back when a plan is taken out of the history: what stood before it, as a plan of its own."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from dnsguard.core.history import PlanState, Submission
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.records import Key
from dnsguard.store.ledger import Ledger, open_ledger
from dnsguard.store.rows import same_rrset, wanted_from
from dnsguard.store.schema import changes, plans, rejected, rrsets

ACTOR = "dnsguard"


def move(
    conn: sa.Connection,
    zone: str,
    generation: int,
    before: PlanState,
    after: PlanState,
    why: str | sa.ColumnElement[str | None] | None,
    settled_at: float | None,
) -> bool:
    """Bring a plan from one state into another; return whether it was in the first."""
    return (
        conn.execute(
            sa.update(plans)
            .where(plans.c.zone == zone, plans.c.generation == generation, plans.c.state == before.value)
            .values(state=after.value, why=why, settled_at=settled_at, suspects=None)
        ).rowcount
        == 1
    )


def append_put_back(
    ledger: Ledger, put_back: dict[Key, tuple[Wanted, bool]], reason: str, actor: str, at: float, generation: int
) -> int:
    """Note a plan that puts back what stood before a generation; return its own."""
    plan = make_plan(ledger.seen.name, {key: wanted for key, (wanted, _) in put_back.items()}, reason=reason)
    ledger.adopting -= put_back.keys()
    ledger.adopting |= {key for key, (_, adopting) in put_back.items() if adopting}
    appended = ledger.newest + 1
    ledger.append(Submission(plan, actor, at), appended, reverts=generation)
    return appended


def take_out(conn: sa.Connection, zone: str, generation: int) -> None:
    """Move a plan's changes out of every state."""
    mine = (changes.c.zone == zone) & (changes.c.generation == generation)
    columns = [column.name for column in rejected.columns]
    conn.execute(
        sa.insert(rejected).from_select(columns, sa.select(*(changes.c[name] for name in columns)).where(mine))
    )
    conn.execute(sa.delete(changes).where(mine))


def is_taken_out(conn: sa.Connection, zone: str, generation: int) -> bool:
    """Tell whether no state is made of a plan's changes any more."""
    mine = (rejected.c.zone == zone) & (rejected.c.generation == generation)
    return conn.execute(sa.select(sa.literal(1)).where(mine).limit(1)).first() is not None


def open_plan(conn: sa.Connection, zone: str, generation: int) -> tuple[Ledger, sa.Row[Any, Any, Any] | None]:
    """Read a plan's row, None if there is none, and how the zone stands at its names. Raises ZoneUnknown, Moved."""
    names = sa.select(changes.c.name).where(changes.c.zone == zone, changes.c.generation == generation).distinct()
    ledger = open_ledger(conn, zone, conn.scalars(names).all())
    query = sa.select(plans.c.state, plans.c.reverts, plans.c.rrsets).where(
        plans.c.zone == zone, plans.c.generation == generation
    )
    return ledger, conn.execute(query).one_or_none()


def stood_before(
    conn: sa.Connection, seen: sa.Row[Any], generation: int, created: Collection[Key], *, again: bool
) -> tuple[dict[Key, Wanted], dict[Key, tuple[Wanted, bool]]]:
    """Return the RRsets of which a plan is the newest, and what to put back there and whether it may be taken over.

    That is what the newest plan before it says. If there is none, the RRset is nobody's again; but what a
    publication created is retired, or it would stay on the wire for ever.
    ``again``: a plan that puts back was refused itself, so go to what is on record as published at once, or the
    same contents would be tried for ever.
    """
    newest_here = (rrsets.c.zone == seen.name) & (rrsets.c.newest == generation)
    mine = changes.alias("mine")
    heads = {
        Key(row.name, row.type): row
        for row in conn.execute(
            sa.select(rrsets, mine.c.disposition, mine.c.ttl, mine.c.rdatas)
            .select_from(mine)
            .join(rrsets, same_rrset(rrsets, mine) & newest_here)
            .where(mine.c.zone == seen.name, mine.c.generation == generation)
        )
    }
    ours = {
        key
        for key, row in heads.items()
        if key in created or (again and row.adopt and row.disposition == Absence.RETIRED.value)
    }
    nothing: dict[Key, tuple[Wanted, bool]] = {
        key: (Absence.RETIRED, True) if key in ours else (Absence.UNCOVERED, False) for key in heads
    }
    found = dict(nothing)
    earlier = (
        sa.select(changes, plans.c.adopt)
        .select_from(mine)
        .join(changes, same_rrset(changes, mine) & (changes.c.generation < generation))
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .join(rrsets, same_rrset(rrsets, mine) & newest_here)
        .where(
            mine.c.zone == seen.name,
            mine.c.generation == generation,
            (changes.c.generation > seen.published) | (changes.c.generation == rrsets.c.live),
        )
        .order_by(changes.c.generation)
    )
    for row in conn.execute(earlier):
        key = Key(row.name, row.type)
        if row.generation == heads[key].live or not again:
            wanted = wanted_from(row.type, row.disposition, row.ttl, row.rdatas)
            stood = wanted is not Absence.UNCOVERED
            found[key] = (wanted, row.adopt or found[key][1]) if stood else nothing[key]
    own = {key: wanted_from(row.type, row.disposition, row.ttl, row.rdatas) for key, row in heads.items()}
    return own, found
