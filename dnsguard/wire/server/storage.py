"""The embedded server's disk: each zone's RRsets in one SQLite file, one transaction per UPDATE.

What `save` returned from survives kill -9 and a power cut (WAL, synchronous=FULL). All of SQLite runs in one
thread of its own, so the event loop never waits for a disk. One server owns a file: a second one is turned
away, since both would answer from memory and overwrite each other.
"""

import asyncio
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype

from dnsguard.wire.server.draft import Change

T = TypeVar("T")
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE rrset (
    zone BLOB NOT NULL, name BLOB NOT NULL, type INTEGER NOT NULL, covers INTEGER NOT NULL,
    owner BLOB NOT NULL, ttl INTEGER NOT NULL, rdata BLOB NOT NULL,
    PRIMARY KEY (zone, name, type, covers)
) WITHOUT ROWID
"""


class StorageUnavailable(OSError):
    """The zone file cannot be used; the message says what to do."""


class StorageUnusable(StorageUnavailable):
    """It cannot be used before a person has changed something: it would be no use to try again."""


class Storage:
    """An open zone file."""

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        """Take over an open connection and the thread that it lives in; see `open`."""
        self._path = path
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, path: Path) -> "Storage":
        """Open a zone file, or make it.

        Raises StorageUnavailable for a file that another server has open or that cannot be written, and of these
        StorageUnusable for one that is damaged or is not a zone file of this version.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dnsguard-zones")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, connection, thread)

    async def load(self, origin: dns.name.Name) -> list[Change]:
        """Read a zone's RRsets; empty for a zone that is not in the file. Raises StorageUnavailable."""
        return await self._run(lambda: self._load(origin))

    def _load(self, origin: dns.name.Name) -> list[Change]:
        try:
            return list(_read(self._connection, origin))
        except sqlite3.Error as error:
            raise _unavailable(self._path, error) from error
        except (ValueError, struct.error, dns.exception.DNSException) as error:
            raise StorageUnusable(
                f"the zone file {self._path} is damaged: a record of {origin} cannot be read; "
                "restore it from a backup, or move it away"
            ) from error

    async def save(self, origin: dns.name.Name, changes: Iterable[Change]) -> None:
        """Write changed RRsets in one transaction; on return they are on disk.

        Raises sqlite3.Error (a full disk), and then nothing of it is written.
        """
        await self._run(lambda: _write(self._connection, origin, changes))

    async def close(self) -> None:
        """Close the file; the write-ahead log is folded into it."""
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise _unavailable(path, error) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _unavailable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    elif version != SCHEMA_VERSION:
        raise StorageUnusable(
            f"expected zones of format {SCHEMA_VERSION} in {path}, found format {version}: "
            "use the dnsguard that wrote it, or another file"
        )
    connection.execute("COMMIT")


def _unavailable(path: Path, error: sqlite3.Error) -> StorageUnavailable:
    if (error.sqlite_errorname or "").startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StorageUnusable(f"the zone file {path} is damaged ({error}); restore it from a backup, or move it away")
    return StorageUnavailable(
        f"expected a zone file that this server alone can write at {path}, found: {error}; "
        "stop the other server, or choose another folder"
    )


def _read(connection: sqlite3.Connection, origin: dns.name.Name) -> Iterator[Change]:
    rows = connection.execute(
        "SELECT owner, type, covers, ttl, rdata FROM rrset WHERE zone = ? ORDER BY name",
        (origin.to_digestable(),),
    )
    for owner, type_number, covers_number, ttl, packed in rows:
        rdtype = dns.rdatatype.RdataType.make(type_number)
        covers = dns.rdatatype.RdataType.make(covers_number)
        rdataset = dns.rdataset.Rdataset(dns.rdataclass.IN, rdtype, covers, ttl)
        for start, length in _spans(packed):
            rdataset.add(dns.rdata.from_wire(dns.rdataclass.IN, rdtype, packed, start, length))
        yield Change(dns.name.from_wire(owner, 0)[0], rdtype, covers, rdataset)


def _spans(packed: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(packed):
        (length,) = struct.unpack_from("!H", packed, position)
        yield position + 2, length
        position += 2 + length


def _write(connection: sqlite3.Connection, origin: dns.name.Name, changes: Iterable[Change]) -> None:
    zone = origin.to_digestable()
    connection.execute("BEGIN IMMEDIATE")
    try:
        for change in changes:
            name = change.name.to_digestable()
            if change.rdataset is None:
                connection.execute(
                    "DELETE FROM rrset WHERE zone = ? AND name = ? AND type = ? AND covers = ?",
                    (zone, name, int(change.rdtype), int(change.covers)),
                )
                continue
            wires = [rdata.to_wire() or b"" for rdata in change.rdataset]
            packed = b"".join(struct.pack("!H", len(wire)) + wire for wire in wires)
            connection.execute(
                "INSERT OR REPLACE INTO rrset VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    zone,
                    name,
                    int(change.rdtype),
                    int(change.covers),
                    change.name.to_wire(),
                    change.rdataset.ttl,
                    packed,
                ),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
