"""Turns at a primary: bounded, in rotation among parties, and never lost."""

import asyncio

import pytest

from dnsguard.wire.turns import Turns


async def queue_up(turns: Turns, parties: str, order: list[str]) -> list[asyncio.Task[None]]:
    """Have each party of a word ask for a turn, in order, and hand it on at once when it has it."""

    async def ask(party: str) -> None:
        async with turns.held(party):
            order.append(party)

    tasks = [asyncio.create_task(ask(party)) for party in parties]
    await asyncio.wait(tasks, timeout=0)
    return tasks


async def test_turns_go_round_among_those_who_wait_however_much_one_of_them_wants() -> None:
    turns, order = Turns(1), list[str]()
    await turns.take("holder")
    tasks = await queue_up(turns, "aaaabbc", order)
    turns.give_back()
    await asyncio.gather(*tasks)
    assert "".join(order) == "abcabaa"


async def test_there_are_never_more_than_so_many_turns_at_once() -> None:
    turns = Turns(3)
    held = most = 0

    async def work(party: int) -> None:
        nonlocal held, most
        async with turns.held(party):
            held += 1
            most = max(most, held)
            for _ in range(party):
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
            held -= 1

    await asyncio.gather(*(work(index % 5) for index in range(40)))
    assert (held, most) == (0, 3)


async def test_who_goes_away_leaves_the_queue_and_loses_no_turn() -> None:
    turns, order = Turns(1), list[str]()
    await turns.take("holder")
    tasks = await queue_up(turns, "abc", order)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    turns.give_back()
    # The turn has just been handed to b, who is cancelled before it could look.
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    await tasks[2]
    assert order == ["c"]
    async with asyncio.timeout(1):
        await turns.take("anybody")
