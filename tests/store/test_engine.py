import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsguard.core.history import StoreUnavailable
from dnsguard.store.address import StoreUnusable
from dnsguard.store.database import Database, Moved
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from tests.servers.postgresql import Postgresql
from tests.servers.process import free_port
from tests.store.making import ZONE


async def said(url: str) -> str:
    engine = make_engine(url, busy_s_max=0.01)
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await migrate(engine)
    finally:
        await engine.dispose()
    return str(caught.value)


async def test_a_missing_folder_a_wrong_file_and_a_locked_one_are_each_said_in_a_sentence(tmp_path: Path) -> None:
    assert "check that the folder exists" in await said(f"sqlite:///{tmp_path}/absent/history.db")
    (tmp_path / "notes.txt").write_text("not a database at all, but long enough to be read as one\n" * 40)
    assert "found something else" in await said(f"sqlite:///{tmp_path}/notes.txt")
    url = f"sqlite:///{tmp_path}/history.db"
    owner = make_engine(url)
    async with owner.connect() as connection:
        await connection.exec_driver_sql("CREATE TABLE held (one)")
        assert "locked by another program" in await said(url)
    await owner.dispose()


async def test_a_database_without_tables_asks_for_migration(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    store = SqlStore(engine)
    with pytest.raises(StoreUnavailable, match="dnsguard migrate"):
        await store.zone(ZONE)
    await store.close()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sqlite://", "without a file"),
        ("sqlite:///:memory:", "without a file"),
        ("sqlite:////history.db?timeout=3", "'timeout'; leave it out"),
        ("mysql://root:hunter2@db/x", "found mysql://"),
        ("hunter2", "cannot be read"),
        ("postgres://u:hunter2@db/x", "write postgresql://"),
        ("postgresql+psycopg2://u:hunter2@db/x", r"leave '\+psycopg2' out"),
        ("postgresql://u:hunter2@127.0.0.1:abc/x", "port is a number"),
        ("postgresql://u:hunter2@b@127.0.0.1:x/x", "%40"),
        ("postgresql://u:hunter2@[::1/x", "brackets are closed"),
        ("postgresql://u:hunter2@db:65536/x", "found 65536"),
        ("postgresql://u:hunter2@db/x?foo=bar", r"'foo'; leave it out, times .* under \[postgresql\]"),
        ("postgresql://u:hunter2@db/x?ssl=banana", "verify-full, found 'banana'"),
        ("postgresql://u:hunter2@db/x?sslmode=require&ssl=require", "once, found ssl beside it"),
        ("postgresql://u:hunter2@db/x?sslmode=require&sslmode=disable", "found it 2 times"),
        ("postgresql://u:hunter2@db/x?target_session_attrs=any-old", "prefer-standby, found 'any-old'"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_secrets(url: str, found: str) -> None:
    with pytest.raises(StoreUnusable, match=found) as caught:
        make_engine(url)
    assert "hunt" not in str(caught.value)


async def test_an_address_may_name_several_servers(postgresql: Postgresql) -> None:
    nobody, (host, port) = free_port(), postgresql.address
    name = postgresql.url().rpartition("/")[2]
    url = f"postgresql://dnsguard:{postgresql.password}@/{name}"
    url += f"?host=127.0.0.1:{nobody}&host={host}:{port}&target_session_attrs=read-write"
    database = Database(make_engine(url))
    assert await database.read(lambda conn: conn.scalar(sa.text("SELECT 1"))) == 1
    assert database.place == f"database {name} at 127.0.0.1:{nobody}, {host}:{port}"
    await database.close()


async def test_every_connection_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    async with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            found = [
                await connection.scalar(sa.text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert found == ["wal", 2, 1]
    await engine.dispose()


async def test_a_database_that_cannot_keep_a_journal_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # A private temporary database has no write-ahead log; neither have some network file systems.
    engine = make_engine("sqlite:///file::memory:?uri=true")
    with pytest.raises(StoreUnavailable, match="journal_mode = wal, found memory"):
        await migrate(engine)
    await engine.dispose()


async def test_a_transaction_that_finds_the_zone_moved_starts_again_and_not_for_ever(tmp_path: Path) -> None:
    database = Database(make_engine(f"sqlite:///{tmp_path}/history.db"))
    tries: list[int] = []

    def act(conn: sa.Connection) -> int:
        tries.append(1)
        conn.exec_driver_sql("CREATE TABLE made (one)")
        if len(tries) < 3:
            raise Moved
        return len(tries)

    assert await database.write(act) == 3

    def never(_conn: sa.Connection) -> None:
        raise Moved

    with pytest.raises(StoreUnavailable, match="changed 20 times"):
        await database.write(never)
    await database.close()


async def test_readers_are_not_held_up_by_a_writer(tmp_path: Path) -> None:
    database = Database(make_engine(f"sqlite:///{tmp_path}/history.db"))
    await database.write(lambda conn: conn.exec_driver_sql("CREATE TABLE made (one)").close())
    other = make_engine(f"sqlite:///{tmp_path}/history.db", busy_s_max=0.01)
    async with other.begin() as writer:
        await writer.exec_driver_sql("INSERT INTO made VALUES (1)")
        counted = await asyncio.gather(
            *(database.read(lambda conn: conn.scalar(sa.text("SELECT count(*) FROM made"))) for _ in range(3))
        )
    assert counted == [0, 0, 0]
    await other.dispose()
    await database.close()
