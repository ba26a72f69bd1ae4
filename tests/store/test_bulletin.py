"""News between daemons: what one does, another hears; a lost connection is said, and one that is made anew works."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dnsguard.core.history import StoreUnavailable
from dnsguard.store.bulletin import Act, News
from dnsguard.store.engine import make_engine
from dnsguard.store.sql import SqlStore
from tests.servers.postgresql import Postgresql
from tests.store.conftest import OpenStore
from tests.store.making import ZONE, a, accepted, key, publish
from tests.store.wire_proxy import WireProxy

on_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


class Listener:
    """Hears a store's news in a task of its own."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.heard: asyncio.Queue[News | str] = asyncio.Queue()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async for news in self._store.news():
                self.heard.put_nowait(news)
        except StoreUnavailable as error:
            self.heard.put_nowait(str(error))

    async def opened(self) -> None:
        while not self._store.is_heard:
            await asyncio.wait([self.task], timeout=0.01)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def listeners(open_store: OpenStore) -> AsyncIterator[tuple[SqlStore, SqlStore, Listener]]:
    one, two = await open_store(), await open_store()
    mine, other = Listener(one), Listener(two)
    await mine.opened()
    await other.opened()
    yield one, two, other
    await mine.close()
    await other.close()


@on_postgresql
async def test_what_one_daemon_accepts_and_records_another_hears(
    listeners: tuple[SqlStore, SqlStore, Listener],
) -> None:
    one, two, other = listeners
    await accepted(two, {key("own"): a(1)})  # of its own acts it hears nothing
    await accepted(one, {key("www"): a(1)})
    assert await other.heard.get() == News(ZONE, Act.ACCEPTED)
    await publish(one, 2)
    assert await other.heard.get() == News(ZONE, Act.RECORDED)
    assert other.heard.empty()


@on_postgresql
async def test_nothing_is_heard_of_what_changed_nothing(listeners: tuple[SqlStore, SqlStore, Listener]) -> None:
    one, _, other = listeners
    await accepted(one, {key("www"): a(1)}, idempotency_key="k")
    await accepted(one, {key("www"): a(1)}, idempotency_key="k")
    fence = await publish(one, 1)
    await one.record(ZONE, fence, 2001.0)
    await accepted(one, {key("www"): a(2)})
    acts = [await other.heard.get() for _ in range(3)]
    assert [news.act for news in acts if isinstance(news, News)] == [Act.ACCEPTED, Act.RECORDED, Act.ACCEPTED]
    assert other.heard.empty()


async def test_a_lost_listener_says_so_and_another_hears_again(postgresql: Postgresql, postgresql_url: str) -> None:
    async with WireProxy(postgresql.address) as proxy:
        store = SqlStore(make_engine(postgresql.url(postgresql_url.rpartition("/")[2], via=proxy.address)))
        other = SqlStore(make_engine(postgresql_url))
        await store.ensure_zone(ZONE, "0" * 16)
        speaker = Listener(other)
        await speaker.opened()
        for number in range(3):
            listener = Listener(store)
            await listener.opened()
            await accepted(other, {key("www"): a(number)})
            assert await listener.heard.get() == News(ZONE, Act.ACCEPTED)
            proxy.drop()
            lost = await listener.heard.get()
            assert isinstance(lost, str)
            assert "found the connection gone" in lost
            assert not store.is_heard
        await speaker.close()
        await store.close()
        await other.close()


async def test_a_listener_that_gets_a_connection_that_died_unseen_says_so_and_the_next_one_hears(
    postgresql: Postgresql, postgresql_url: str
) -> None:
    async with WireProxy(postgresql.address) as proxy:
        store = SqlStore(make_engine(postgresql.url(postgresql_url.rpartition("/")[2], via=proxy.address)))
        await store.ensure_zone(ZONE, "0" * 16)
        proxy.drop()
        first = Listener(store)
        await first.task
        assert "found the connection gone" in str(first.heard.get_nowait())
        second = Listener(store)
        await second.opened()
        await second.close()
        await store.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_sqlite_has_no_news(store: SqlStore) -> None:
    assert [news async for news in store.news()] == []
    assert not store.is_heard
