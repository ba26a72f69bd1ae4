"""Databases: how one is opened, and what is demanded of it.
A connection that could lose acknowledged commits in a power cut is not used. No statement about plans is made here.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dnsguard.store.address import SQLITE, StoreUnusable, place_of, read_address, tls_of

BUSY_S_MAX = 10.0
"""How long a SQLite transaction waits for another process's before it gives up."""
BEGIN = "dnsguard_begin"
"""The execution option that says how SQLite begins a transaction.

Those that write take the write lock at once: otherwise two that have read would both try to upgrade, and one of them
fails without having waited.
"""
_ON_THREADS = "dnsguard_on_threads"
_LOST = ("08", "57P01", "57P02", "57P03", "25006")
"""SQLSTATEs after which a connection is of no use: broken, server stopping or starting, or a standby by now."""

Creator = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections to a PostgreSQL there may be, and how long things may take, in seconds."""

    connections_max: int = 10
    connect_s_max: float = 5.0
    statement_s_max: float = 15.0
    lock_s_max: float = 10.0
    """Waiting for another transaction's lock."""
    idle_s_max: float = 30.0
    """A transaction that is open while nothing is asked: the server ends it, and lets go of its locks."""


PATIENT = Bounds(connections_max=1, connect_s_max=30.0, statement_s_max=3600.0, lock_s_max=60.0, idle_s_max=600.0)
"""For migrations: a change of a large table takes long, and whoever starts beside it waits."""


def make_engine(
    url: str, busy_s_max: float = BUSY_S_MAX, creator: Creator | None = None, bounds: Bounds | None = None
) -> AsyncEngine:
    """Make the engine of ``sqlite:///FILE`` or ``postgresql://…``; nothing is opened yet.

    ``creator`` makes SQLite's connections in the driver's stead; ``bounds`` are PostgreSQL's.

    Each connection is checked when it is made: one that could lose acknowledged commits in a power cut is not
    used. Raises StoreUnusable if the URL is of another kind or its driver is missing.
    """
    address = read_address(url)
    try:
        if address.get_backend_name() == SQLITE:
            return _sqlite(address, busy_s_max, creator)
        return _postgresql(address, bounds or Bounds())
    except ModuleNotFoundError as error:
        raise StoreUnusable(f"expected the driver {error.name}, found it missing; install it") from None


def _sqlite(url: sa.URL, busy_s_max: float, creator: Creator | None) -> AsyncEngine:
    own: dict[str, Creator] = {} if creator is None else {"async_creator": creator}
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,
        # The driver begins no transactions of its own: the "begin" event below is the only one that does.
        connect_args={"timeout": busy_s_max, "isolation_level": None},
        execution_options={} if own else {_ON_THREADS: busy_s_max},
        **own,
    )
    _demand_of_sqlite(engine.sync_engine)
    return engine


def on_threads(engine: AsyncEngine) -> sa.Engine | None:
    """Return an engine of the same database for threads: SQLite's, unless its connections are made by a creator."""
    busy_s_max = engine.get_execution_options().get(_ON_THREADS)
    if busy_s_max is None:
        return None
    blocking = sa.create_engine(
        engine.url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        connect_args={"timeout": busy_s_max, "isolation_level": None, "check_same_thread": False},
    )
    _demand_of_sqlite(blocking)
    return blocking


def _demand_of_sqlite(engine: sa.Engine) -> None:
    """Make sure that no connection can lose what was committed, and begin transactions as they ask."""
    pragmas = {"journal_mode": ("WAL", "wal"), "synchronous": ("FULL", "2"), "foreign_keys": ("ON", "1")}

    @event.listens_for(engine, "connect")
    def demand(connection: DBAPIConnection, _record: object) -> None:
        with _closed_on_fault(connection) as cursor:
            for name, (asked, _) in pragmas.items():
                cursor.execute(f"PRAGMA {name} = {asked}")
            _refuse_weak(cursor, place_of(engine.url), "PRAGMA", {name: values[1:] for name, values in pragmas.items()})

    @event.listens_for(engine, "begin")
    def begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql(conn.get_execution_options().get(BEGIN, "BEGIN"))


def _postgresql(url: sa.URL, bounds: Bounds) -> AsyncEngine:
    address, tls = tls_of(url)
    engine = create_async_engine(
        address.set(drivername="postgresql+asyncpg"),
        hide_parameters=True,
        pool_size=bounds.connections_max,
        max_overflow=0,
        pool_timeout=bounds.statement_s_max,
        pool_use_lifo=True,
        connect_args={
            **tls,
            "timeout": bounds.connect_s_max,
            # The server ends what takes too long; a second later the network is taken to be gone.
            "command_timeout": bounds.statement_s_max + 1,
            "server_settings": {
                "application_name": "dnsguard",
                # A plan that was made for a table of ten rows is kept while it grows to a million: it reads whole
                # zones, and sixty-four callers are served a hundred plans a second instead of thousands.
                "plan_cache_mode": "force_custom_plan",
                "jit": "off",
                "statement_timeout": _ms(bounds.statement_s_max),
                "lock_timeout": _ms(bounds.lock_s_max),
                "idle_in_transaction_session_timeout": _ms(bounds.idle_s_max),
            },
        },
    )
    settings = {"fsync": ("on",), "synchronous_commit": ("on", "remote_apply")}

    @event.listens_for(engine.sync_engine, "connect")
    def demand(connection: DBAPIConnection, _record: object) -> None:
        with _closed_on_fault(connection) as cursor:
            _refuse_weak(cursor, place_of(url), "SHOW", settings)
        connection.rollback()  # asking began a transaction, in which LISTEN would wait for ever

    @event.listens_for(engine.sync_engine, "handle_error")
    def tell_lost(context: ExceptionContext) -> None:
        cause = context.original_exception
        if isinstance(cause, OSError) or str(getattr(cause, "sqlstate", None) or "").startswith(_LOST):
            context.is_disconnect = True

    return engine


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


@contextmanager
def _closed_on_fault(connection: DBAPIConnection) -> Iterator[DBAPICursor]:
    cursor = connection.cursor()
    try:
        yield cursor
    except BaseException:
        connection.close()
        raise
    cursor.close()


def _refuse_weak(cursor: DBAPICursor, place: str, ask: str, demands: Mapping[str, Sequence[str]]) -> None:
    """Raise StoreUnusable if a connection's settings could lose what was acknowledged."""
    for name, allowed in demands.items():
        cursor.execute(f"{ask} {name}")
        row = cursor.fetchone()
        found = "nothing" if row is None else str(row[0]).lower()
        if found not in allowed:
            raise StoreUnusable(
                f"expected {place} with {name} = {allowed[0]}, found {found}: it could lose what was acknowledged; "
                "change its settings, or use a file on a local disk"
            )
