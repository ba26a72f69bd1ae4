"""How far name servers follow, on record: forward only, and never ahead of what is published.
A name server's answer comes in here as a number that was judged already; nothing here asks one.
"""

from collections.abc import Collection

import sqlalchemy as sa

from dnsguard.core.fence import Fence
from dnsguard.core.history import TAKEN_OUT
from dnsguard.core.propagation import Tracked
from dnsguard.store.database import Moved
from dnsguard.store.rows import claim, zone_row, zone_with_backlog
from dnsguard.store.schema import plans, served
from dnsguard.store.settle import of_this_history


def track(conn: sa.Connection, name: str, fences: Collection[Fence], generations: Collection[int]) -> Tracked:
    """Say which fences are of this history, and since when there is something newer. Raises ZoneUnknown."""
    zone = zone_with_backlog(conn, name)
    ours = frozenset(fence for fence in fences if of_this_history(conn, zone, fence))
    after = {generation: _published_after(conn, zone.name, generation, zone.published) for generation in generations}
    found = conn.execute(sa.select(served.c.server, served.c.generation).where(served.c.zone == name))
    return Tracked(
        zone,
        ours,
        {generation: at for generation, at in after.items() if at is not None},
        {row.server: row.generation for row in found},
    )


def _published_after(conn: sa.Connection, zone: str, generation: int, published: int) -> float | None:
    """Return when the first generation after one was published, as far as the history is kept."""
    if generation >= published:
        return None
    query = (
        sa.select(plans.c.settled_at)
        .where(
            plans.c.zone == zone,
            plans.c.generation > generation,
            plans.c.generation <= published,
            plans.c.state.not_in([state.value for state in TAKEN_OUT]),
        )
        .order_by(plans.c.generation)
        .limit(1)
    )
    at: float | None = conn.scalar(query)
    return at


def propagate(conn: sa.Connection, zone: str, generation: int, servers: Collection[str], at: float) -> bool:
    """Record that all listed name servers serve a generation; return whether it was news. Raises ZoneUnknown, Moved."""
    seen = zone_row(conn, zone)
    if not seen.propagated < generation <= seen.published:
        return False
    # Two daemons that saw different generations come here in any order; the one that lost looks again.
    if not claim(conn, seen, ("propagated",), {"propagated": generation, "propagated_at": at}):
        raise Moved
    conn.execute(
        sa.update(plans)
        .where(
            plans.c.zone == zone,
            plans.c.generation > seen.propagated,
            plans.c.generation <= generation,
            plans.c.state.not_in([state.value for state in TAKEN_OUT]),
        )
        .values(propagated_at=at)
    )
    known = {
        row.server: row.generation
        for row in conn.execute(sa.select(served.c.server, served.c.generation).where(served.c.zone == zone))
    }
    for server in servers:
        if server not in known:
            conn.execute(sa.insert(served).values(zone=zone, server=server, generation=generation))
        elif known[server] < generation:
            mine = (served.c.zone == zone) & (served.c.server == server)
            conn.execute(sa.update(served).where(mine).values(generation=generation))
    return True
