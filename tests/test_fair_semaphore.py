"""A fair semaphore: bounded, in rotation among parties, and no place is ever lost."""

import asyncio

import pytest

from dnsguard.fair_semaphore import FairSemaphore


async def queue_up(places: FairSemaphore, parties: str, order: list[str]) -> list[asyncio.Task[None]]:
    """Have each party of a word ask for a turn, in order, and hand it on at once when it has it."""

    async def ask(party: str) -> None:
        async with places.held(party):
            order.append(party)

    tasks = [asyncio.create_task(ask(party)) for party in parties]
    await asyncio.wait(tasks, timeout=0)
    return tasks


async def test_places_go_round_among_parties_however_much_one_of_them_wants() -> None:
    places, order = FairSemaphore(1), list[str]()
    await places.acquire("holder")
    tasks = await queue_up(places, "aaaabbc", order)
    places.release()
    await asyncio.gather(*tasks)
    assert "".join(order) == "abcabaa"


async def test_there_are_never_more_holders_than_the_limit() -> None:
    places = FairSemaphore(3)
    held = most = 0

    async def work(party: int) -> None:
        nonlocal held, most
        async with places.held(party):
            held += 1
            most = max(most, held)
            for _ in range(party):
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
            held -= 1

    await asyncio.gather(*(work(index % 5) for index in range(40)))
    assert (held, most) == (0, 3)


async def test_a_cancelled_waiter_leaves_the_queue_and_loses_no_place() -> None:
    places, order = FairSemaphore(1), list[str]()
    await places.acquire("holder")
    tasks = await queue_up(places, "abc", order)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    places.release()
    # The place has just been handed to b, who is cancelled before it could look.
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await tasks[2]
    assert order == ["c"]
    async with asyncio.timeout(1):
        await places.acquire("anybody")


async def test_one_that_wants_many_places_gets_them_in_its_round_and_never_more_than_all() -> None:
    places, order = FairSemaphore(10), list[str]()
    assert await places.acquire("holder", 99) == 10

    async def ask(party: str, count: int) -> None:
        async with places.held(party, count):
            order.append(party)
            assert places.free >= 0

    tasks = [asyncio.create_task(ask(party, count)) for party, count in (("a", 8), ("b", 3), ("c", 1))]
    await asyncio.wait(tasks, timeout=0)
    places.release(4)
    await asyncio.wait(tasks, timeout=0)
    assert order == []  # smaller wishes do not overtake a large one for ever
    places.release(6)
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]
    assert places.free == 10


async def test_a_large_wish_that_is_cancelled_lets_the_smaller_ones_through() -> None:
    places, order = FairSemaphore(10), list[str]()
    await places.acquire("holder", 5)
    large = asyncio.create_task(places.acquire("a", 8))
    await asyncio.wait([large], timeout=0)
    tasks = await queue_up(places, "b", order)
    large.cancel()
    await asyncio.gather(*tasks)
    assert order == ["b"]
    assert places.free == 5
