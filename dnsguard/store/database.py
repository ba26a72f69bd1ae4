"""Transactions: how one is run, begun again, and what is said of one that failed.
A transaction is a plain function of a connection, so that nothing else can be awaited inside it. What goes wrong
in the database becomes `StoreUnavailable` here and nowhere else; no password gets into a message.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncEngine

from dnsguard.core.history import StoreUnavailable
from dnsguard.store.address import StoreUnusable, place_of
from dnsguard.store.engine import BEGIN, on_threads
from dnsguard.store.threads import Threads

TRIES_MAX = 20
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 1.0

Result = TypeVar("Result")


class Moved(Exception):
    """What a transaction believed of the zone is no longer so; it is started again with fresh eyes."""


class Lost(StoreUnavailable):
    """The connection is gone, and what was asked had not been committed."""


class Decision(Protocol):
    """What a look at the database led to."""

    def write(self, conn: sa.Connection) -> None:
        """Write it down, if what it rests on is still so. Raises Moved."""
        ...


class Unclear(StoreUnavailable):
    """The connection is gone while a commit was under way: it happened or it did not."""

    is_unclear = True

    def __init__(self, place: str, lost: Lost, decision: Decision | None = None) -> None:
        super().__init__(
            f"expected {place} to say that it has committed, found the connection gone ({lost}); whether it was done "
            "is not known"
        )
        self.decision = decision


Decided = TypeVar("Decided", bound=Decision)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn whatever a database or its driver raises into one sentence for people."""
    try:
        yield
    except OSError as error:
        raise Lost(_sentence(place, error)) from error
    except SQLAlchemyError as error:
        if _code(error).startswith(_FOR_A_PERSON):
            raise StoreUnusable(_sentence(place, error)) from error
        gone = isinstance(error, DBAPIError) and error.connection_invalidated
        raise (Lost if gone else StoreUnavailable)(_sentence(place, error)) from error


_SAID = {
    "SQLITE_CANTOPEN": "expected to open {place}, found that it cannot be; check that the folder exists and is "
    "writable",
    "SQLITE_READONLY": "expected to write to {place}, found it read-only; check the permissions of the file and its "
    "folder",
    "SQLITE_NOTADB": "expected a SQLite database, found something else in {place}; move it away or name another file",
    "SQLITE_CORRUPT": "{place} is damaged; restore it from a backup (docs/operations.md), or move it away and adopt "
    "what the zones hold",
    "SQLITE_BUSY": "expected a turn at {place}, found it locked by another program; end that program, or try again",
    "SQLITE_LOCKED": "expected a turn at {place}, found it locked by another program; end that program, or try again",
    "SQLITE_FULL": "expected room to write to {place}, found the disk full; make room",
    # PostgreSQL's SQLSTATE, from its documentation's appendix A.
    "28": "expected {place} to let dnsguard in, found user or password refused; correct them in the settings",
    "3D000": "expected {place}, found no database of this name on the server; create it",
    "42501": "expected {place} to be dnsguard's, found a permission missing; let its user own the database",
    "53100": "expected room to write to {place}, found the disk full; make room",
    "53300": "expected a connection to {place}, found all of its max_connections taken; raise it, or lower "
    "connections_max under [postgresql] of each daemon",
    "55P03": "expected a turn at {place}, found it locked by another program; end that program, or try again",
    "57014": "expected an answer of {place} in time, found none; see what slows it down, or raise statement_s_max "
    "under [postgresql]",
    "25006": "expected to write to {place}, found it read-only: it is a standby; name the server that takes writes",
    "57P": "expected {place} to serve, found it starting or stopping; try again",
}  # fmt: skip
_TABLES = ("no such table", "no such column")
_TABLES_SAID = "expected dnsguard's tables in {place}, found them missing or older; run 'dnsguard migrate'"
_UNDEFINED = ("42P01", "42703")
_FOR_A_PERSON = ("SQLITE_READONLY", "SQLITE_NOTADB", "SQLITE_CORRUPT", "28", "3D000", "42501")
"""What does not pass by itself. All else may: a server starts, a disk is mounted or gets room, a standby takes over."""


def _code(error: Exception) -> str:
    """Return SQLite's name of an error, or the SQLSTATE."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or "")


def _sentence(place: str, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(cause).partition("\n")[0]
    code = _code(error)
    if code in _UNDEFINED or any(sign in text for sign in _TABLES):
        return _TABLES_SAID.format(place=place)
    for start, said in _SAID.items():
        if code.startswith(start):
            return said.format(place=place)
    if isinstance(error, NoConnectionFree):
        return (
            f"expected a free connection to {place}, found all of dnsguard's own in use; try again, or raise "
            "connections_max under [postgresql]"
        )
    if isinstance(error, TimeoutError):
        return f"expected an answer of {place} in time, found none; check the network and the server"
    if isinstance(error, OSError) or not text:
        return f"expected to reach {place}, found {text or type(cause).__name__}; start it, or correct its address"
    # The driver puts its own class before the server's words.
    words = text.partition(">: ")[2] if text.startswith("<class ") else text
    return f"expected {place} to work, found: {words[:300]}; repair it, then try again"


class Database:
    """Runs transactions, each a function of a connection."""

    def __init__(self, engine: AsyncEngine, *, may_use_threads: bool = True) -> None:
        self.engine = engine
        blocking = on_threads(engine) if may_use_threads else None
        self.sender = blocking or engine.sync_engine
        """What statements go through, for whoever wants to listen."""
        self._threads = None if blocking is None else Threads(blocking)
        self.place = place_of(engine.url)
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._reader = engine if self._is_sqlite else _of_one_state(engine)
        self._writer = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        self._each_alone = engine if self._is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        # For speed only, never for safety: SQLite has one writer at a time, and waiting for one's turn here is
        # fair and quick, where waiting at the file is polling.
        self._turns = asyncio.Semaphore(1 if self._is_sqlite else 64)
        self.write_fault: str | None = None
        """Why the newest write failed, a sentence for people; None if it succeeded. Reading may go on meanwhile."""

    async def read(self, look: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction that writes nothing; all its statements see one state. Raises StoreUnavailable."""
        return await self._read(self._reader, look)

    async def glance(self, look: Callable[[sa.Connection], Result]) -> Result:
        """Run statements that write nothing, each seeing the newest state for itself. Raises StoreUnavailable."""
        return await self._read(self._each_alone, look)

    async def _read(self, engine: AsyncEngine, look: Callable[[sa.Connection], Result]) -> Result:
        try:
            return await self._looked(engine, look)
        except Lost:
            # A pooled connection may have died while nobody looked; the pool has dropped its like.
            return await self._looked(engine, look)

    async def _looked(self, engine: AsyncEngine, look: Callable[[sa.Connection], Result]) -> Result:
        with told(self.place):
            if self._threads is not None:
                return await self._threads.read(look)
            async with engine.connect() as conn:
                return await conn.run_sync(look)

    async def write(self, act: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction and commit it; start again if it finds that the zone `Moved`.

        Raises StoreUnavailable, and of these Unclear if it is not known whether the transaction was committed.
        """
        lost = False
        for _ in range(TRIES_MAX):
            acted = False
            try:
                with self._writing():
                    if self._threads is not None:
                        return await self._threads.write(act)
                    async with self._turns, self._writer.connect() as conn, conn.begin():
                        result = await conn.run_sync(act)
                        acted = True
            except Moved:
                continue
            except Lost as error:
                if acted:
                    raise Unclear(self.place, error) from error
                if lost:
                    raise
                lost = True
            else:
                return result
        raise self._too_often()

    async def decide(self, look: Callable[[sa.Connection], Decided]) -> Decided:
        """Look, decide, and write the decision down if what it rests on is still so; else begin again.

        SQLite does it in one transaction. PostgreSQL looks and writes in one statement each: a transaction around
        them would cost two round trips more and prove nothing that the decision's own conditions do not.
        Raises as `write` does.
        """
        if self._is_sqlite:
            return await self.write(lambda conn: _at_once(conn, look))
        for _ in range(TRIES_MAX):
            decided = await self.glance(look)
            try:
                with self._writing():
                    async with self._turns, self._each_alone.connect() as conn:
                        await conn.run_sync(decided.write)
            except Moved:
                continue
            except Lost as error:
                raise Unclear(self.place, error, decided) from error
            return decided
        raise self._too_often()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep in mind whether the database takes writes."""
        try:
            with told(self.place):
                yield
        except StoreUnavailable as error:
            self.write_fault = str(error)
            raise
        self.write_fault = None

    def _too_often(self) -> StoreUnavailable:
        return StoreUnavailable(f"expected a turn at {self.place}, found it changed {TRIES_MAX} times meanwhile")

    async def pause(self, tries: int) -> None:
        """Leave a database that does not answer alone, the longer the more often it was tried."""
        await asyncio.sleep(min(_PAUSE_S_MIN * 2**tries, _PAUSE_S_MAX))

    async def close(self) -> None:
        """Close all connections."""
        if self._threads is not None:
            await self._threads.close()
        await self.engine.dispose()


def _at_once(conn: sa.Connection, look: Callable[[sa.Connection], Decided]) -> Decided:
    decided = look(conn)
    decided.write(conn)
    return decided


def _of_one_state(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
