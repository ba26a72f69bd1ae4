"""Forgetting history that no state at or above a generation is made of.
A change goes only when a newer one of the same RRset is at or below the bound; what is live or newest the database
itself would refuse to delete. Retirements stay: they say that an absence is wanted.
"""

from typing import Any

import sqlalchemy as sa

from dnsguard.core.history import UNSETTLED, PlanState
from dnsguard.store.database import Moved
from dnsguard.store.rows import claim, same_rrset, slices, zone_row
from dnsguard.store.schema import changes, plans, rejected

CHANGES_AT_ONCE = 5_000


def prune_slice(conn: sa.Connection, zone: str, upto: int) -> tuple[int, bool]:
    """Raise ``kept_from`` towards a bound by a bounded slice; return how many rows went, and whether it is there.

    The cost is of the changes in the slice: what was superseded below ``kept_from`` went before. Raises
    ZoneUnknown, Moved.
    """
    seen = zone_row(conn, zone)
    bound = min(upto, seen.published)
    if bound <= seen.kept_from:
        return 0, True
    nth = conn.scalar(
        sa.select(changes.c.generation)
        .where(changes.c.zone == zone, changes.c.generation > seen.kept_from, changes.c.generation < bound)
        .order_by(changes.c.generation)
        .offset(CHANGES_AT_ONCE)
        .limit(1)
    )
    end = bound if nth is None else nth
    if not claim(conn, seen, ("kept_from", "published"), {"kept_from": end}):
        raise Moved
    return _forget(conn, seen, end), end == bound


def _forget(conn: sa.Connection, seen: sa.Row[Any], end: int) -> int:
    newer, old = changes.alias("newer"), changes.alias("old")
    superseded = (
        sa.select(old.c.zone, old.c.name, old.c.type, old.c.generation)
        .select_from(newer)
        .join(old, same_rrset(old, newer) & (old.c.generation < newer.c.generation))
        .where(newer.c.zone == seen.name, newer.c.generation > seen.kept_from, newer.c.generation <= end)
    )
    key = sa.tuple_(changes.c.zone, changes.c.name, changes.c.type, changes.c.generation)
    gone = conn.scalars(sa.delete(changes).where(key.in_(superseded)).returning(changes.c.generation)).all()
    waiting = sa.select(plans.c.generation).where(plans.c.zone == seen.name, plans.c.state == PlanState.WAITING.value)
    turned_down = conn.scalars(
        sa.delete(rejected)
        .where(rejected.c.zone == seen.name, rejected.c.generation < end, rejected.c.generation.not_in(waiting))
        .returning(rejected.c.generation)
    ).all()
    rows = len(gone) + len(turned_down)
    # The plan at ``published``, whose digest a fence may name, is not below ``end`` and stays.
    empty = ~(
        sa.select(sa.literal(1))
        .where(changes.c.zone == plans.c.zone, changes.c.generation == plans.c.generation)
        .exists()
    )
    for some in slices(sorted({*gone, *turned_down})):
        rows += conn.execute(
            sa.delete(plans).where(
                plans.c.zone == seen.name,
                plans.c.generation.in_(some),
                plans.c.generation < end,
                plans.c.state.not_in([state.value for state in UNSETTLED]),
                empty,
            )
        ).rowcount
    return rows
