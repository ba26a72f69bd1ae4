import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsguard.core.history import StoreUnavailable
from dnsguard.store.database import Database, Moved
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
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


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://root:hunter2@db/x", "hunter2"])
def test_other_kinds_of_database_are_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="expected a database") as caught:
        make_engine(url)
    assert "hunter2" not in str(caught.value)


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
