"""How a zone comes into the history.
It is made once, with a history of its own, and never goes.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dnsguard.core.history import Zone
from dnsguard.store.rows import zone_with_backlog
from dnsguard.store.schema import zones


def ensure(conn: sa.Connection, name: str, history: str) -> Zone:
    """Return a zone; insert it if it is not there. Two that do so at once get the same history."""
    insert = postgresql.insert(zones) if conn.dialect.name == "postgresql" else sqlite.insert(zones)
    fresh = {"name": name, "history": history, "newest": 0, "published": 0, "kept_from": 0}
    conn.execute(insert.values(fresh).on_conflict_do_nothing())
    return zone_with_backlog(conn, name)
