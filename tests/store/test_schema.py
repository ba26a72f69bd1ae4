import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from dnsguard.store.engine import make_engine
from dnsguard.store.sql import SqlStore
from tests.store.making import a, accepted, key, publish


@pytest.fixture
async def history(store: SqlStore) -> SqlStore:
    """Return a history in which one RRset's live change is not its newest."""
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    await accepted(store, {key("www"): a(2)})
    return store


@pytest.mark.parametrize(
    "wrong",
    [
        "DELETE FROM changes WHERE generation = 1",
        "DELETE FROM changes WHERE generation = 2",
        "DELETE FROM plans WHERE generation = 1",
        "DELETE FROM zones",
        "UPDATE changes SET rdatas = '' WHERE generation = 1",
        "UPDATE changes SET rdatas = NULL, ttl = NULL WHERE generation = 1",
        "UPDATE zones SET newest = 0",
        "UPDATE zones SET published = 3",
        "UPDATE rrsets SET live = 3",
        "INSERT INTO plans SELECT * FROM plans WHERE generation = 1",
    ],
)
async def test_the_database_refuses_what_wrong_code_might_ask(history: SqlStore, url: str, wrong: str) -> None:
    del history
    engine = make_engine(url)
    with pytest.raises(IntegrityError):
        await run(engine, wrong)
    await engine.dispose()


async def test_a_change_that_is_neither_live_nor_newest_may_go(history: SqlStore, url: str) -> None:
    await accepted(history, {key("www"): a(3)})
    engine = make_engine(url)
    assert await run(engine, "DELETE FROM changes WHERE generation = 2") == 1
    await engine.dispose()


async def run(engine: AsyncEngine, statement: str) -> int:
    async with engine.begin() as connection:
        return (await connection.execute(sa.text(statement))).rowcount
