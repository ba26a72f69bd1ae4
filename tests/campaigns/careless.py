"""A daemon that is careless with its disk, to show that the power campaign measures: it is dnsguard with SQLite's
`synchronous` at NORMAL, behind the back of the check that demands FULL. For that campaign only.

    python -m tests.campaigns.careless serve --config FILE
"""

import sys

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import Pool

from dnsguard.cli.main import main


@event.listens_for(Pool, "checkout")
def forget(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Weaken a connection whenever it is lent."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


if __name__ == "__main__":
    sys.exit(main())
