"""The real store in a simulation: SQL on a SQLite file, with the driver's worker thread taken out.
Each statement is executed where it is asked for, so that a store's method is over before anybody else goes on.
"""

import asyncio
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import sqlalchemy as sa

from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.sql_history import history_of
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore

Prepare = Callable[[SqlStore], Awaitable[None]]


class AtOnce(aiosqlite.Connection):
    """A connection of the asynchronous driver that does at once what the driver gives to a thread."""

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        """Connect."""
        return self._connect().__await__()

    async def _connect(self) -> aiosqlite.Connection:
        if self._connection is None:
            self._connection = self._connector()
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  the driver's
        if self._connection is None:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)

    def stop(self) -> None:
        """Close without waiting."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        """Close what was left open; there is no thread to warn of."""
        self.stop()


class SqliteFile:
    """A database in a temporary folder, which goes with this value; each run begins with the same contents."""

    def __init__(self, zone: str, history: str, prepare: Prepare) -> None:
        """Make the database and have the scene set in it. Raises RuntimeError where an event loop is running."""
        folder = tempfile.mkdtemp(prefix="dnsguard-explore-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = Path(folder, "history.sqlite")
        asyncio.run(_set_scene(f"sqlite:///{file}", zone, history, prepare))
        self._scene = sqlite3.connect(":memory:")
        with_scene = sqlite3.connect(file)
        with_scene.backup(self._scene)
        self._file = with_scene
        engine = sa.create_engine("sqlite://", creator=lambda: with_scene, poolclass=sa.StaticPool)
        self.history: Callable[[], MemoryHistory] = partial(_read, engine, zone)
        """Returns what the database holds now, by a connection that no run has. It does not keep this value alive:
        whoever looks on is found by the garbage collector, at any time, and a folder must not be removed then.
        """

        def connect() -> sqlite3.Connection:
            # Whatever thread the garbage collector is in may close it.
            return sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)

        async def create() -> aiosqlite.Connection:
            return await AtOnce(connect, 64)

        self._engine = make_engine(f"sqlite:///{file}", creator=create)

    def store(self) -> SqlStore:
        """Return a store over the database as it was when the scene was set."""
        self._scene.backup(self._file)
        return SqlStore(self._engine)

    def __del__(self) -> None:
        """Close the file; the folder goes after it."""
        self._scene.close()
        self._file.close()


def _read(engine: sa.Engine, zone: str) -> MemoryHistory:
    with engine.connect() as conn:
        return history_of(conn, zone)


async def _set_scene(url: str, zone: str, history: str, prepare: Prepare) -> None:
    engine = make_engine(url)
    await migrate(engine)
    store = SqlStore(engine)
    await store.ensure_zone(zone, history)
    await prepare(store)
    await store.close()
