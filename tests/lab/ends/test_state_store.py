"""What a verifier asks of a history, in memory and on SQLite: both say the same."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, GenerationUnknown, Submission
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key
from dnsguard.core.repair import ACTOR, REASON
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.state_store import MemoryStateStore
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.workers.verifier import StateStore
from tests.workers.rig import HISTORY, ZONE, a, key

Both = tuple[SqlStore, MemoryStateStore]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    await migrate(engine)
    sql = SqlStore(engine)
    await sql.ensure_zone(ZONE, HISTORY)
    yield sql, MemoryStateStore({ZONE: make_history(ZONE, HISTORY)})
    await sql.close()


async def accepted(
    both: Both, rrsets: dict[Key, Wanted], actor: str = "tests", reason: str = "", at: float = 1.0
) -> None:
    plan = make_plan(ZONE, rrsets, reason=reason)
    for store in both:
        assert isinstance(
            await store.accept(Submission(plan, actor, at, republish=True), GUARDED, Policy(), {}), Accepted
        )


async def rejected(both: Both, generation: int) -> None:
    for store in both:
        assert await store.reject(ZONE, generation, "the primary says no", 5.0) is not None


async def told(store: StateStore, newest: int) -> list[object]:
    pages: list[object] = [await store.rrsets(ZONE, at=at) for at in range(newest + 1)]
    pages += [await store.rrsets(ZONE, at=newest, after=key("www"), limit=1), await store.rrsets(ZONE, limit=2)]
    between = [await store.contents_between(ZONE, above, newest) for above in range(newest)]
    return [*pages, *between, *[dict(await store.repairs_since(ZONE, since)) for since in (0.0, 2.0, 3.0, 9.0)]]


async def test_in_memory_and_on_a_database_a_verifier_hears_the_same(both: Both) -> None:
    await accepted(both, {key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    await accepted(both, {key("www"): a("192.0.2.3"), key("www", "AAAA"): Absence.RETIRED})
    await accepted(both, {key("mail"): Absence.RETIRED, key("new"): a("192.0.2.4")})
    await rejected(both, 3)
    await accepted(both, {key("www"): a("192.0.2.3")}, ACTOR, f"{REASON}it was gone", 2.0)
    await accepted(both, {key("www"): a("192.0.2.3"), key("mail"): a("192.0.2.2")}, ACTOR, f"{REASON}again", 3.0)
    await accepted(both, {key("mail"): a("192.0.2.2")}, ACTOR, "puts back what stood before", 4.0)
    sql, memory = both
    here = await told(memory, 7)
    assert here == await told(sql, 7)
    assert {key("www"): (2.0, 3.0), key("mail"): (3.0,)} in here
    for store in both:
        with pytest.raises(GenerationUnknown):
            await store.rrsets(ZONE, at=8)


async def test_of_a_fence_that_no_plan_here_has_written_both_say_that_it_is_unknown(both: Both) -> None:
    await accepted(both, {key("www"): a("192.0.2.1")})
    for generation, known in ((900, False), (1, True)):
        pending = [await store.pending(ZONE, Fence("f" * 16, generation, "e" * 16), generation) for store in both]
        assert pending[0] == pending[1]
        assert (pending[1].known_digest is not None) == known
