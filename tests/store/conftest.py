"""Stores to test: each database in turn, migrated and empty but for one zone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, ZONE

OpenStore = Callable[[], Awaitable[SqlStore]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a database of its own for each test."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a database without any table."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url_empty"))
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture
async def open_store(url: str) -> AsyncIterator[OpenStore]:
    """Return a function that opens one more store, as another daemon would, on the test's database."""
    async with AsyncExitStack() as stack:

        async def opened() -> SqlStore:
            engine = make_engine(url)
            stack.push_async_callback(engine.dispose)
            await migrate(engine)
            store = SqlStore(engine)
            stack.push_async_callback(store.close)
            await store.ensure_zone(ZONE, HISTORY)
            return store

        yield opened


@pytest.fixture
async def store(open_store: OpenStore) -> SqlStore:
    return await open_store()
