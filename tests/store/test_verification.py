"""What a verifier asks of the history, on each database."""

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, Covered, Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.repair import ACTOR, REASON
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, RETIRED, ZONE, a, accepted, key


async def test_everything_that_a_range_wanted_is_told_rejected_plans_included(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("old"): a(1)})
    await accepted(store, {key("www"): a(2)})
    await accepted(store, {key("www"): a(3), key("old"): RETIRED})
    assert await store.reject(ZONE, 3, "the primary says no", 1000.0) == 4
    found = await store.contents_between(ZONE, 1, 4)
    assert found == (
        Covered(key("www"), a(2), 2),
        Covered(key("old"), RETIRED, 3),
        Covered(key("www"), a(3), 3),
        Covered(key("old"), a(1), 4),
        Covered(key("www"), a(2), 4),
    )
    assert await store.contents_between(ZONE, 4, 4) == ()


async def test_a_plan_that_takes_over_what_it_found_is_known_as_one_to_both_stores(store: SqlStore) -> None:
    memory = MemoryStore({ZONE: make_history(ZONE, HISTORY)})
    found = make_plan(ZONE, {key("www"): a(1)}, as_found=True)
    other = make_plan(ZONE, {key("mail"): a(2)})
    pending = []
    for each in (store, memory):
        for plan in (found, other):
            await each.accept(Submission(plan, "tests", 1000.0), GUARDED, Policy(), {key("www"): a(1)})
        pending.append(await each.pending(ZONE, None))
    assert {change.key: change.as_found for change in pending[0].changes} == {key("www"): True, key("mail"): False}
    assert pending[0] == pending[1]
    assert pending[0].target_digest != (await store.pending(ZONE, None, 1)).target_digest


async def repaired(store: SqlStore, at: float, actor: str = ACTOR, reason: str = REASON + "it was gone") -> None:
    plan = make_plan(ZONE, {key("www"): a(1), key("mail"): a(2)}, reason=reason)
    assert isinstance(await store.accept(Submission(plan, actor, at, republish=True), GUARDED, Policy(), {}), Accepted)


async def test_repairs_are_known_by_rrset_and_time_and_nothing_else_is_taken_for_one(store: SqlStore) -> None:
    for at in (1000.0, 2000.0, 3000.0):
        await repaired(store, at)
    await repaired(store, 4000.0, actor="somebody")
    await repaired(store, 5000.0, reason="puts back what stood before")
    assert await store.repairs_since(ZONE, 2000.0) == {
        key("www"): (2000.0, 3000.0),
        key("mail"): (2000.0, 3000.0),
    }
