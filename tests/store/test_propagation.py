"""What is on record of name servers goes forward only, and is never ahead of what is published."""

import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.store.sql import SqlStore
from tests.store.conftest import OpenStore
from tests.store.making import HISTORY, ZONE, a, accepted, fence_at, key, publish


async def published(store: SqlStore, count: int) -> list[Fence]:
    """Have some plans accepted and published, each a hundred seconds after the one before."""
    fences = []
    for generation in range(1, count + 1):
        await accepted(store, {key("www"): a(generation)})
        fences.append(await publish(store, generation, at=100.0 * generation))
    return fences


async def times(store: SqlStore) -> dict[int, float | None]:
    return {entry.generation: entry.propagated_at for entry in await store.plans(ZONE, below=None, limit=100)}


async def test_propagation_is_recorded_on_the_zone_and_on_every_plan_up_to_there(store: SqlStore) -> None:
    await published(store, 3)
    assert await store.propagate(ZONE, 2, ("ns1", "ns2"), 250.0)
    zone = await store.zone(ZONE)
    assert (zone.propagated, zone.propagated_at) == (2, 250.0)
    assert await times(store) == {3: None, 2: 250.0, 1: 250.0}
    assert await store.propagate(ZONE, 3, ("ns1", "ns2"), 350.0)
    assert await times(store) == {3: 350.0, 2: 250.0, 1: 250.0}


async def test_nothing_on_record_goes_back_or_ahead_of_what_is_published(store: SqlStore) -> None:
    await published(store, 2)
    await accepted(store, {key("www"): a(3)})
    assert not await store.propagate(ZONE, 3, ("ns1",), 1.0)
    assert await store.propagate(ZONE, 2, ("ns1",), 2.0)
    for generation in (1, 2):
        assert not await store.propagate(ZONE, generation, ("ns1",), 3.0)
    assert (await store.zone(ZONE)).propagated_at == 2.0
    assert (await store.track(ZONE, (), ())).served == {"ns1": 2}


async def test_a_rejected_plan_never_propagates(store: SqlStore) -> None:
    await published(store, 1)
    await accepted(store, {key("mail"): a(2)})
    assert await store.reject(ZONE, 2, "no", 150.0) == 3
    await publish(store, 3, at=200.0)
    assert await store.propagate(ZONE, 3, ("ns1",), 250.0)
    assert await times(store) == {3: 250.0, 2: None, 1: 250.0}


async def test_a_server_that_comes_later_is_on_record_from_then_on(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    await published(one, 3)
    assert await one.propagate(ZONE, 1, ("ns1",), 1.0)
    assert await other.propagate(ZONE, 3, ("ns1", "ns2"), 3.0)
    assert not await one.propagate(ZONE, 2, ("ns1",), 4.0)
    assert (await one.track(ZONE, (), ())).served == {"ns1": 3, "ns2": 3}


async def test_fences_are_held_against_the_history(store: SqlStore) -> None:
    first, second = await published(store, 2)
    under_way = await fence_at(store, 2, Progress(1, 1, 2))
    foreign = Fence("f" * 16, 1, first.digest)
    chained = Fence(HISTORY, 1, second.digest)
    ahead = Fence(HISTORY, 9, first.digest)
    found = await store.track(ZONE, {first, second, under_way, foreign, chained, ahead}, ())
    assert found.ours == {first, second, under_way}


async def test_how_long_somebody_is_behind_counts_from_the_first_plan_that_it_lacks(store: SqlStore) -> None:
    await published(store, 3)
    found = await store.track(ZONE, (), {0, 1, 2, 3})
    assert found.published_after == {0: 100.0, 1: 200.0, 2: 300.0}


@pytest.mark.parametrize("generation", [0, 2])
async def test_propagation_of_an_empty_zone_is_no_news(store: SqlStore, generation: int) -> None:
    assert not await store.propagate(ZONE, generation, ("ns1",), 1.0)
