from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, KeyReused, Submission, ZoneUnknown
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Submitted
from dnsguard.store.door import Caller, decide
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, RETIRED, ZONE, a, accepted, key, publish, submit


async def test_generations_go_up_by_one_and_a_stated_one_leaves_a_gap(store: SqlStore) -> None:
    assert await accepted(store, {key("www"): a(1)}) == 1
    assert await accepted(store, {key("www"): a(2)}) == 2
    assert await accepted(store, {key("www"): a(3)}, stated=40) == 40
    assert await accepted(store, {key("www"): a(4)}) == 41
    refused = await submit(store, {key("www"): a(5)}, stated=40)
    assert isinstance(refused, Refusal)
    assert refused.guard == "generation_forward"
    assert (await store.zone(ZONE)).newest == 41


async def test_a_refused_plan_leaves_nothing_behind(store: SqlStore) -> None:
    refused = await submit(store, {key("@", "SOA"): a(1)})
    assert isinstance(refused, Refusal)
    zone = await store.zone(ZONE)
    assert (zone.newest, zone.pending) == (0, 0)
    assert await store.plans(ZONE, below=None, limit=10) == ()
    assert await store.covered(ZONE) == ()


async def test_a_repetition_under_an_idempotency_key_gives_the_first_answer(store: SqlStore) -> None:
    first = await submit(store, {key("www"): a(1)}, idempotency_key="k", body_digest=b"one")
    await accepted(store, {key("www"): a(2)})
    again = await submit(store, {key("www"): a(1)}, based_on=0, idempotency_key="k", body_digest=b"one")
    other = await submit(store, {key("www"): a(3)}, idempotency_key="k", body_digest=b"two")
    stranger = await submit(store, {key("www"): a(3)}, actor="other", idempotency_key="k", body_digest=b"two")
    assert (first, again, other) == (Accepted(1), Accepted(1, repeated=True), KeyReused(1))
    assert stranger == Accepted(3)


async def test_who_was_told_nothing_of_a_repetition_is_told_once_the_database_is_back(store: SqlStore) -> None:
    await submit(store, {key("www"): a(1)}, idempotency_key="k", body_digest=b"one")
    plan = make_plan(ZONE, {key("www"): a(1)}, reason="a test")
    caller = Caller(Submission(plan, "planner", 1000.0, "k", b"one"), GUARDED, Policy(), None)
    look = partial(decide, zone=ZONE, callers=[caller])
    unclear = await store._database.glance(look)  # the connection is lost before it writes, and it had nothing to write
    await accepted(store, {key("www"): a(2)}, actor="other")
    found = await store._database.glance(partial(look, unclear=(unclear,)))
    assert (unclear.outcomes, found.outcomes) == ([Accepted(1, repeated=True)],) * 2


async def test_a_plan_made_from_what_another_has_changed_since_is_refused(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(2)}, actor="faster")
    refused = await submit(store, {key("www"): a(3)}, based_on=1)
    assert isinstance(refused, Refusal)
    assert "generation 2 by faster" in refused.found
    assert await accepted(store, {key("mail"): a(3)}, based_on=1) == 3


async def test_guards_see_all_types_at_the_covered_names_and_only_those(store: SqlStore) -> None:
    seen: list[Submitted] = []

    def witness(facts: Submitted) -> None:
        seen.append(facts)

    await accepted(store, {key("www"): a(1), key("mail"): a(2)})
    await accepted(store, {key("www", "TXT"): a(3)}, guards=replace(GUARDED, submit=(witness,)))  # type: ignore[arg-type]
    await accepted(store, {key("www"): a(4)}, adopt=True)
    await accepted(store, {key("www", "TXT"): RETIRED}, guards=replace(GUARDED, submit=(witness,)))  # type: ignore[arg-type]
    assert seen[0].standing.keys() == {key("www")}
    assert (seen[0].newest, seen[0].standing[key("www")].wanted) == (1, a(1))
    assert seen[1].standing.keys() == {key("www"), key("www", "TXT")}
    standing = seen[1].standing[key("www")]
    assert (standing.wanted, standing.generation, standing.actor) == (a(4), 3, "planner")


async def test_each_generation_is_chained_to_all_before_it(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1)})
    first = (await store.pending(ZONE, None)).target_digest
    await accepted(store, {key("www"): a(1)}, republish=True)
    second = (await store.pending(ZONE, None)).target_digest
    await store.ensure_zone("other.test.", "f" * 16)
    await submit(store, {key("www"): a(1)}, zone="other.test.", guards=replace(GUARDED, submit=()))
    other = (await store.pending("other.test.", None)).target_digest
    assert len({first, second, other}) == 3


async def test_twenty_thousand_rrsets_are_accepted_in_few_statements(store: SqlStore) -> None:
    statements = 0

    @sa.event.listens_for(store._database.sender, "before_cursor_execute")
    def counted(*_seen: object) -> None:
        nonlocal statements
        statements += 1

    many = {key(f"host-{number}"): a(number % 250) for number in range(20_000)}
    assert await accepted(store, many) == 1
    assert await accepted(store, many, republish=True) == 2
    assert 0 < statements < 120
    assert len(await store.covered(ZONE)) == 20_000


async def test_judging_says_what_every_guard_says_and_what_would_change_and_writes_nothing(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("same"): a(9)})
    plan = make_plan(ZONE, {key("www"): a(2), key("new"): a(3), key("same"): a(9)}, stated=1)
    judged = await store.judge(Submission(plan, "planner", 1000.0), GUARDED, Policy(), None)
    verdicts = dict(judged.verdicts)
    assert (judged.newest, len(verdicts)) == (1, len(GUARDED.submit))
    assert [name for name, refusal in verdicts.items() if refusal is not None] == ["generation_forward"]
    assert [(diff.key, diff.before, diff.after) for diff in judged.differences] == [
        (key("new"), None, a(3)),
        (key("www"), a(1), a(2)),
    ]
    assert (await store.zone(ZONE)).newest == 1


async def test_an_rrset_is_ours_from_the_moment_in_which_a_plan_for_it_is_accepted(store: SqlStore) -> None:
    keys = {key("www"), key("gone"), key("unheard"), key("www", "TXT")}
    assert await store.unmanaged(ZONE, keys) == keys
    await accepted(store, {key("www"): a(1), key("gone"): RETIRED})
    assert await store.unmanaged(ZONE, keys) == {key("unheard"), key("www", "TXT")}
    await publish(store, 1)
    assert await store.unmanaged(ZONE, keys) == {key("unheard"), key("www", "TXT")}


async def test_a_second_plan_is_not_refused_for_what_the_first_one_has_just_published(store: SqlStore) -> None:
    """The primary shows the first plan's contents already, and no outcome is on record yet."""
    await accepted(store, {key("www"): a(1)})
    await accepted(store, {key("www"): a(2)})
    for shown in (a(1), a(2)):
        found = await submit(store, {key("www"): a(3)}, wire={key("www"): shown}, republish=True)
        assert isinstance(found, Accepted)


async def test_an_unknown_zone_is_said_to_be_unknown(store: SqlStore) -> None:
    for attempt in (
        submit(store, {key("www"): a(1)}, zone="absent.test.", guards=replace(GUARDED, submit=())),
        store.zone("absent.test."),
        store.unmanaged("absent.test.", ()),
        store.pending("absent.test.", None),
        store.halt("absent.test.", "why"),
        store.prune("absent.test.", 3),
        store.plans("absent.test.", below=None, limit=1),
        store.rrsets("absent.test."),
        store.differences("absent.test.", 0, 0),
    ):
        with pytest.raises(ZoneUnknown, match=r"absent\.test\."):
            await attempt


async def test_a_resync_goes_above_both_histories_and_trusts_one_fence(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("old"): a(2)})
    await publish(store, 1)
    await store.halt(ZONE, "the fence is foreign")
    foreign = f"v=1 h={'f' * 16} g=70 d={'0' * 16}"
    plan = make_plan(ZONE, {key("www"): a(3), key("old"): RETIRED}, adopt=True)
    assert await store.resync(ZONE, plan, foreign, 70, "operator", 3000.0) == 71
    zone = await store.zone(ZONE)
    assert (zone.newest, zone.trusted_fence, zone.halted, zone.history) == (71, foreign, None, HISTORY)
    entry, covered = await store.plan(ZONE, 71)
    assert (entry.actor, len(covered)) == ("operator", 2)
