"""The daemons that work on a history: each says every few seconds that it is there.
Nothing is decided by what stands here; a daemon that is not listed may do everything.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from dnsguard.core.roster import Daemon
from dnsguard.store.schema import compatibility, daemons

FORGOTTEN_S = 86_400.0
"""A daemon that was not seen for so long is not listed any more."""


def attend(conn: sa.Connection, daemon: Daemon) -> str | None:
    """Note that a daemon is there; return which revision its code must have, if it is too old for the tables."""
    insert = postgresql.insert(daemons) if conn.dialect.name == "postgresql" else sqlite.insert(daemons)
    own = {column.name: getattr(daemon, column.name) for column in daemons.columns}
    statement = insert.values(own)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=[daemons.c.id],
            set_={"seen_at": statement.excluded.seen_at, "address": statement.excluded.address},
            where=daemons.c.seen_at < statement.excluded.seen_at,
        )
    )
    oldest: str | None = conn.scalar(sa.select(compatibility.c.oldest))
    return oldest if oldest is not None and daemon.revision < oldest else None


def leave(conn: sa.Connection, daemon: Daemon) -> None:
    """Strike a daemon off, and those that were not seen for a day."""
    gone = (daemons.c.id == daemon.id) | (daemons.c.seen_at < daemon.seen_at - FORGOTTEN_S)
    conn.execute(sa.delete(daemons).where(gone))


def listed(conn: sa.Connection) -> tuple[Daemon, ...]:
    """Return the daemons on record, by host and start."""
    query = sa.select(daemons).order_by(daemons.c.host, daemons.c.started_at, daemons.c.id)
    return tuple(Daemon(**row) for row in conn.execute(query).mappings())
