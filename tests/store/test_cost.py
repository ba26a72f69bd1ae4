"""What a statement reads: the change, never the zone. SQLite says for each statement which index it takes."""

import re

import pytest
import sqlalchemy as sa

from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import parse_records
from dnsguard.store.sql import SqlStore
from tests.store.making import RETIRED, ZONE, a, accepted, fence_at, key, publish

NS = parse_records("NS", 60, ["ns.elsewhere.test."])


@pytest.fixture
def statements(store: SqlStore) -> dict[str, object]:
    """Collect every statement that the store sends, with one set of its parameters."""
    sent: dict[str, object] = {}

    @sa.event.listens_for(store._database.sender, "before_cursor_execute")
    def noted(_conn: object, _cursor: object, statement: str, parameters: object, _context: object, many: bool) -> None:
        if statement.split(maxsplit=1)[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            sent[statement] = parameters[0] if many else parameters  # type: ignore[index]

    return sent


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_no_statement_of_the_way_of_a_plan_reads_a_whole_zone_or_history(
    store: SqlStore, statements: dict[str, object]
) -> None:
    for number in range(1, 6):
        await accepted(store, {key("www"): a(number), key(f"host-{number}"): a(1)}, idempotency_key=f"k{number}")
    await accepted(store, {key("sub", "NS"): NS, key("other", "NS"): NS})
    await store.judge(Submission(make_plan(ZONE, {key("www"): RETIRED}), "planner", 1.0), GUARDED, Policy(), None)
    await store.unmanaged(ZONE, [key("www")])
    fence = await publish(store, 2)
    unrecorded = await fence_at(store, 3)
    await store.pending(ZONE, unrecorded, whole_names=True)
    await store.reject(ZONE, 5, "no", 2000.0)
    await store.record(ZONE, await fence_at(store, 7), 2000.0, [(7, "reads back otherwise")])
    await store.prune(ZONE, 7)
    await store.halt(ZONE, "why")
    await store.plan(ZONE, 6)
    await store.resync(ZONE, make_plan(ZONE, {key("www"): a(9)}), str(fence), 9, "operator", 1.0)
    await store.differences(ZONE, 7, 10)
    await store.pending(ZONE, Fence(fence.history, 10, (await fence_at(store, 10)).digest))
    explained: dict[str, list[str]] = {}
    async with store._database.engine.connect() as connection:
        for statement, parameters in list(statements.items()):
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            explained[statement] = [row.detail for row in rows]
    assert len(explained) > 25
    reads_all = re.compile(r"SCAN (?!anon_)|(?<!zones )USING [A-Z ]*(?:PRIMARY KEY|INDEX \S+) \(zone=\?\)")
    wide = {statement: steps for statement, steps in explained.items() if any(reads_all.search(step) for step in steps)}
    assert wide == {}
