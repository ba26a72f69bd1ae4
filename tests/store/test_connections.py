"""PostgreSQL's connections break where it hurts most: what was accepted is there once, and the caller is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dnsguard.core.history import Accepted, StoreUnavailable
from dnsguard.core.plan import chain_digest
from dnsguard.store.engine import Bounds, make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from tests.servers.postgresql import Postgresql
from tests.store.making import HISTORY, ZONE, a, accepted, key, submit
from tests.store.wire_proxy import Cut, WireProxy


@asynccontextmanager
async def opened(url: str, bounds: Bounds | None = None) -> AsyncIterator[SqlStore]:
    store = SqlStore(make_engine(url, bounds=bounds))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def proxy(postgresql: Postgresql) -> AsyncIterator[WireProxy]:
    async with WireProxy(postgresql.address) as proxy:
        yield proxy


@pytest.fixture
def through(postgresql: Postgresql, postgresql_url: str, proxy: WireProxy) -> str:
    """Return the address of a database behind the proxy."""
    return postgresql.url(postgresql_url.rpartition("/")[2], via=proxy.address)


async def whole(store: SqlStore) -> int:
    """Return how many plans there are; they must make one chain."""
    entries = await store.plans(ZONE, below=None, limit=10_000)
    chain = HISTORY
    for entry in reversed(entries):
        chain = chain_digest(chain, entry.generation, bytes.fromhex(entry.digest))
    assert (await store.pending(ZONE, None)).target_digest == chain
    return len(entries)


async def test_a_plan_is_accepted_in_two_round_trips(through: str, proxy: WireProxy) -> None:
    async with opened(through) as store:
        await store.ensure_zone(ZONE, HISTORY)
        await accepted(store, {key("www"): a(1)}, idempotency_key="first")  # the statements are prepared once
        before = proxy.round_trips
        for number in range(10):
            await accepted(store, {key("www"): a(number), key(f"host-{number}"): a(1)}, idempotency_key=f"k{number}")
        assert proxy.round_trips - before == 20


@pytest.mark.parametrize("when", Cut)
@pytest.mark.parametrize("idempotency_key", [None, "k"])
async def test_a_commit_without_an_answer_is_settled_by_looking(
    through: str, proxy: WireProxy, when: Cut, idempotency_key: str | None
) -> None:
    async with opened(through) as store:
        await store.ensure_zone(ZONE, HISTORY)
        assert await accepted(store, {key("www"): a(1)}) == 1
        for generation in range(2, 6):
            proxy.cut(2, when)  # the first request looks, the second writes and commits
            assert await submit(
                store, {key("www"): a(generation)}, idempotency_key=idempotency_key and f"{generation}"
            ) in (
                Accepted(generation),
                Accepted(generation, repeated=True),
            )
            assert await whole(store) == generation
        assert proxy.cuts == 4


async def test_plans_of_others_go_on_while_a_commit_is_unclear(
    through: str, postgresql_url: str, proxy: WireProxy
) -> None:
    async with opened(through) as one, opened(postgresql_url) as other:
        await one.ensure_zone(ZONE, HISTORY)
        await accepted(one, {key("www"): a(1)})
        for when in Cut:
            proxy.cut(2, when)
            outcomes = await asyncio.gather(
                *(
                    submit(store, {key(f"host-{number}"): a(1)}, actor=actor, republish=True)
                    for number in range(8)
                    for store, actor in ((one, "one"), (other, "other"))
                )
            )
            assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert await whole(one) == 49
        assert proxy.cuts == 3


async def test_connections_that_died_unseen_are_replaced_without_a_word(through: str, proxy: WireProxy) -> None:
    async with opened(through) as store:
        await store.ensure_zone(ZONE, HISTORY)
        for number in range(1, 4):
            proxy.drop()
            assert await accepted(store, {key("www"): a(number)}) == number
            proxy.drop()
            assert (await store.zone(ZONE)).newest == number
            proxy.drop()
            assert await store.halt(ZONE, f"reason {number}")


async def test_of_plans_submitted_while_the_server_is_killed_again_and_again_none_is_lost_or_doubled() -> None:
    async with await Postgresql.start() as server:
        engine = make_engine(server.url())
        await migrate(engine)
        await engine.dispose()
        answers: dict[str, int] = {}
        over = asyncio.Event()

        async def plan_for_ever(store: SqlStore, planner: int) -> None:
            number = 0
            while not over.is_set():
                number += 1
                idempotency_key = f"{planner}-{number}"
                while idempotency_key not in answers:
                    try:
                        outcome = await submit(
                            store, {key(f"host-{planner}"): a(number % 250)}, idempotency_key=idempotency_key
                        )
                    except StoreUnavailable:
                        await asyncio.wait([restarts], timeout=0.01)
                        continue
                    assert isinstance(outcome, Accepted)
                    answers[idempotency_key] = outcome.generation

        async def kill() -> None:
            for _ in range(5):
                seen = len(answers)
                while len(answers) < seen + 100:
                    await asyncio.wait([asyncio.create_task(store.zone(ZONE))])
                await server.restart()
            over.set()

        async with opened(server.url()) as store, opened(server.url()) as other:
            await store.ensure_zone(ZONE, HISTORY)
            restarts = asyncio.create_task(kill())
            await asyncio.gather(
                restarts, *(plan_for_ever((store, other)[planner % 2], planner) for planner in range(8))
            )
            assert len(answers) > 500
            assert sorted(answers.values()) == list(range(1, len(answers) + 1))
            assert await whole(other) == len(answers)
