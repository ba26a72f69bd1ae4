"""The real store in a simulation: SQL on a PostgreSQL server over the real driver, which waits on a loop of its own.
Each statement is over where it is asked for, so that a store's method is over before anybody else goes on. Everything
lies in a schema of its own, which is removed at the end; nothing else that the database has is read or written.
"""

import asyncio
import secrets
import weakref
from asyncio import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from asyncpg.prepared_stmt import PreparedStatement
from asyncpg.transaction import Transaction
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dnsguard.core.history import StoreUnavailable
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.sql_history import history_of
from dnsguard.store.address import place_of
from dnsguard.store.database import told
from dnsguard.store.engine import Bounds, make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.schema import metadata
from dnsguard.store.sql import SqlStore

Prepare = Callable[[SqlStore], Awaitable[None]]
Returned = TypeVar("Returned")

PREFIX = "dnsguard_explore_"
"""How the schemas of explorations are called; a number follows."""
SCENE = "scene_"
"""What precedes the name of a table that keeps what each run begins with."""
BOUNDS = Bounds(lock_s_max=5.0)
"""A run has one transaction at a time: who waits for a lock at all would wait for ever."""
_IN_USE = 0x646E6778  # "dngx": advisory locks of this class say that an exploration's schema is in use

_TABLES_OF_DAEMONS = sa.text(
    "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relname = 'zones' AND c.relkind = 'r' AND a.attname = 'kept_from' AND NOT starts_with(n.nspname, :prefix)"
    " LIMIT 1"
)
_LEFT_BEHIND = sa.text(
    "SELECT substr(nspname, length(:prefix) + 1) FROM pg_catalog.pg_namespace"
    " WHERE nspname ~ ('^' || :prefix || '[0-9]{1,9}$') AND pg_has_role(nspowner, 'USAGE')"
)
_TAKE = sa.text("SELECT pg_try_advisory_lock(:in_use, :number)")
_GIVE_BACK = sa.text("SELECT pg_advisory_unlock(:in_use, :number)")


class Elsewhere:
    """An ordinary event loop, which runs only while somebody stands still for what he asked of it."""

    def __init__(self) -> None:
        """Make the loop. Not to be done inside a simulation, which has no sockets."""
        self._loop = asyncio.new_event_loop()

    def finish(self, coroutine: Coroutine[Any, Any, Returned]) -> Returned:
        """Run a coroutine to its end, whichever other loop runs here: to that one no time has passed."""
        around = _get_running_loop()
        if around is None:
            return self._loop.run_until_complete(coroutine)
        task = asyncio.current_task(around)
        if task is not None:
            _leave_task(around, task)
        _set_running_loop(None)
        try:
            return self._loop.run_until_complete(coroutine)
        finally:
            _set_running_loop(around)
            if task is not None:
                _enter_task(around, task)

    def close(self) -> None:
        """End the loop."""
        self._loop.close()


class AtOnce:
    """A connection of the driver, or what it made, of which every method is over when it is first awaited."""

    def __init__(self, original: Any, elsewhere: Elsewhere) -> None:  # noqa: ANN401  the driver has no types
        self._original = original
        self._elsewhere = elsewhere

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  the driver has no types
        found = getattr(self._original, name)
        return partial(self._call, found) if callable(found) else found

    def terminate(self) -> None:
        """Break a connection off."""
        if not self._original.is_closed():
            self._elsewhere.finish(_called(self._original.terminate))

    def _call(self, method: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: ANN401  the driver's
        result = method(*args, **kwargs)
        return self._finished(result) if asyncio.iscoroutine(result) else self._made(result)

    async def _finished(self, coroutine: Coroutine[Any, Any, object]) -> Any:  # noqa: ANN401  the driver's
        return self._made(self._elsewhere.finish(coroutine))

    def _made(self, result: Any) -> Any:  # noqa: ANN401  the driver's
        return AtOnce(result, self._elsewhere) if isinstance(result, Transaction | PreparedStatement) else result


async def _called(method: Callable[[], None]) -> None:
    method()


class PostgresqlSchema:
    """A schema of its own in a database, which goes with this value; each run begins with the same contents.

    Of one whose process was killed, nothing is left once the next is made in the same database.
    """

    def __init__(self, url: str, zone: str, history: str, prepare: Prepare, bounds: Bounds = BOUNDS) -> None:
        """Make the schema, migrate it, and have the scene set in it.

        Raises StoreUnavailable if the database cannot be reached or written, or is one in which daemons keep theirs.
        """
        keeper = self._keeper = Keeper(url, bounds)
        engine = self._engine = make_engine(url, bounds=bounds)
        elsewhere = self._elsewhere = Elsewhere()
        self.history: Callable[[], MemoryHistory] = partial(_read, elsewhere, keeper, zone)
        """Returns what the schema holds now, by a connection that no run has. Raises StoreUnavailable. It does not keep
        this value alive: whoever looks on is found by the garbage collector, at any time.
        """
        self._remove = weakref.finalize(self, _remove, elsewhere, keeper)

        async def connect(*args: Any, **kwargs: Any) -> AtOnce:  # noqa: ANN401  the driver's
            connection = elsewhere.finish(asyncpg.connect(*args, **kwargs))
            keeper.lent.append(connection)
            return AtOnce(connection, elsewhere)

        _lead(engine, keeper.schema, connect)
        try:
            elsewhere.finish(keeper.open())
            elsewhere.finish(keeper.set_scene(zone, history, prepare))
        except BaseException:
            self._remove()
            raise

    @property
    def name(self) -> str:
        """The schema's name."""
        return self._keeper.schema

    def store(self) -> SqlStore:
        """Return a store over the schema as it was when the scene was set. Raises StoreUnavailable."""
        self._elsewhere.finish(self._keeper.put_back())
        return SqlStore(self._engine)

    def close(self) -> None:
        """Remove the schema, with all that is in it."""
        self._remove()


class Keeper:
    """Makes a schema, puts it back, and removes it: by ordinary connections, on an ordinary loop."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        """Choose a name for the schema. Raises StoreUnavailable if the URL is not one of a PostgreSQL."""
        self._engine = make_engine(url, bounds=bounds)
        self._place = place_of(self._engine.url)
        if self._engine.dialect.name != "postgresql":
            raise StoreUnavailable(f"expected a database postgresql://HOST/NAME, found {self._place}: name another")
        self._number = secrets.randbelow(10**9)
        self._conn: AsyncConnection | None = None
        self.schema = f"{PREFIX}{self._number}"
        self.lent: list[Any] = []
        """The connections that the runs have."""
        _lead(self._engine, self.schema)

    async def open(self) -> None:
        """Make the schema, if no daemon has its tables in this database. Raises StoreUnavailable."""
        with told(self._place):
            conn = self._conn = await self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()
            found = await conn.scalar(_TABLES_OF_DAEMONS, {"prefix": PREFIX})
            if found is not None:
                raise StoreUnavailable(
                    f"expected a database in which no daemon keeps its history, found dnsguard's tables in the schema "
                    f"{found} of {self._place}; nothing was changed: name another, an empty one ('createdb NAME')"
                )
            for left in (await conn.scalars(_LEFT_BEHIND, {"prefix": PREFIX})).all():
                lock = {"in_use": _IN_USE, "number": int(left)}
                if await conn.scalar(_TAKE, lock):
                    await conn.exec_driver_sql(f"DROP SCHEMA IF EXISTS {PREFIX}{left} CASCADE")
                    await conn.execute(_GIVE_BACK, lock)
            # The lock comes first: a schema that nobody holds is one that was left behind.
            await conn.scalar(_TAKE, {"in_use": _IN_USE, "number": self._number})
            await conn.exec_driver_sql(f"CREATE SCHEMA {self.schema}")

    async def set_scene(self, zone: str, history: str, prepare: Prepare) -> None:
        """Migrate the schema, have happen what is before the runs, and write down how to come back to it."""
        await migrate(self._engine)
        store = SqlStore(self._engine)
        await store.ensure_zone(zone, history)
        await prepare(store)
        names = [table.name for table in metadata.sorted_tables]
        emptied = [f"DELETE FROM {name};" for name in reversed(names)]  # noqa: S608  our own names
        filled = [f"INSERT INTO {name} TABLE {SCENE}{name};" for name in names]
        statements = " ".join((*emptied, *filled))
        with told(self._place):
            async with self._engine.begin() as conn:
                for name in names:
                    await conn.exec_driver_sql(f"CREATE TABLE {SCENE}{name} AS TABLE {name}")
                # A function: one round trip, and planned once.
                await conn.exec_driver_sql(
                    f"CREATE FUNCTION put_back() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {statements} END $$"
                )

    async def put_back(self) -> None:
        """Let everything be as it was when the scene was set. Raises StoreUnavailable."""
        with told(self._place):
            if self._conn is not None:
                await self._conn.exec_driver_sql("SELECT put_back()")

    async def history(self, zone: str) -> MemoryHistory:
        """Read a zone's history. Raises StoreUnavailable."""
        if self._conn is None:
            raise StoreUnavailable(f"expected the schema {self.schema} to be there, found it removed: begin anew")
        with told(self._place):
            return await self._conn.run_sync(history_of, zone)

    async def remove(self) -> None:
        """Remove the schema and close all connections. Raises StoreUnavailable."""
        if self._conn is None:
            return
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for connection in self.lent:
            connection.terminate()
        with told(self._place):
            try:
                async with self._engine.connect() as conn, conn.begin():
                    await conn.exec_driver_sql(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
            finally:
                await self._conn.close()
                await self._engine.dispose()


def _lead(engine: AsyncEngine, schema: str, connect: Callable[..., Awaitable[AtOnce]] | None = None) -> None:
    """Have an engine's connections see one schema only, and be made by somebody else if that is wanted."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def lead(_dialect: object, _record: object, _args: object, settings: dict[str, Any]) -> None:
        settings["server_settings"] = {**settings["server_settings"], "search_path": schema}
        if connect is not None:
            settings["async_creator_fn"] = connect


def _read(elsewhere: Elsewhere, keeper: Keeper, zone: str) -> MemoryHistory:
    return elsewhere.finish(keeper.history(zone))


def _remove(elsewhere: Elsewhere, keeper: Keeper) -> None:
    try:
        # Of a server that is not there any more, what is left is removed by the next exploration.
        with suppress(StoreUnavailable):
            elsewhere.finish(keeper.remove())
    finally:
        elsewhere.close()
