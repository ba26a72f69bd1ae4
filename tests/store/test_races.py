"""Two daemons on one database: stores with engines of their own, at the same time."""

import asyncio

from dnsguard.core.history import Accepted, PlanState
from dnsguard.core.plan import chain_digest
from dnsguard.core.refusal import Refusal
from tests.store.conftest import OpenStore
from tests.store.making import HISTORY, ZONE, a, accepted, fence_at, key, submit


async def test_plans_accepted_at_two_daemons_at_once_are_all_there_in_one_chain(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    outcomes = await asyncio.gather(
        *(
            submit(store, {key(f"host-{number}"): a(number)}, republish=True)
            for number in range(40)
            for store in (one, two)
        )
    )
    generations = [outcome.generation for outcome in outcomes if isinstance(outcome, Accepted)]
    assert sorted(generations) == list(range(1, 81))
    chain = HISTORY
    for entry in reversed(await one.plans(ZONE, below=None, limit=100)):
        chain = chain_digest(chain, entry.generation, bytes.fromhex(entry.digest))
    assert (await two.pending(ZONE, None)).target_digest == chain


async def test_of_plans_made_from_the_same_generation_exactly_one_is_accepted(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    for base in range(20):
        outcomes = await asyncio.gather(
            *(
                submit(store, {key("www"): a(number)}, actor=f"planner-{number}", based_on=base)
                for number, store in enumerate((one, two, one, two))
            )
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        assert winners == [Accepted(base + 1)]
        assert {outcome.guard for outcome in outcomes if isinstance(outcome, Refusal)} == {"made_from_what_stands"}


async def test_one_idempotency_key_is_one_plan_wherever_it_is_sent(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    outcomes = await asyncio.gather(
        *(submit(store, {key("www"): a(1)}, idempotency_key="k", body_digest=b"one") for store in (one, two, one, two))
    )
    assert sorted(repr(outcome) for outcome in outcomes) == sorted(
        [repr(Accepted(1))] + [repr(Accepted(1, repeated=True))] * 3
    )
    assert (await one.zone(ZONE)).newest == 1


async def test_records_that_come_in_any_order_settle_every_plan_once(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    for number in range(12):
        await accepted(one, {key(f"host-{number}"): a(number)})
    fences = [await fence_at(one, generation) for generation in range(1, 13)]
    order = [fences[number * 5 % 12] for number in range(12)]
    await asyncio.gather(*(store.record(ZONE, fence, 2000.0) for fence in order for store in (one, two)))
    zone = await two.zone(ZONE)
    assert (zone.published, zone.pending) == (12, 0)
    entries = await two.plans(ZONE, below=None, limit=20)
    assert {entry.state for entry in entries} == {PlanState.PUBLISHED}
    assert await two.unmanaged(ZONE, [key(f"host-{number}") for number in range(12)]) == frozenset()


async def test_a_plan_is_rejected_once_or_was_on_the_wire_first_and_is_then_at_fault(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    for round_ in range(12):
        generation = await accepted(one, {key("www"): a(round_)})
        fence = await fence_at(one, generation)
        acts = [
            one.record(ZONE, fence, 2000.0),
            two.reject(ZONE, generation, "no", 2000.0),
            one.reject(ZONE, generation, "no", 2000.0),
        ]
        found = await asyncio.gather(*(acts if round_ % 2 else reversed(acts)))
        appended = [outcome for outcome in found if outcome is not None and not isinstance(outcome, bool)]
        entry, _ = await two.plan(ZONE, generation)
        if entry.state is PlanState.REJECTED:
            assert appended == [generation + 1]
        else:
            # It was on record as published first. Nothing puts back what is on the wire; that an enactor found the
            # primary refusing it is kept as a fault, which is mended once the primary takes it.
            assert (entry.state, entry.why, appended) == (PlanState.FAULTED, "no", [])
