import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

import dnsguard.store.migrate
from dnsguard.core.history import Accepted, PlanState, StoreUnavailable
from dnsguard.core.plan import Absence
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import check, migrate, revision
from dnsguard.store.sql import SqlStore
from tests.store.conftest import OpenStore
from tests.store.making import ZONE, a, accepted, key, publish, submit


async def test_migrations_lead_to_exactly_the_tables_that_the_code_expects(empty_url: str) -> None:
    engine = make_engine(empty_url)
    before, after = await migrate(engine)
    assert before is None
    assert await migrate(engine) == (after, after)
    assert await check(engine) == []
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP INDEX ix_plans_state"))
    assert [difference[0] for difference in await check(engine)] == ["add_index"]
    await engine.dispose()


async def test_of_several_that_migrate_at_once_one_does_the_work(empty_url: str) -> None:
    engines = [make_engine(empty_url) for _ in range(4)]
    found = await asyncio.gather(*(migrate(engine) for engine in engines))
    assert sorted(before is None for before, _ in found) == [False, False, False, True]
    for engine in engines:
        await engine.dispose()


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plans", sa.Column("note", sa.Text()))
    op.create_table("notes", sa.Column("id", sa.Text(), primary_key=True))
    {also}
"""


async def to_the_next_version(url: str, folder: Path, also: str = "") -> None:
    """Migrate as the next version of dnsguard would."""
    here = dnsguard.store.migrate._scripts()
    shutil.copytree(here, folder / "migrations")
    (folder / "migrations" / "versions" / "9000_next.py").write_text(NEXT.format(down=revision(), also=also))
    engine = make_engine(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dnsguard.store.migrate, "_scripts", lambda: folder / "migrations")
        assert (await migrate(engine))[1] == "9000"
    await engine.dispose()


async def test_old_and_new_code_work_on_one_database_when_the_migration_only_adds(
    open_store: OpenStore, url: str, tmp_path: Path
) -> None:
    before = await open_store()
    assert await accepted(before, {key("www"): a(1)}) == 1
    await to_the_next_version(url, tmp_path / "next")
    started = await open_store()  # the old code again, on the new tables
    outcomes = await asyncio.gather(
        *(
            submit(store, {key(f"host-{number}"): a(1)}, republish=True)
            for number in range(5)
            for store in (before, started)
        )
    )
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    await publish(started, 11)
    assert (await before.zone(ZONE)).published == 11
    assert await before.prune(ZONE, 11) == 10


async def test_code_that_is_too_old_for_the_tables_is_refused(empty_url: str, tmp_path: Path) -> None:
    engine = make_engine(empty_url)
    await migrate(engine)
    await to_the_next_version(empty_url, tmp_path / "next", "op.execute(\"UPDATE compatibility SET oldest = '9000'\")")
    with pytest.raises(StoreUnavailable, match="found revision 9000, of a newer dnsguard, which needs code at 9000"):
        await migrate(engine)
    await engine.dispose()


async def test_an_installed_package_finds_its_migrations_beside_it(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = Path(__file__).parents[2] / "migrations"
    shutil.copytree(top, tmp_path / "100%" / "store" / "migrations")
    monkeypatch.setattr(dnsguard.store.migrate, "__file__", str(tmp_path / "100%" / "store" / "migrate.py"))
    engine = make_engine(empty_url)
    assert (await migrate(engine))[0] is None
    assert await check(engine) == []
    await engine.dispose()


BEFORE_WITHDRAWAL = """
INSERT INTO zones (name, history, newest, published, kept_from) VALUES ('example.test.', '0123456789abcdef', 3, 2, 0);
INSERT INTO plans
    (zone, generation, actor, reason, adopt, as_found, accepted_at, digest, chain, state, settled_at, rrsets)
    VALUES ('example.test.', 1, 'p', '', {no}, {no}, 1.0, 'd', 'c1', 'rejected', 2.0, 1),
           ('example.test.', 2, 'dnsguard', '', {no}, {no}, 1.0, 'd', 'c2', 'published', 2.0, 1),
           ('example.test.', 3, 'p', '', {no}, {no}, 1.0, 'd', 'c3', 'accepted', NULL, 1);
INSERT INTO changes (zone, name, type, generation, disposition)
    VALUES ('example.test.', 'www.example.test.', 'A', 2, 'withdrawn'),
           ('example.test.', 'www.example.test.', 'A', 3, 'retired');
INSERT INTO rejected (zone, generation, name, type, disposition)
    VALUES ('example.test.', 1, 'www.example.test.', 'A', 'withdrawn');
INSERT INTO rrsets (zone, name, type, newest, live, held, adopt)
    VALUES ('example.test.', 'www.example.test.', 'A', 3, NULL, {no}, {no});
"""


async def test_a_history_from_before_withdrawals_is_kept_under_the_new_words(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(dnsguard.store.migrate._scripts(), tmp_path / "old")
    for script in (tmp_path / "old" / "versions").glob("000[5-9]*"):
        script.unlink()
    engine = make_engine(empty_url)
    with monkeypatch.context() as patch:
        patch.setattr(dnsguard.store.migrate, "_scripts", lambda: tmp_path / "old")
        assert (await migrate(engine))[1] == "0004"
    no = "0" if engine.dialect.name == "sqlite" else "false"
    async with engine.begin() as connection:
        for statement in BEFORE_WITHDRAWAL.format(no=no).split(";\n"):
            if statement.strip():
                await connection.execute(sa.text(statement))
    await migrate(engine)
    assert await check(engine) == []
    store = SqlStore(engine)
    _, covered = await store.plan(ZONE, 2)
    assert [each.wanted for each in covered] == [Absence.UNCOVERED]
    assert [each.wanted for each in (await store.plan(ZONE, 1))[1]] == [Absence.UNCOVERED]
    assert await store.withdraw(ZONE, 3, "no", "ops", 3.0) is None
    assert (await store.plan(ZONE, 3))[0].state is PlanState.WITHDRAWING
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT oldest FROM compatibility")) == "0008"
    with monkeypatch.context() as patch:
        patch.setattr(dnsguard.store.migrate, "_scripts", lambda: tmp_path / "old")
        with pytest.raises(StoreUnavailable, match="needs code at 0008 or newer"):
            await migrate(engine)
    await store.close()
