"""Reads back from a database what a watch asks of a history, in the shape in which it is in memory.
It only reads, between one effect and the next, and tells nobody in the simulation what it has seen.
"""

import sqlalchemy as sa

from dnsguard.core.records import Key
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.store.rows import entry_from, under_way, wanted_from, zone_with_backlog
from dnsguard.store.schema import changes, plans

_PLANS = sa.select(plans).where(plans.c.zone == sa.bindparam("zone"))
_CHANGES = sa.select(
    changes.c.name, changes.c.type, changes.c.generation, changes.c.disposition, changes.c.ttl, changes.c.rdatas
).where(changes.c.zone == sa.bindparam("zone"))


def history_of(conn: sa.Connection, zone: str) -> MemoryHistory:
    """Return a zone's plans and what they say, as they are now; heads and repetitions are left out."""
    history = MemoryHistory(zone_with_backlog(conn, zone))
    parts = under_way(history.zone.fence)
    for row in conn.execute(_PLANS, {"zone": zone}):
        history.entries[row.generation] = entry_from(row, parts)
        history.chains[row.generation] = row.chain
    for name, rdtype, generation, *contents in conn.execute(_CHANGES, {"zone": zone}):
        history.changes.setdefault(Key(name, rdtype), {})[generation] = wanted_from(rdtype, *contents)
    return history
