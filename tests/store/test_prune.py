import pytest

from dnsguard.core.history import GenerationUnknown, PlanState
from dnsguard.store import prune
from dnsguard.store.sql import SqlStore
from tests.store.making import RETIRED, ZONE, a, accepted, key, publish


async def test_what_is_superseded_goes_and_what_stands_stays(store: SqlStore) -> None:
    await accepted(store, {key("old"): a(1), key("gone"): RETIRED})
    await accepted(store, {key("www"): a(2)})
    await accepted(store, {key("www"): a(3)})
    await accepted(store, {key("www"): a(4)})
    await publish(store, 4)
    before = [await store.rrsets(ZONE, at=generation) for generation in (3, 4)]
    assert await store.prune(ZONE, 3) == 2
    assert (await store.zone(ZONE)).kept_from == 3
    assert [await store.rrsets(ZONE, at=generation) for generation in (3, 4)] == before
    assert [entry.generation for entry in await store.plans(ZONE, below=None, limit=9)] == [4, 3, 1]
    with pytest.raises(GenerationUnknown, match="from 3 to 4"):
        await store.rrsets(ZONE, at=2)
    assert await store.prune(ZONE, 3) == 0
    assert await store.prune(ZONE, 2) == 0
    assert (await store.zone(ZONE)).kept_from == 3


async def test_a_backlog_is_never_pruned(store: SqlStore) -> None:
    for number in range(1, 7):
        await accepted(store, {key("www"): a(number)})
    assert await store.prune(ZONE, 5) == 0
    await publish(store, 2)
    assert await store.prune(ZONE, 5) == 2
    assert (await store.zone(ZONE)).kept_from == 2
    assert [entry.generation for entry in await store.plans(ZONE, below=None, limit=9)] == [6, 5, 4, 3, 2]


async def test_a_rejected_plan_is_forgotten_with_what_it_wanted(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(66)})
    assert await store.reject(ZONE, 2, "no", 2000.0) == 3
    await accepted(store, {key("www"): a(4)})
    await publish(store, 4)
    assert await store.prune(ZONE, 4) == 6
    (entry,) = await store.plans(ZONE, below=None, limit=9)
    assert (entry.generation, entry.state) == (4, PlanState.PUBLISHED)


async def test_a_long_history_goes_in_slices_that_are_each_whole(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "CHANGES_AT_ONCE", 3)
    for number in range(1, 31):
        await accepted(store, {key("www"): a(number), key(f"host-{number % 7}"): a(number)})
    await publish(store, 30)
    standing = await store.rrsets(ZONE)
    gone = await store.prune(ZONE, 30)
    assert await store.rrsets(ZONE) == standing
    kept = await store.plans(ZONE, below=None, limit=99)
    assert [entry.generation for entry in kept] == [30, 29, 28, 27, 26, 25, 24]
    assert gone == (60 - 8) + (30 - 7)
