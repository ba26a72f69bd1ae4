"""Plans that would hide covered names are refused by what the history covers, on both databases."""

import asyncio

import pytest
import sqlalchemy as sa

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import parse_records
from dnsguard.core.refusal import Refusal
from dnsguard.store.sql import SqlStore
from tests.store.making import RETIRED, ZONE, a, accepted, key, submit

NS = parse_records("NS", 60, ["ns.elsewhere.test."])
OWN_NS = parse_records("NS", 60, [f"ns.sub.{ZONE}"])
DNAME = parse_records("DNAME", 60, ["elsewhere.test."])


def refused(outcome: object) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert outcome.guard == "names_not_occluded"
    return outcome.found


async def test_a_delegation_over_covered_names_is_refused_until_they_are_retired(store: SqlStore) -> None:
    await accepted(store, {key("very.deep.sub"): a(1), key("xsub"): a(1), key("@", "MX"): a(1)})
    assert refused(await submit(store, {key("sub", "NS"): NS})) == f"very.deep.sub.{ZONE} A"
    assert refused(await submit(store, {key("sub", "DNAME"): DNAME})) == f"very.deep.sub.{ZONE} A"
    await accepted(store, {key("sub", "NS"): NS, key("very.deep.sub"): RETIRED})
    assert refused(await submit(store, {key("other.sub"): a(1)})) == f"other.sub.{ZONE} A"
    await accepted(store, {key("other.sub"): a(1), key("sub", "NS"): RETIRED})


async def test_glue_and_the_names_beside_are_let_through(store: SqlStore) -> None:
    await accepted(store, {key("ns.sub"): a(1), key(r"a\.sub"): a(1), key("sub-b"): a(1)})
    await accepted(store, {key("sub", "NS"): OWN_NS})
    await accepted(store, {key("ns.sub"): a(2)})


async def test_a_dry_run_says_the_same(store: SqlStore) -> None:
    await accepted(store, {key("www.sub"): a(1)})
    submission = Submission(make_plan(ZONE, {key("sub", "NS"): NS}), "planner", 1.0)
    judged = await store.judge(submission, GUARDED, Policy(), {})
    assert dict(judged.verdicts)["names_not_occluded"] is not None


async def test_plans_that_are_judged_together_see_what_the_ones_before_leave(store: SqlStore) -> None:
    await accepted(store, {key("first"): a(1)})
    outcomes = await asyncio.gather(
        submit(store, {key("www.sub"): a(1)}),
        submit(store, {key("sub", "NS"): NS}),
        submit(store, {key("www.sub"): RETIRED}),
        submit(store, {key("sub", "NS"): NS}),
        submit(store, {key("www.sub"): a(2)}),
    )
    assert [isinstance(outcome, Refusal) for outcome in outcomes] == [False, True, False, False, True]


async def test_however_many_names_are_hidden_few_are_read(store: SqlStore) -> None:
    await accepted(store, {key(f"host-{number}.sub"): a(1) for number in range(2_000)})
    read: list[int] = []

    @sa.event.listens_for(store._database.sender, "before_cursor_execute")
    def noted(_conn: object, _cursor: object, statement: str, parameters: object, _ctx: object, _many: bool) -> None:
        if "name_reversed" in statement and statement.startswith("SELECT"):
            read.append(parameters[-2] if isinstance(parameters, tuple) else 0)

    refused(await submit(store, {key("sub", "NS"): NS}))
    assert len(read) == 1
    moved = {key(f"host-{number}.sub"): RETIRED for number in range(2_000)}
    last = moved.popitem()[0]
    assert refused(await submit(store, {key("sub", "NS"): NS, **moved})) == str(last)
    await accepted(store, {key("sub", "NS"): NS, **moved, last: RETIRED})


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_postgresql_reads_a_range_of_an_index(store: SqlStore) -> None:
    await accepted(store, {key(f"host-{number}"): a(1) for number in range(5_000)})
    async with store._database.engine.connect() as conn:
        await conn.execute(sa.text("ANALYZE"))
        rows = await conn.execute(
            sa.text(
                "EXPLAIN SELECT 1 FROM rrsets WHERE zone = 'example.test.' AND name_reversed > '.tset.elpmaxe.bus.' "
                "AND name_reversed < '.tset.elpmaxe.bus/'"
            )
        )
        assert any("ix_rrsets_name_reversed" in row[0] for row in rows)
