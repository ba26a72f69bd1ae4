"""Withdrawing plans, and plans that wait, in the database: what the fence decides is what is on record."""

import asyncio

import pytest
import sqlalchemy as sa

from dnsguard.core.fence import Progress
from dnsguard.core.history import GenerationUnknown, PlanState
from dnsguard.core.plan import Before
from dnsguard.store.schema import plans
from dnsguard.store.sql import SqlStore
from tests.store.conftest import OpenStore
from tests.store.making import UNCOVERED, ZONE, a, accepted, fence_at, key, publish


async def state(store: SqlStore, generation: int) -> tuple[PlanState, str | None]:
    entry, _ = await store.plan(ZONE, generation)
    return entry.state, entry.why


async def withdraw(store: SqlStore, generation: int) -> str | None:
    refusal = await store.withdraw(ZONE, generation, "withdrawn by ops", "ops", 3000.0)
    return None if refusal is None else refusal.detail


async def test_a_plan_is_withdrawn_once_the_fence_has_passed_its_barrier(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    await accepted(store, {key("www"): a(2), key("new"): a(2)})
    assert await withdraw(store, 2) is None
    assert await state(store, 2) == (PlanState.WITHDRAWING, "withdrawn by ops")
    zone = await store.zone(ZONE)
    assert (zone.newest, zone.pending, zone.withdrawing) == (3, 2, 1)
    barrier, covered = await store.plan(ZONE, 3)
    assert (barrier.actor, barrier.reverts) == ("ops", 2)
    assert {each.key: each.wanted for each in covered} == {key("www"): a(1), key("new"): UNCOVERED}
    await publish(store, 3)
    assert await state(store, 2) == (PlanState.WITHDRAWN, "withdrawn by ops")
    assert {each.key: each.wanted for each in await store.rrsets(ZONE, at=2)} == {key("www"): a(1)}
    _, kept = await store.plan(ZONE, 2)
    assert {each.key: each.wanted for each in kept} == {key("www"): a(2), key("new"): a(2)}
    assert await withdraw(store, 2) is None
    assert (await store.zone(ZONE)).newest == 3


async def test_a_plan_that_reached_the_wire_first_is_published_and_its_contents_stand(store: SqlStore) -> None:
    await accepted(store, {key("new"): a(1)})
    assert await withdraw(store, 1) is None
    fence = await fence_at(store, 1)
    pending = await store.pending(ZONE, fence)
    assert pending.record_first
    assert (pending.target, pending.changes) == (1, ())
    assert await store.record(ZONE, fence, 2000.0)
    assert await state(store, 1) == (PlanState.PUBLISHED, None)
    assert (await state(store, 2))[0] is PlanState.REJECTED
    pending = await store.pending(ZONE, fence)
    assert not pending.record_first
    assert [(each.key, each.wanted, each.before) for each in pending.changes] == [(key("new"), a(1), Before.HELD)]
    detail = await withdraw(store, 1)
    assert detail is not None
    assert "dnsguard rollback 0" in detail


async def test_a_publication_in_parts_with_the_plan_in_it_goes_on(store: SqlStore) -> None:
    await accepted(store, {key("a"): a(1), key("b"): a(1)})
    assert await withdraw(store, 1) is None
    part = await fence_at(store, 1, Progress(0, 1, 2))
    assert (await store.pending(ZONE, part)).record_first
    assert await store.record(ZONE, part, 2000.0)
    assert (await state(store, 1))[0] is PlanState.PUBLISHING
    resumed = await store.pending(ZONE, part)
    assert (resumed.target, len(resumed.changes)) == (1, 2)
    detail = await withdraw(store, 1)
    assert detail is not None
    assert "is publishing" in detail or "is being published" in detail


@pytest.mark.parametrize("generation", [0, 9])
async def test_what_is_no_plan_is_unknown(store: SqlStore, generation: int) -> None:
    with pytest.raises(GenerationUnknown):
        await withdraw(store, generation)


async def test_of_a_withdrawal_and_a_record_at_once_one_sees_the_other(open_store: OpenStore) -> None:
    one, other = await open_store(), await open_store()
    for generation in range(1, 21):
        # Odd generations are the plans; each round ends with a number that is even.
        newest = (await one.zone(ZONE)).newest
        plan = await accepted(one, {key("www"): a(generation)})
        assert plan == newest + 1
        fence = await fence_at(one, plan)
        refused, _ = await asyncio.gather(withdraw(one, plan), other.record(ZONE, fence, 2000.0))
        if refused is None:
            await other.record(ZONE, fence, 2000.0)  # it was observed before, and is observed again
        assert (await state(one, plan))[0] is PlanState.PUBLISHED
        newest = (await one.zone(ZONE)).newest
        await one.record(ZONE, await fence_at(one, newest), 2000.0)


async def test_a_plan_that_waits_is_part_of_no_state_and_survives_pruning(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await publish(store, 1)
    await accepted(store, {key("www"): a(2)})
    assert await store.reject(ZONE, 2, "www cannot be read", 2000.0, waits=True) == 3
    assert await state(store, 2) == (PlanState.WAITING, "www cannot be read")
    fence = await publish(store, 3)
    for number in range(4, 9):
        await accepted(store, {key("mail"): a(number)})
    fence = await publish(store, 8)
    await store.prune(ZONE, 8)
    (waiting,) = (await store.pending(ZONE, fence)).waiting
    assert waiting.generation == 2
    assert [(each.key, each.wanted, each.before) for each in waiting.changes] == [(key("www"), a(2), Before.HELD)]
    assert [(each.generation, each.state) for each in await store.unfinished(ZONE, limit=9)] == [(2, PlanState.WAITING)]
    assert await store.resume(ZONE, 2, 4000.0) == 9
    assert await state(store, 2) == (PlanState.SUPERSEDED, "accepted again as generation 9")
    assert await store.resume(ZONE, 2, 4000.0) is None
    entry, covered = await store.plan(ZONE, 9)
    assert (entry.actor, [each.wanted for each in covered]) == ("planner", [a(2)])


async def test_a_plan_that_waits_is_withdrawn_at_once_if_what_puts_back_is_published(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await store.reject(ZONE, 1, "www cannot be read", 2000.0, waits=True)
    assert await withdraw(store, 1) is None
    assert (await state(store, 1))[0] is PlanState.WITHDRAWING
    await publish(store, 2)
    assert (await state(store, 1))[0] is PlanState.WITHDRAWN
    await accepted(store, {key("www"): a(2)})
    await store.reject(ZONE, 3, "www cannot be read", 2000.0, waits=True)
    await publish(store, 4)
    assert await withdraw(store, 3) is None
    assert await state(store, 3) == (PlanState.WITHDRAWN, "withdrawn by ops")
    assert await store.resume(ZONE, 3, 4000.0) is None


async def test_the_database_itself_refuses_other_states(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    for said in (
        sa.update(plans).values(state="lost"),
        sa.update(plans).values(state="withdrawn"),
        sa.update(plans).values(state="waiting", settled_at=1.0),
    ):
        with pytest.raises(sa.exc.IntegrityError):
            async with store._database.engine.begin() as connection:
                await connection.execute(said)
