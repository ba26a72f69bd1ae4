from dataclasses import replace

import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import PlanState
from dnsguard.core.plan import Absence, Before, make_plan
from dnsguard.core.refusal import Suspect
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, RETIRED, UNCOVERED, ZONE, a, accepted, fence_at, key, publish


async def states(store: SqlStore) -> dict[int, PlanState]:
    return {entry.generation: entry.state for entry in await store.plans(ZONE, below=None, limit=100)}


async def test_a_record_settles_what_is_on_the_wire_and_what_was_overtaken(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(2), key("mail"): a(2)})
    await accepted(store, {key("www"): a(3)})
    await accepted(store, {key("www"): a(4)})
    fence = await publish(store, 3, at=2000.0)
    assert await states(store) == {
        4: PlanState.ACCEPTED,
        3: PlanState.PUBLISHED,
        2: PlanState.PUBLISHED,
        1: PlanState.SUPERSEDED,
    }
    zone = await store.zone(ZONE)
    assert (zone.published, zone.published_at, zone.fence, zone.pending) == (3, 2000.0, str(fence), 1)
    entry, _ = await store.plan(ZONE, 1)
    assert entry.settled_at == 2000.0


async def test_the_same_observation_twice_is_no_news(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    fence = await publish(store, 1)
    assert not await store.record(ZONE, fence, 2001.0)
    assert (await store.zone(ZONE)).published_at == 2000.0


async def test_a_record_of_an_older_fence_lowers_nothing(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(2)})
    older = await fence_at(store, 1)
    newer = await publish(store, 2)
    assert await store.record(ZONE, older, 2001.0)
    zone = await store.zone(ZONE)
    assert (zone.published, zone.published_at, zone.fence) == (2, 2000.0, str(older))
    assert (await states(store))[2] is PlanState.PUBLISHED
    (change,) = (await store.pending(ZONE, older)).changes
    assert (change.wanted, change.before) == (a(2), Before.HELD)
    assert await store.record(ZONE, newer, 2002.0)


@pytest.mark.parametrize(
    "foreign",
    [
        Fence("f" * 16, 1, "0" * 16),
        Fence(HISTORY, 9, "0" * 16),
        Fence(HISTORY, 1, "0" * 16),
        Fence(HISTORY, 2, "0" * 16),
    ],
    ids=["another history", "ahead", "another digest", "a gap"],
)
async def test_a_fence_of_another_history_is_not_recorded(store: SqlStore, foreign: Fence) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(2)}, stated=5)
    await store.halt(ZONE, "foreign")
    assert not await store.record(ZONE, foreign, 2000.0)
    zone = await store.zone(ZONE)
    assert (zone.published, zone.fence, zone.halted) == (0, None, "foreign")


async def test_a_history_of_the_same_plans_is_still_another_history(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    fence = await fence_at(store, 1)
    assert not await store.record(ZONE, replace(fence, history="f" * 16), 2000.0)
    assert await store.record(ZONE, fence, 2000.0)


async def test_a_publication_in_parts_shows_its_plans_as_under_way(store: SqlStore) -> None:
    for number in range(1, 5):
        await accepted(store, {key(f"host-{number}"): a(number)})
    await publish(store, 1)
    assert await store.record(ZONE, await fence_at(store, 3, Progress(1, 1, 2)), 2001.0)
    zone = await store.zone(ZONE)
    assert (zone.published, zone.published_at) == (1, 2000.0)
    assert await states(store) == {
        4: PlanState.ACCEPTED,
        3: PlanState.PUBLISHING,
        2: PlanState.PUBLISHING,
        1: PlanState.PUBLISHED,
    }
    entry, _ = await store.plan(ZONE, 2)
    assert entry.state is PlanState.PUBLISHING


async def test_a_fault_is_marked_with_its_reason_and_no_longer_pending(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("mail"): a(2)})
    assert await store.record(ZONE, await fence_at(store, 2), 2000.0, [(2, "reads back otherwise")])
    entry, _ = await store.plan(ZONE, 2)
    assert (entry.state, entry.why) == (PlanState.FAULTED, "reads back otherwise")
    assert (await states(store))[1] is PlanState.PUBLISHED
    assert (await store.zone(ZONE)).pending == 0
    assert not await store.record(ZONE, await fence_at(store, 2), 2001.0, [(2, "again")])


async def test_a_halt_is_news_once_and_ends_when_the_zone_moves(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    assert await store.halt(ZONE, "the fence is foreign")
    assert not await store.halt(ZONE, "the fence is foreign")
    assert await store.halt(ZONE, "for another reason")
    await publish(store, 1)
    assert (await store.zone(ZONE)).halted is None


async def test_trust_in_a_fence_ends_with_the_first_fence_of_our_own(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    foreign = Fence("f" * 16, 70, "0" * 16)
    plan = make_plan(ZONE, {key("www"): a(2)}, adopt=True)
    generation = await store.resync(ZONE, plan, str(foreign), 70, "operator", 3000.0)
    assert not await store.record(ZONE, foreign, 3001.0)
    pending = await store.pending(ZONE, foreign)
    assert (pending.target, [change.wanted for change in pending.changes]) == (generation, [a(2)])
    await store.record(ZONE, await fence_at(store, generation, Progress(0, 1, 2)), 3002.0)
    assert (await store.zone(ZONE)).trusted_fence is None
    await publish(store, generation)


async def test_a_rejected_plan_is_put_back_by_a_new_generation(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("gone"): RETIRED})
    await publish(store, 1)
    bad = await accepted(store, {key("www"): a(66), key("gone"): a(66), key("new"): a(66)})
    appended = await store.reject(ZONE, bad, "the primary answered SERVFAIL", 2001.0)
    assert appended == bad + 1
    entry, covered = await store.plan(ZONE, appended)
    assert (entry.actor, entry.reverts, entry.state) == ("dnsguard", bad, PlanState.ACCEPTED)
    assert entry.reason == (
        "puts back what stood before generation 2, which was rejected: the primary answered SERVFAIL"
    )
    assert {found.key: found.wanted for found in covered} == {
        key("gone"): RETIRED,
        key("new"): UNCOVERED,
        key("www"): a(1),
    }
    rejected, wanted = await store.plan(ZONE, bad)
    assert (rejected.state, rejected.why, rejected.settled_at) == (
        PlanState.REJECTED,
        "the primary answered SERVFAIL",
        2001.0,
    )
    assert {found.wanted for found in wanted} == {a(66)}
    assert await store.reject(ZONE, bad, "again", 2002.0) is None


async def test_the_suspects_of_a_rejection_are_kept_in_their_order_until_it_is_mended(store: SqlStore) -> None:
    suspects = (Suspect(key("www", "MX"), "why"), Suspect(key("api"), "why not"))
    await accepted(store, {key("www"): a(1)})
    fence = await publish(store, 1)
    bad = await accepted(store, {key("www"): a(66)})
    assert await store.reject(ZONE, bad, "refused", 2000.0, (), suspects) == 3
    assert (await store.plan(ZONE, bad))[0].suspects == suspects
    assert await store.reject(ZONE, 1, "refused", 2001.0, (), suspects[:1]) is None
    assert (await store.plan(ZONE, 1))[0].suspects == suspects[:1]
    assert await store.record(ZONE, fence, 2003.0, mended=(1,))
    assert (await store.plan(ZONE, 1))[0].suspects == ()


async def test_no_state_has_what_a_rejected_plan_wanted(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    bad = await accepted(store, {key("www"): a(66)})
    await accepted(store, {key("www"): a(3)})
    assert await store.reject(ZONE, bad, "no", 2000.0) == 0
    assert [found.wanted for found in await store.rrsets(ZONE, at=bad)] == [a(1)]
    assert [change.wanted for change in (await store.pending(ZONE, None, bad)).changes] == [a(1)]
    assert [change.wanted for change in (await store.pending(ZONE, None)).changes] == [a(3)]


async def test_what_is_published_cannot_be_rejected_any_more_only_marked_at_fault(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    fence = await publish(store, 1)
    assert await store.reject(ZONE, 7, "there is none", 2001.0) is None
    assert await states(store) == {1: PlanState.PUBLISHED}
    assert await store.reject(ZONE, 1, "too late", 2001.0) is None
    entry, covered = await store.plan(ZONE, 1)
    assert (entry.state, entry.why, [found.wanted for found in covered]) == (PlanState.FAULTED, "too late", [a(1)])
    assert (await store.pending(ZONE, fence)).changes == ()


async def test_what_is_on_record_as_published_by_a_plan_at_fault_is_owed_until_it_is_mended(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("api"): a(1)})
    await accepted(store, {key("api"): a(2)})
    fence = await publish(store, 2)
    assert (await store.pending(ZONE, fence)).owed == ()
    assert await store.record(ZONE, fence, 2001.0, [(1, "not there")])
    owed = (await store.pending(ZONE, fence)).owed
    assert [(c.key, c.wanted, c.generation, c.before) for c in owed] == [(key("www"), a(1), 1, Before.GONE)]
    await accepted(store, {key("api"): a(3)})
    assert (await store.pending(ZONE, fence)).owed == ()
    fence = await publish(store, 3)
    assert [change.generation for change in (await store.pending(ZONE, fence)).owed] == [1]
    assert await store.record(ZONE, fence, 2003.0, mended=(1, 2, 9))
    assert not await store.record(ZONE, fence, 2004.0, mended=(1,))
    assert (await store.pending(ZONE, fence)).owed == ()
    entry, _ = await store.plan(ZONE, 1)
    assert (entry.state, entry.why) == (PlanState.PUBLISHED, None)


async def test_a_put_back_of_pending_contents_that_is_refused_too_goes_back_to_the_wire(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    await accepted(store, {key("www"): a(66), key("new"): a(66)})
    bad = await accepted(store, {key("www"): a(67), key("new"): a(67)})
    put_back = await store.reject(ZONE, bad, "no", 2001.0)
    assert put_back is not None
    _, covered = await store.plan(ZONE, put_back)
    assert {found.key: found.wanted for found in covered} == {key("new"): a(66), key("www"): a(66)}
    again = await store.reject(ZONE, put_back, "no", 2002.0)
    assert again is not None
    _, covered = await store.plan(ZONE, again)
    assert {found.key: found.wanted for found in covered} == {key("new"): UNCOVERED, key("www"): a(1)}


async def test_what_a_publication_left_half_way_created_is_retired_and_not_forgotten(store: SqlStore) -> None:
    bad = await accepted(store, {key("made"): a(66), key("not-yet"): a(66)})
    put_back = await store.reject(ZONE, bad, "no", 2000.0, {key("made"), key("elsewhere")})
    assert put_back is not None
    changes = (await store.pending(ZONE, None)).changes
    assert [(change.wanted, change.adopt) for change in changes] == [(RETIRED, True), (UNCOVERED, False)]
    assert await store.reject(ZONE, put_back, "no", 2001.0) is None
    assert (await store.pending(ZONE, None)).changes == changes


async def test_a_rejection_that_would_want_the_same_again_is_not_made(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await store.record(ZONE, await fence_at(store, 1), 2000.0)
    same = await accepted(store, {key("www"): a(1)}, republish=True)
    assert await store.reject(ZONE, same, "no", 2001.0) is None
    entry, _ = await store.plan(ZONE, same)
    assert (entry.state, entry.why) == (PlanState.FAULTED, "no")


async def test_a_rejection_gets_on_where_a_newer_plan_covers_what_it_was_for(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("api"): a(1)})
    await publish(store, 1)
    bad = await accepted(store, {key("www"): a(66), key("api"): a(1)})
    await accepted(store, {key("www"): a(3)})
    assert await store.reject(ZONE, bad, "no", 2001.0) == 4
    entry, covered = await store.plan(ZONE, 4)
    assert (entry.reverts, [(found.key, found.wanted) for found in covered]) == (bad, [(key("api"), a(1))])
    assert (await states(store))[bad] is PlanState.REJECTED


async def test_that_there_is_no_fence_is_on_record_until_there_is_one(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    fence = await publish(store, 1)
    assert await store.record(ZONE, None, 2001.0)
    assert not await store.record(ZONE, None, 2002.0)
    zone = await store.zone(ZONE)
    assert (zone.fence, zone.published) == (None, 1)
    assert await store.record(ZONE, fence, 2003.0)
    assert (await store.zone(ZONE)).fence == str(fence)


async def test_what_was_nobodys_before_it_was_created_is_retired_too(store: SqlStore) -> None:
    first = await accepted(store, {key("made"): a(66)})
    assert await store.reject(ZONE, first, "no", 2000.0) is not None
    second = await accepted(store, {key("made"): a(67)})
    assert await store.reject(ZONE, second, "no", 2001.0, {key("made")}) is not None
    (change,) = (await store.pending(ZONE, None)).changes
    assert (change.wanted, change.adopt) == (RETIRED, True)


async def test_what_was_created_under_an_older_plan_may_be_overwritten_by_it(store: SqlStore) -> None:
    await accepted(store, {key("made"): a(1)})
    bad = await accepted(store, {key("made"): a(66)})
    assert await store.reject(ZONE, bad, "no", 2000.0, {key("made")}) is not None
    (change,) = (await store.pending(ZONE, None)).changes
    assert (change.wanted, change.before, change.adopt) == (a(1), Before.UNMANAGED, True)


async def test_a_withdrawn_rrset_is_nobodys_again(store: SqlStore) -> None:
    bad = await accepted(store, {key("www"): a(66)}, adopt=True)
    put_back = await store.reject(ZONE, bad, "no", 2000.0)
    assert put_back is not None
    assert await store.unmanaged(ZONE, [key("www")]) == {key("www")}
    await publish(store, put_back)
    assert (await states(store))[put_back] is PlanState.PUBLISHED
    assert await store.unmanaged(ZONE, [key("www")]) == {key("www")}
    assert await store.covered(ZONE) == ()
    await accepted(store, {key("www"): a(2)})
    (change,) = (await store.pending(ZONE, None)).changes
    assert (change.before, change.adopt) == (Before.UNMANAGED, False)


async def test_a_leave_to_adopt_goes_with_the_plan_that_gave_it(store: SqlStore) -> None:
    await accepted(store, {key("one"): a(1)})
    await accepted(store, {key("two"): a(1)}, adopt=True)
    bad = await accepted(store, {key("one"): a(66), key("two"): a(66)}, adopt=True)
    assert await store.reject(ZONE, bad, "no", 2000.0) is not None
    changes = {change.key: change for change in (await store.pending(ZONE, None)).changes}
    assert {of.name: change.adopt for of, change in changes.items()} == {key("one").name: False, key("two").name: True}


async def test_an_empty_plan_of_an_operator_counts_as_published(store: SqlStore) -> None:
    generation = await store.resync(ZONE, make_plan(ZONE, {}), "unreadable", 3, "operator", 1.0)
    await publish(store, generation)
    assert (await states(store)) == {generation: PlanState.PUBLISHED}


async def test_what_is_withdrawn_is_no_absence_that_is_kept(store: SqlStore) -> None:
    await accepted(store, {key("www"): RETIRED})
    assert [found.wanted for found in await store.covered(ZONE)] == [Absence.RETIRED]
