import aiosqlite
import pytest

from dnsguard.store.sql import SqlStore
from tests.store.making import a, accepted, key, publish


@pytest.fixture
async def raw(store: SqlStore, url: str) -> str:
    """Return the file of a history in which one RRset's live change is not its newest."""
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    await accepted(store, {key("www"): a(2)})
    return url.removeprefix("sqlite:///")


@pytest.mark.parametrize(
    "wrong",
    [
        "DELETE FROM changes WHERE generation = 1",
        "DELETE FROM changes WHERE generation = 2",
        "DELETE FROM plans WHERE generation = 1",
        "DELETE FROM zones",
        "UPDATE changes SET rdatas = x'' WHERE generation = 1",
        "UPDATE changes SET rdatas = NULL, ttl = NULL WHERE generation = 1",
        "UPDATE zones SET newest = 0",
        "UPDATE zones SET published = 3",
        "UPDATE rrsets SET live = 3",
        "INSERT INTO plans SELECT * FROM plans WHERE generation = 1",
    ],
)
async def test_the_database_refuses_what_wrong_code_might_ask(raw: str, wrong: str) -> None:
    async with aiosqlite.connect(raw) as connection:
        await connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(aiosqlite.IntegrityError):
            await connection.execute(wrong)


async def test_a_change_that_is_neither_live_nor_newest_may_go(store: SqlStore, raw: str) -> None:
    await accepted(store, {key("www"): a(3)})
    async with aiosqlite.connect(raw) as connection:
        await connection.execute("PRAGMA foreign_keys = ON")
        deleted = await connection.execute("DELETE FROM changes WHERE generation = 2")
        assert deleted.rowcount == 1
