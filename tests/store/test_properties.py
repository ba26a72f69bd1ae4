"""Random histories, in the database and in memory at once: what one says, the other says."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import UNSETTLED, Accepted, Covered, Pending
from dnsguard.core.plan import Wanted
from dnsguard.core.records import Key
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, RETIRED, ZONE, a, key, submit

KEYS = [key("www"), key("www", "TXT"), key("mail"), key("www", "NS"), key("www", "DS")]
WANTED: st.SearchStrategy[Wanted] = st.one_of(st.just(RETIRED), st.integers(1, 3).map(a))
PLANS = st.dictionaries(st.sampled_from(KEYS), WANTED, min_size=1, max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("accept"), PLANS, st.booleans(), st.integers(1, 3)),
    st.tuples(st.just("record"), st.floats(0, 1), st.booleans()),
    st.tuples(st.just("reject"), st.floats(0, 1), st.sets(st.sampled_from(KEYS))),
    st.tuples(st.just("withdraw"), st.floats(0, 1)),
    st.tuples(st.just("wait"), st.floats(0, 1), st.sets(st.sampled_from(KEYS))),
    st.tuples(st.just("resume"), st.floats(0, 1)),
    st.tuples(st.just("prune"), st.floats(0, 1)),
)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Path]:
    """Return a folder with an empty, migrated database, to be copied."""

    async def make(folder: Path) -> None:
        engine = make_engine(f"sqlite:///{folder}/history.db")
        await migrate(engine)
        store = SqlStore(engine)
        await store.ensure_zone(ZONE, HISTORY)
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
        yield Path(folder)


@contextmanager
def copied(migrated: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(migrated / "history.db", folder)
        yield f"sqlite:///{folder}/history.db"


class Pair:
    """One history, kept twice."""

    def __init__(self, sql: SqlStore) -> None:
        self.sql, self.memory = sql, MemoryStore({ZONE: make_history(ZONE, HISTORY)})
        self.generations = [0]

    async def accept(self, rrsets: dict[Key, Wanted], adopt: bool, gap: int) -> None:
        stated = self.generations[-1] + gap if gap > 1 else None
        mine = await submit(self.sql, rrsets, adopt=adopt, stated=stated)
        assert mine == await submit(self.memory, rrsets, adopt=adopt, stated=stated)
        if isinstance(mine, Accepted):
            self.generations.append(mine.generation)

    def chosen(self, share: float, above: int = 0) -> int:
        candidates = [generation for generation in self.generations if generation > above]
        return candidates[min(int(share * len(candidates)), len(candidates) - 1)] if candidates else 0

    async def fence(self, generation: int) -> Fence:
        return Fence(HISTORY, generation, self.memory.histories[ZONE].chains[generation])

    async def record(self, share: float, parts: bool) -> None:
        published = (await self.sql.zone(ZONE)).published
        if generation := self.chosen(share, published):
            fence = await self.fence(generation)
            if parts:
                fence = Fence(fence.history, fence.generation, fence.digest, Progress(published, 1, 2))
            assert await self.sql.record(ZONE, fence, 2000.0) == await self.memory.record(ZONE, fence, 2000.0)
            self._appended()

    async def reject(self, share: float, created: set[Key]) -> None:
        generation = self.chosen(share, (await self.sql.zone(ZONE)).published)
        if generation and (await self.sql.plan(ZONE, generation))[0].reverts is None:
            appended = await self.sql.reject(ZONE, generation, "no", 3000.0, created)
            assert appended == await self.memory.reject(ZONE, generation, "no", 3000.0, created)
            if appended is not None:
                self.generations.append(appended)

    def _appended(self) -> None:
        newest = self.memory.histories[ZONE].zone.newest
        self.generations += [newest] if newest > self.generations[-1] else []

    async def withdraw(self, share: float) -> None:
        if generation := self.chosen(share, (await self.sql.zone(ZONE)).kept_from):
            outcomes = [await each.withdraw(ZONE, generation, "no", "ops", 4.0) for each in (self.sql, self.memory)]
            assert outcomes[0] == outcomes[1]
            self._appended()

    async def wait(self, share: float, created: set[Key]) -> None:
        generation = self.chosen(share, (await self.sql.zone(ZONE)).published)
        if generation and (await self.sql.plan(ZONE, generation))[0].reverts is None:
            stores = self.sql, self.memory
            found = [await each.reject(ZONE, generation, "mute", 3000.0, created, waits=True) for each in stores]
            assert found[0] == found[1]
            self._appended()

    async def resume(self, share: float) -> None:
        if generation := self.chosen(share):
            assert await self.sql.resume(ZONE, generation, 5.0) == await self.memory.resume(ZONE, generation, 5.0)
            self._appended()

    async def prune(self, share: float) -> None:
        upto = int(share * (self.generations[-1] + 1))
        bound = min(upto, (await self.sql.zone(ZONE)).published)
        before = await self.told(bound)
        await self.sql.prune(ZONE, upto)
        await self.memory.prune(ZONE, upto)
        assert await self.told(bound) == before

    async def told(self, upto: int) -> tuple[list[tuple[Covered, ...]], list[tuple[object, ...]]]:
        """Return every state and every publication that clean-up must not change."""
        newest = self.generations[-1]
        states = [await self.sql.rrsets(ZONE, at=at) for at in range(max(upto, await self._kept()), newest + 1)]
        fences = [await self.fence(at) for at in self.generations if at >= max(upto, 1)]
        pending = [await self.sql.pending(ZONE, fence) for fence in fences]
        return states, [(one.target, one.target_digest, one.known_digest, one.changes) for one in pending]

    async def _kept(self) -> int:
        return (await self.sql.zone(ZONE)).kept_from

    async def compare(self) -> None:
        assert await self.sql.zone(ZONE) == await self.memory.zone(ZONE)
        assert await self.sql.covered(ZONE) == await self.memory.covered(ZONE)
        known = self.memory.histories[ZONE].entries
        told = [known[entry.generation] for entry in await self.sql.plans(ZONE, below=None, limit=99)]
        # Of a plan of which nothing contributed it depends on the digest of what stood whether it counts as published.
        assert [(e.generation, e.actor, e.reason, e.why, e.reverts, e.state in UNSETTLED) for e in told] == [
            (e.generation, e.actor, e.reason, e.why, e.reverts, e.state in UNSETTLED)
            for e in await self.sql.plans(ZONE, below=None, limit=99)
        ]
        zone = await self.sql.zone(ZONE)
        for generation in (zone.published, self.generations[-1]):
            fence = await self.fence(generation) if generation else None
            for whole in (False, True):
                one = await self.sql.pending(ZONE, fence, whole_names=whole)
                other = await self.memory.pending(ZONE, fence, whole_names=whole)
                assert _comparable(one) == _comparable(other)


def _comparable(pending: Pending) -> object:
    return (
        pending.target,
        pending.known_digest,
        pending.record_first,
        pending.waiting,
        [(c.key, c.wanted, c.generation, c.before, c.earlier) for c in pending.changes],
    )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_the_database_keeps_the_same_history_as_memory_and_clean_up_changes_no_state(
    migrated: Path, steps: list[tuple[str, object]]
) -> None:
    async def live(url: str) -> None:
        sql = SqlStore(make_engine(url))
        pair = Pair(sql)
        try:
            for act, *arguments in steps:
                await getattr(pair, act)(*arguments)
                await pair.compare()
        finally:
            await sql.close()

    with copied(migrated) as url:
        asyncio.run(live(url))
