"""Explored runs over a real PostgreSQL: they show what runs in memory show, and leave nothing in the database."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import asyncpg
import pytest

from dnsguard.core.history import StoreUnavailable
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.postgresql import BOUNDS, PREFIX, AtOnce, Elsewhere, PostgresqlSchema
from dnsguard.lab.explore.exploring import Exploration, Story, explore, gravest
from dnsguard.lab.explore.scenario import drive
from dnsguard.lab.explore.setting import HISTORY, ZONE
from dnsguard.lab.explore.watch import ACCOUNTABLE
from dnsguard.lab.scheduler.moves import Move, Schedule
from dnsguard.lab.scheduler.simulation import Check, Outcome
from dnsguard.lab.search.findings import search
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import RandomWalk
from dnsguard.store.sql import SqlStore

OCTOBER = Exploration(guards="unguarded")
ALONE = replace(OCTOBER, enactors=1, plans=2, keep=1, crashes=1, layout="inline", read_back=False)
RACE = Exploration(plans=2, layout="inline", cleanup=False, read_back=False)


SCHEMAS = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'dnsguard_explore_')"


async def ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements as an administrator would; return the rows of the last."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in [await connection.fetch(statement) for statement in statements][-1]]
    finally:
        await connection.close()


def asked(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Ask where no loop runs."""
    return asyncio.run(ask(url, *statements))


def schemas(url: str) -> list[str]:
    """Return the schemas that explorations have in a database."""
    return sorted(str(name) for (name,) in asked(url, SCHEMAS))


async def nothing(_: SqlStore) -> None:
    """Prepare nothing."""


@contextmanager
def schema(url: str, lock_s_max: float = BOUNDS.lock_s_max) -> Iterator[PostgresqlSchema]:
    made = PostgresqlSchema(url, ZONE, HISTORY, nothing, replace(BOUNDS, lock_s_max=lock_s_max))
    yield made
    made.close()


def test_the_incident_is_the_same_story_and_plays_again(postgresql_url_empty: str) -> None:
    over_sql = replace(OCTOBER, store="postgresql", database=postgresql_url_empty)
    story = gravest(over_sql, explore(over_sql, stop_at_first=True), runs_max=0)
    in_memory = gravest(OCTOBER, explore(OCTOBER, stop_at_first=True), runs_max=0)
    assert story is not None
    assert in_memory is not None
    assert (story.violation, story.schedule) == (in_memory.violation, in_memory.schedule)
    saved = Story.from_json(story.to_json())
    assert saved.exploration == replace(OCTOBER, store="postgresql")
    assert postgresql_url_empty not in story.to_json()
    sentences, broken = replace(saved, exploration=over_sql).played()
    assert sentences == in_memory.sentences()
    assert broken[story.violation] == in_memory.detail
    assert schemas(postgresql_url_empty) == []


def test_guarded_a_race_is_exhausted(postgresql_url_empty: str) -> None:
    findings = explore(replace(RACE, store="postgresql", database=postgresql_url_empty))
    assert findings.exhausted
    assert findings.violations == {}
    assert findings.schedules > 20


def test_every_schedule_shows_the_same_as_in_memory(postgresql_url_empty: str) -> None:
    """Effect by effect, what the two stores answered is the same, so that what holds over one holds over the other."""
    shown: dict[str, list[tuple[Schedule, tuple[str, ...]]]] = {"memory": [], "postgresql": []}
    for store, seen in shown.items():
        tell: list[str] = []
        exploration = replace(ALONE, store=store, database=postgresql_url_empty)

        def note(outcome: Outcome, seen: list[tuple[Schedule, tuple[str, ...]]] = seen, tell: list[str] = tell) -> None:
            seen.append((outcome.schedule(), tuple(tell)))

        findings = search(exploration.simulator(tell).run, Reduced(), minimise_runs_max=0, each=note)
        assert findings.exhausted
    assert len(shown["memory"]) > 10
    assert shown["memory"] == shown["postgresql"]


def test_every_invariant_is_asked_that_is_asked_in_memory(postgresql_url_empty: str) -> None:
    in_memory = explore(OCTOBER, "dpor", schedules_max=3, rerun=True)
    over_sql = explore(replace(OCTOBER, store="postgresql", database=postgresql_url_empty), "dpor", schedules_max=3)
    assert ACCOUNTABLE in in_memory.violations
    assert over_sql.violations == in_memory.violations


def test_what_the_driver_is_asked_is_over_at_once(postgresql_url_empty: str) -> None:
    elsewhere = Elsewhere()
    connection = AtOnce(elsewhere.finish(asyncpg.connect(postgresql_url_empty)), elsewhere)
    transaction = connection.transaction()
    drive(transaction.start())
    statement = drive(connection.prepare("SELECT 1"))
    assert [tuple(row) for row in drive(statement.fetch())] == [(1,)]
    drive(transaction.commit())
    connection.terminate()
    assert connection.is_closed()
    elsewhere.close()


def test_each_run_begins_with_the_same(postgresql_url_empty: str) -> None:
    with schema(postgresql_url_empty) as made:
        asyncio.run(made.store().ensure_zone("other.test.", HISTORY))
        assert [zone.name for zone in asyncio.run(made.store().zones())] == [ZONE]


def test_a_transaction_that_waits_for_a_lock_is_an_error(postgresql_url_empty: str) -> None:
    async def ask_while_locked(made: PostgresqlSchema) -> None:
        connection = await asyncpg.connect(postgresql_url_empty)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {made.name}.zones")
                with pytest.raises(StoreUnavailable, match="found it locked by another program"):
                    await made.store().zone(ZONE)
        finally:
            await connection.close()

    with schema(postgresql_url_empty, lock_s_max=0.1) as made:
        asyncio.run(ask_while_locked(made))


def test_a_database_with_a_daemons_tables_is_refused_and_keeps_everything(postgresql_url: str) -> None:
    asked(postgresql_url, "INSERT INTO zones VALUES ('example.test.', '0123456789abcdef', 0, 0, 0)")
    before = asked(postgresql_url, "SELECT * FROM zones")
    with pytest.raises(StoreUnavailable, match=r"found dnsguard's tables in the schema public .* nothing was changed"):
        PostgresqlSchema(postgresql_url, ZONE, HISTORY, nothing)
    assert schemas(postgresql_url) == []
    assert asked(postgresql_url, "SELECT * FROM zones") == before


def test_explorations_have_a_database_together_and_what_one_left_behind_the_next_removes(
    postgresql_url_empty: str,
) -> None:
    left, foreign = f"{PREFIX}1", f"{PREFIX}of_somebody_1"
    asked(postgresql_url_empty, f"CREATE SCHEMA {left}", f"CREATE TABLE {left}.zones ()", f"CREATE SCHEMA {foreign}")
    with schema(postgresql_url_empty) as one, schema(postgresql_url_empty) as other:
        assert schemas(postgresql_url_empty) == sorted((one.name, other.name, foreign))
        asyncio.run(one.store().ensure_zone("other.test.", HISTORY))
        assert [zone.name for zone in asyncio.run(other.store().zones())] == [ZONE]
    assert schemas(postgresql_url_empty) == [foreign]


def test_where_setting_the_scene_is_interrupted_nothing_is_left(postgresql_url_empty: str) -> None:
    async def interrupted(_: SqlStore) -> None:
        assert len(await ask(postgresql_url_empty, SCHEMAS)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PostgresqlSchema(postgresql_url_empty, ZONE, HISTORY, interrupted)
    assert schemas(postgresql_url_empty) == []


def test_where_a_run_is_interrupted_nothing_is_left(postgresql_url_empty: str) -> None:
    exploration = replace(ALONE, store="postgresql", database=postgresql_url_empty)

    def interrupted(before: Sequence[Note], notes: Sequence[Note]) -> Check:
        assert before

        def interrupt(_: Move | None) -> None:
            if len(notes) > 3:
                assert len(schemas_seen) == 1
                raise KeyboardInterrupt

        return interrupt

    simulator = exploration.simulator(onlookers=interrupted)
    schemas_seen = schemas(postgresql_url_empty)
    with pytest.raises(KeyboardInterrupt):
        simulator.run(RandomWalk(0, 1))
    del simulator
    gc.collect()
    assert schemas(postgresql_url_empty) == []


async def test_inside_another_loop_the_asking_task_stays_the_current_one(postgresql_url_empty: str) -> None:
    """What a run's own loop thinks is running is the same before and after the driver has waited elsewhere."""
    task = asyncio.current_task()
    with schema(postgresql_url_empty) as made:
        await made.store().zone(ZONE)
        assert asyncio.current_task() is task
        assert asyncio.get_running_loop() is task.get_loop() if task else False


@pytest.mark.parametrize("url", ["sqlite:///history.sqlite", "", "mysql://there/it"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"expected a database .*postgresql://.*HOST/NAME"):
        PostgresqlSchema(url, ZONE, HISTORY, nothing)


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(StoreUnavailable, match=r"expected to reach database none at 127\.0\.0\.1:1"):
        PostgresqlSchema("postgresql://nobody:secret@127.0.0.1:1/none", ZONE, HISTORY, nothing)
