"""What a verifier asks of the history beside a state: what may stand while a publication is under way, and which
repairs there were. Each is one transaction that writes nothing.
"""

import sqlalchemy as sa

from dnsguard.core.history import Covered
from dnsguard.core.records import Key
from dnsguard.core.repair import ACTOR, REASON
from dnsguard.store.rows import covered_from, zone_row
from dnsguard.store.schema import changes, plans, rejected


def contents_between(conn: sa.Connection, zone: str, above: int, upto: int) -> tuple[Covered, ...]:
    """Return whatever plans of a range of generations want, rejected ones included, oldest first.

    A publication from ``above`` on that was overtaken or rejected may have left any of it. Raises ZoneUnknown.
    """
    zone_row(conn, zone)
    found = [
        covered_from(row)
        for table in (changes, rejected)
        for row in conn.execute(
            sa.select(table).where(table.c.zone == zone, table.c.generation > above, table.c.generation <= upto)
        )
    ]
    return tuple(sorted(found, key=lambda covered: (covered.generation, covered.key)))


def repairs_since(conn: sa.Connection, zone: str, since: float) -> dict[Key, tuple[float, ...]]:
    """Return when each RRset was repaired since a time, oldest first. Raises ZoneUnknown."""
    zone_row(conn, zone)
    query = (
        sa.select(changes.c.name, changes.c.type, plans.c.accepted_at)
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .where(
            plans.c.zone == zone,
            plans.c.actor == ACTOR,
            plans.c.accepted_at >= since,
            plans.c.reason.startswith(REASON, autoescape=True),
        )
        .order_by(plans.c.accepted_at)
    )
    found: dict[Key, tuple[float, ...]] = {}
    for row in conn.execute(query):
        key = Key(row.name, row.type)
        found[key] = (*found.get(key, ()), row.accepted_at)
    return found
