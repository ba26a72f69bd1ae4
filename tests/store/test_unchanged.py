"""A plan that changes nothing makes no generation, and its idempotency key is answered the same way again."""

import asyncio

import pytest

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, KeyReused, Replaced, Submission, Unchanged
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.refusal import Refusal
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.store.ledger import REMEMBERED_S
from dnsguard.store.sql import SqlStore
from dnsguard.workers.effects import Store
from tests.store.conftest import OpenStore
from tests.store.making import HISTORY, RETIRED, ZONE, a, accepted, key, publish, submit


@pytest.fixture(params=["sql", "memory"])
def either(request: pytest.FixtureRequest, store: SqlStore) -> Store:
    return store if request.param == "sql" else MemoryStore({ZONE: make_history(ZONE, HISTORY)})


async def test_the_same_again_makes_no_generation_and_says_which_one_it_rests_on(either: Store) -> None:
    await accepted(either, {key("www"): a(1)})
    await accepted(either, {key("mail"): a(2)})
    assert await submit(either, {key("www"): a(1)}) == Unchanged(1)
    assert await submit(either, {key("www"): a(1), key("mail"): a(2)}, based_on=2) == Unchanged(2)
    assert (await either.zone(ZONE)).newest == 2
    assert await submit(either, {key("www"): a(1)}, republish=True) == Accepted(3)
    assert await submit(either, {key("www"): a(1, ttl=301)}) == Accepted(4)
    assert await submit(either, {key("www"): RETIRED}) == Accepted(5)
    assert await submit(either, {key("www"): RETIRED}) == Unchanged(5)


async def test_a_plan_that_differs_in_one_rrset_is_a_change_as_a_whole(either: Store) -> None:
    await accepted(either, {key("www"): a(1), key("mail"): a(2)})
    outcome = await submit(either, {key("www"): a(1), key("mail"): a(3)})
    assert isinstance(outcome, Accepted)
    assert (outcome.generation, outcome.replaced) == (2, (Replaced(key("mail"), a(2), a(3), 1),))


async def test_what_a_verification_found_to_differ_is_published_again(either: Store) -> None:
    await accepted(either, {key("www"): a(1)})
    assert await submit(either, {key("www"): a(1)}, open_findings=((key("www"), 1),)) == Accepted(2)
    assert await submit(either, {key("www"): a(1)}, open_findings=((key("www"), 1),)) == Unchanged(2)


async def test_the_guards_are_asked_first(either: Store) -> None:
    await accepted(either, {key("www"): a(1)})
    await accepted(either, {key("www"): a(2)})
    refused = await submit(either, {key("www"): a(2)}, based_on=1)
    assert isinstance(refused, Refusal)
    assert refused.guard == "made_from_what_stands"


async def test_taking_over_what_is_accepted_and_not_published_yet_is_a_change(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    assert await submit(store, {key("www"): a(1)}, adopt=True) == Accepted(2)
    assert await submit(store, {key("www"): a(1)}, adopt=True) == Unchanged(2)


async def test_a_rejected_plan_is_nothing_to_rest_on(either: Store) -> None:
    await accepted(either, {key("www"): a(1)})
    await publish(either, 1)
    await accepted(either, {key("www"): a(66)})
    assert await either.reject(ZONE, 2, "the primary says no", 2000.0) == 3
    assert await submit(either, {key("www"): a(66)}) == Accepted(4)


async def test_a_key_that_was_answered_unchanged_is_answered_so_again_whatever_happened_since(either: Store) -> None:
    same = {key("www"): a(1)}
    await accepted(either, same)
    assert await submit(either, same, idempotency_key="k", body_digest=b"one") == Unchanged(1)
    await accepted(either, {key("www"): a(2)})
    assert await submit(either, same, idempotency_key="k", body_digest=b"one") == Unchanged(1, repeated=True)
    assert await submit(either, same, idempotency_key="k", body_digest=b"two") == KeyReused(1)
    assert await submit(either, same, actor="other", idempotency_key="k", body_digest=b"one") == Accepted(3)


async def test_the_key_is_known_to_other_daemons_and_after_a_restart(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    await accepted(one, {key("www"): a(1)})
    assert await submit(one, {key("www"): a(1)}, idempotency_key="k") == Unchanged(1)
    await one.close()
    await accepted(two, {key("www"): a(2)})
    assert await submit(two, {key("www"): a(1)}, idempotency_key="k") == Unchanged(1, repeated=True)
    again = await open_store()
    assert await submit(again, {key("www"): a(1)}, idempotency_key="k") == Unchanged(1, repeated=True)


async def test_of_two_daemons_that_take_one_key_at_once_both_give_one_answer(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    for turn in range(20):
        await accepted(one, {key("www"): a(1)}, republish=True)
        outcomes = await asyncio.gather(
            submit(one, {key("www"): a(1)}, idempotency_key=f"k{turn}"),
            submit(two, {key("www"): a(1)}, idempotency_key=f"k{turn}"),
            submit(two, {key("www"): a(2 + turn)}, actor="other"),
            submit(one, {key("www"): a(1)}, idempotency_key=f"k{turn}"),
        )
        answers = [each for each in (*outcomes[:2], outcomes[3]) if isinstance(each, Accepted | Unchanged)]
        assert len(answers) == 3, outcomes
        assert len({(type(each), each.generation) for each in answers}) == 1
        assert sorted(each.repeated for each in answers) == [False, True, True]


async def test_unchanged_is_never_said_of_contents_that_another_daemon_has_replaced(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    await accepted(one, {key("www"): a(0)})
    for turn in range(1, 20):
        newest = (await one.zone(ZONE)).newest
        same, other = await asyncio.gather(
            submit(one, {key("www"): a(turn - 1)}, idempotency_key=f"k{turn}"), submit(two, {key("www"): a(turn)})
        )
        assert isinstance(other, Accepted)
        match same:
            case Unchanged(generation):
                assert generation <= newest
            case Accepted(generation):
                assert generation == other.generation + 1  # it came second, and puts back what it wants
                await accepted(two, {key("www"): a(turn)})


async def test_plans_that_wait_together_are_each_judged_by_what_the_ones_before_leave(store: SqlStore) -> None:
    outcomes = await asyncio.gather(
        *(submit(store, {key("www"): a(last)}, idempotency_key=f"k{at}") for at, last in enumerate((1, 1, 2, 2, 1)))
    )
    assert outcomes == [Accepted(1), Unchanged(1), Accepted(2), Unchanged(2), Accepted(3)]
    again = await asyncio.gather(
        *(submit(store, {key("www"): a(last)}, idempotency_key=f"k{at}") for at, last in enumerate((1, 1, 2, 2, 1)))
    )
    assert [(type(each), each.generation) for each in again if not isinstance(each, Refusal)] == [
        (type(each), each.generation) for each in outcomes if not isinstance(each, Refusal)
    ]


async def test_old_answers_are_forgotten_and_so_are_those_of_plans_that_are_pruned(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    for at in range(50):
        how = {"idempotency_key": f"k{at}", "at": 1000.0 + at * REMEMBERED_S / 10}
        assert await submit(store, {key("www"): a(1)}, **how) == Unchanged(1)  # type: ignore[arg-type]
    count = "SELECT count(*) FROM unchanged_answers"
    assert await store._database.read(lambda conn: conn.exec_driver_sql(count).scalar()) == 11
    await accepted(store, {key("www"): a(2)})
    await publish(store, 2)
    await store.prune(ZONE, 2)
    assert await store._database.read(lambda conn: conn.exec_driver_sql(count).scalar()) == 0


async def test_a_dry_run_says_unchanged(either: Store) -> None:
    await accepted(either, {key("www"): a(1)})
    plan = make_plan(ZONE, {key("www"): a(1)})
    submission = Submission(plan, "planner", 1000.0)
    assert (await either.judge(submission, GUARDED, Policy(), {})).unchanged_at == 1
    forced = Submission(plan, "planner", 1000.0, republish=True)
    assert (await either.judge(forced, GUARDED, Policy(), {})).unchanged_at is None
