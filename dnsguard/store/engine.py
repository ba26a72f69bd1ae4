"""Databases: how one is opened, what is demanded of it, and how a transaction is run.
A transaction is a plain function of a connection, so that nothing else can be awaited inside it. What goes wrong
in the database becomes `StoreUnavailable` here and nowhere else; no password gets into a message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dnsguard.core.history import StoreUnavailable

__all__ = ["Database", "Moved", "StoreUnavailable", "make_engine", "place_of"]

BUSY_S_MAX = 10.0
"""How long a SQLite transaction waits for another process's before it gives up."""
TRIES_MAX = 20
_BEGIN = "dnsguard_begin"

Result = TypeVar("Result")
Creator = Callable[[], Awaitable[object]]


class Moved(Exception):
    """What a transaction believed of the zone is no longer so; it is started again with fresh eyes."""


def place_of(url: sa.URL) -> str:
    """Name a database for people: its file, or its server and name; never its credentials or options."""
    if url.get_backend_name() == "sqlite":
        return f"database {url.database}"
    return f"database {url.database} at {url.host or 'localhost'}:{url.port or 5432}"


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn whatever a database or its driver raises into one sentence for people."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(_sentence(place, error)) from error


def _sentence(place: str, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).partition("\n")[0]
    code = str(getattr(cause, "sqlite_errorname", ""))
    if code.startswith("SQLITE_CANTOPEN"):
        return f"expected to open {place}, found that it cannot be; check that the folder exists and is writable"
    if code.startswith("SQLITE_READONLY"):
        return f"expected to write to {place}, found it read-only; check the permissions of the file and its folder"
    if code.startswith("SQLITE_NOTADB"):
        return f"expected a SQLite database, found something else in {place}; move it away or name another file"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"expected a turn at {place}, found it locked by another program; end that program, or try again"
    if code.startswith("SQLITE_FULL"):
        return f"expected room to write to {place}, found the disk full; make room"
    if "no such table" in text or "no such column" in text or "UndefinedTable" in text or "UndefinedColumn" in text:
        return f"expected dnsguard's tables in {place}, found them missing or older; run 'dnsguard migrate'"
    return f"expected {place} to work, found: {text[:300]}; repair it, then try again"


def make_engine(url: str, busy_s_max: float = BUSY_S_MAX, creator: Creator | None = None) -> AsyncEngine:
    """Make the engine of ``sqlite:///FILE`` or ``postgresql://…``; nothing is opened yet.

    ``creator`` makes SQLite's connections in the driver's stead.

    Each connection is checked when it is made: one that could lose acknowledged commits in a power cut is not
    used. Raises StoreUnavailable if the URL is of another kind or its driver is missing.
    """
    try:
        parsed = sa.make_url(url)
        match parsed.get_backend_name():
            case "sqlite" if parsed.database and parsed.database != ":memory:":
                return _sqlite(parsed, busy_s_max, creator)
            case "postgresql":
                return _postgresql(parsed)
    except ArgumentError:
        parsed = None
    except ModuleNotFoundError as error:
        raise StoreUnavailable(f"expected the driver {error.name}, found it missing; install it") from None
    found = "something else" if parsed is None else f"{parsed.get_backend_name()}:// without a file"
    raise StoreUnavailable(f"expected a database sqlite:///FILE or postgresql://HOST/NAME, found {found}") from None


def _sqlite(url: sa.URL, busy_s_max: float, creator: Creator | None) -> AsyncEngine:
    own: dict[str, Creator] = {} if creator is None else {"async_creator": creator}
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,
        # The driver begins no transactions of its own: the "begin" event below is the only one that does.
        connect_args={"timeout": busy_s_max, "isolation_level": None},
        **own,
    )
    pragmas = {"journal_mode": ("WAL", "wal"), "synchronous": ("FULL", "2"), "foreign_keys": ("ON", "1")}

    @event.listens_for(engine.sync_engine, "connect")
    def demand(connection: DBAPIConnection, _record: object) -> None:
        with _closed_on_fault(connection) as cursor:
            for name, (asked, _) in pragmas.items():
                cursor.execute(f"PRAGMA {name} = {asked}")
            _refuse_weak(cursor, place_of(url), "PRAGMA", {name: values[1:] for name, values in pragmas.items()})

    @event.listens_for(engine.sync_engine, "begin")
    def begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql(conn.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _postgresql(url: sa.URL) -> AsyncEngine:
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), hide_parameters=True, pool_pre_ping=True)
    settings = {"fsync": ("on",), "synchronous_commit": ("on", "remote_apply")}

    @event.listens_for(engine.sync_engine, "connect")
    def demand(connection: DBAPIConnection, _record: object) -> None:
        with _closed_on_fault(connection) as cursor:
            _refuse_weak(cursor, place_of(url), "SHOW", settings)

    return engine


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
    """Raise StoreUnavailable if a connection's settings could lose what was acknowledged."""
    for name, allowed in demands.items():
        cursor.execute(f"{ask} {name}")
        row = cursor.fetchone()
        found = "nothing" if row is None else str(row[0]).lower()
        if found not in allowed:
            raise StoreUnavailable(
                f"expected {place} with {name} = {allowed[0]}, found {found}: it could lose what was acknowledged; "
                "change its settings, or use a file on a local disk"
            )


def writing(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine for transactions that write: SQLite's take the write lock at once.

    Otherwise two that have read would both try to upgrade, and one of them fails without having waited.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def _reading(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine for transactions that read: all their statements see one state of the database."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


class Database:
    """Runs transactions, each a function of a connection."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine, self._reader, self._writer = engine, _reading(engine), writing(engine)
        self._place = place_of(engine.url)
        # For speed only, never for safety: SQLite has one writer at a time, and waiting for one's turn here is
        # fair and quick, where waiting at the file is polling.
        self._turns = asyncio.Semaphore(1 if engine.dialect.name == "sqlite" else 64)

    async def read(self, look: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction that writes nothing. Raises StoreUnavailable."""
        with told(self._place):
            async with self._reader.connect() as conn:
                return await conn.run_sync(look)

    async def write(self, act: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction and commit it; start again if it finds that the zone `Moved`.

        Raises StoreUnavailable, also when a commit's outcome is unclear.
        """
        with told(self._place):
            for _ in range(TRIES_MAX):
                try:
                    async with self._turns, self._writer.begin() as conn:
                        return await conn.run_sync(act)
                except Moved:
                    continue
        raise StoreUnavailable(f"expected a turn at {self._place}, found it changed {TRIES_MAX} times meanwhile")

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
