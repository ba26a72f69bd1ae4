import asyncio
from dataclasses import replace

import sqlalchemy as sa

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, StoreUnavailable
from dnsguard.core.submission import Submitted
from dnsguard.store.engine import make_engine
from dnsguard.store.sql import TOGETHER_MAX, SqlStore
from tests.store.making import ZONE, a, key, submit


def broken(_facts: Submitted) -> None:
    raise ArithmeticError("a guard has a fault")


async def test_plans_that_wait_together_are_each_judged_against_the_ones_before(store: SqlStore) -> None:
    outcomes = await asyncio.gather(*(submit(store, {key("www"): a(number)}, based_on=number) for number in range(9)))
    assert outcomes == [Accepted(generation) for generation in range(1, 10)]


async def test_more_than_go_together_are_all_accepted_in_the_order_in_which_they_came(store: SqlStore) -> None:
    count = 2 * TOGETHER_MAX + 7
    outcomes = await asyncio.gather(*(submit(store, {key(f"host-{number}"): a(1)}) for number in range(count)))
    assert outcomes == [Accepted(generation) for generation in range(1, count + 1)]


async def test_a_fault_in_judging_one_plan_is_that_plans_alone(store: SqlStore) -> None:
    good, bad, late = await asyncio.gather(
        submit(store, {key("one"): a(1)}),
        submit(store, {key("two"): a(1)}, guards=replace(GUARDED, submit=(broken,))),
        submit(store, {key("three"): a(1)}),
        return_exceptions=True,
    )
    assert (good, late) == (Accepted(1), Accepted(2))
    assert isinstance(bad, ArithmeticError)
    assert [found.key for found in await store.covered(ZONE)] == [key("one"), key("three")]


async def test_a_caller_that_goes_away_takes_only_its_own_plan_along(store: SqlStore) -> None:
    async with store._database._turns:
        first = asyncio.create_task(submit(store, {key("first"): a(1)}))
        while ZONE not in store._doors or ZONE in store._queues:
            await asyncio.wait([first], timeout=0)
        waiting = [asyncio.create_task(submit(store, {key(f"host-{number}"): a(1)})) for number in range(3)]
        while len(store._queues.get(ZONE, ())) < 3:
            await asyncio.wait(waiting, timeout=0)
        waiting[1].cancel()
        first.cancel()
    outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        asyncio.CancelledError,
        Accepted,
        asyncio.CancelledError,
        Accepted,
    ]
    # The transaction of the first had begun: its plan is accepted although nobody waits for the answer.
    assert {found.key for found in await store.covered(ZONE)} == {key("first"), key("host-0"), key("host-2")}


async def test_everybody_who_waited_for_a_failed_transaction_is_told(empty_url: str) -> None:
    store = SqlStore(make_engine(empty_url))
    outcomes = await asyncio.gather(*(submit(store, {key("www"): a(1)}) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    await store.close()


async def test_closing_finishes_what_is_being_accepted(url: str, store: SqlStore) -> None:
    task = asyncio.create_task(submit(store, {key("www"): a(1)}))
    while ZONE not in store._doors:
        await asyncio.wait([task], timeout=0)
    await store.close()
    assert await task == Accepted(1)
    again = SqlStore(make_engine(url))
    assert [found.wanted for found in await again.covered(ZONE)] == [a(1)]
    await again.close()


async def test_accepting_many_plans_together_takes_one_transaction(store: SqlStore) -> None:
    begun = 0
    engine = store._database.sender

    @sa.event.listens_for(engine, "commit")
    def counted(_conn: object) -> None:
        nonlocal begun
        begun += 1

    await asyncio.gather(*(submit(store, {key(f"host-{number}"): a(1)}) for number in range(100)))
    assert begun <= 2
    assert begun or engine.dialect.name == "postgresql", "PostgreSQL commits each statement by itself"


async def test_a_zone_is_made_once(store: SqlStore) -> None:
    made = await asyncio.gather(*(store.ensure_zone("new.test.", digit * 16) for digit in "0123456789abcdef"))
    assert len({zone.history for zone in made}) == 1
