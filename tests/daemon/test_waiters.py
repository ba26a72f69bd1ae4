"""Clients that wait for plans: resolved by an outcome on record, with one read for all of them."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from dnsguard.core.history import Entry, PlanState, StoreUnavailable
from dnsguard.daemon import waiters as module
from dnsguard.daemon.waiters import Waiters

NEVER_S = 60.0
ACCEPTED = Entry("example.test.", 1, "planner", "", 0.0, None, "", PlanState.ACCEPTED, None, None, 1)


class History:
    """Plans by generation, and how often they were read."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.reads = 0
        self.fault: Exception | None = None

    def accept(self, *generations: int) -> None:
        self.entries |= {each: replace(ACCEPTED, generation=each) for each in generations}

    def publish(self, generation: int) -> None:
        self.entries[generation] = replace(self.entries[generation], state=PlanState.PUBLISHED)

    async def read(self, generations: Collection[int]) -> tuple[Entry, ...]:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return tuple(entry for generation, entry in self.entries.items() if generation in generations)


def is_over(entry: Entry) -> bool:
    return entry.state is PlanState.PUBLISHED


async def rest() -> None:
    """Let everything that can go on do so."""
    for _ in range(10):
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)


async def test_an_outcome_resolves_only_its_own_waiters_and_costs_one_read_for_all() -> None:
    history = History()
    history.accept(1, 2)
    waiters = Waiters(history.read)
    first = [asyncio.create_task(waiters.wait(1, is_over, NEVER_S)) for _ in range(500)]
    second = asyncio.create_task(waiters.wait(2, is_over, NEVER_S))
    await rest()
    looked = history.reads
    assert looked <= 2
    history.publish(1)
    waiters.notify()
    assert {entry.state for entry in await asyncio.gather(*first) if entry} == {PlanState.PUBLISHED}
    assert (second.done(), history.reads, len(waiters)) == (False, looked + 1, 1)
    history.publish(2)
    waiters.notify()
    assert await second == history.entries[2]
    assert len(waiters) == 0


async def test_an_outcome_from_before_the_wait_is_seen_at_once() -> None:
    history = History()
    history.accept(1)
    history.publish(1)
    assert await Waiters(history.read).wait(1, is_over, NEVER_S) == history.entries[1]


async def test_when_the_time_is_up_the_plan_is_returned_as_it_was_last_seen() -> None:
    history = History()
    history.accept(1)
    assert await Waiters(history.read).wait(1, is_over, 0.05) == history.entries[1]


async def test_of_a_plan_that_does_not_exist_nothing_is_known_at_once() -> None:
    assert await Waiters(History().read).wait(1, is_over, NEVER_S) is None


async def test_a_client_that_comes_while_others_are_looked_up_is_looked_up_next() -> None:
    history = History()
    history.accept(1, 2)
    history.publish(2)
    late: list[asyncio.Task[Entry | None]] = []

    async def read(generations: Collection[int]) -> tuple[Entry, ...]:
        found = await history.read(generations)
        if not late:
            late.append(asyncio.create_task(waiters.wait(2, is_over, NEVER_S)))
            await rest()
        return found

    waiters = Waiters(read)
    early = asyncio.create_task(waiters.wait(1, is_over, NEVER_S))
    await rest()
    assert await late[0] == history.entries[2]
    early.cancel()


async def test_a_database_that_is_away_ends_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    history = History()
    history.accept(1)
    history.publish(1)
    history.fault = StoreUnavailable("the database is away")
    waiting = asyncio.create_task(Waiters(history.read).wait(1, is_over, NEVER_S))
    await rest()
    assert not waiting.done()
    history.fault = None
    assert await waiting == history.entries[1]


async def test_closing_ends_every_wait_with_what_was_last_seen() -> None:
    history = History()
    history.accept(1)
    waiters = Waiters(history.read)
    waiting = asyncio.create_task(waiters.wait(1, is_over, NEVER_S))
    await rest()
    waiters.close()
    assert await waiting == history.entries[1]
