import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

import dnsguard.store.migrate
from dnsguard.store.engine import StoreUnavailable, make_engine
from dnsguard.store.migrate import check, migrate


async def test_migrations_lead_to_exactly_the_tables_that_the_code_expects(url: str) -> None:
    engine = make_engine(url)
    before, after = await migrate(engine)
    assert before is None
    assert await migrate(engine) == (after, after)
    assert await check(engine) == []
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP INDEX ix_plans_state"))
    assert [difference[0] for difference in await check(engine)] == ["add_index"]
    await engine.dispose()


async def test_of_several_that_migrate_at_once_one_does_the_work(url: str) -> None:
    engines = [make_engine(url) for _ in range(4)]
    found = await asyncio.gather(*(migrate(engine) for engine in engines))
    assert sorted(before is None for before, _ in found) == [False, False, False, True]
    for engine in engines:
        await engine.dispose()


async def test_a_database_of_a_newer_version_is_left_alone(url: str) -> None:
    engine = make_engine(url)
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnavailable, match="found revision 9999, of a newer dnsguard"):
        await migrate(engine)
    await engine.dispose()


async def test_an_installed_package_finds_its_migrations_beside_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = Path(__file__).parents[2] / "migrations"
    shutil.copytree(top, tmp_path / "100%" / "store" / "migrations")
    monkeypatch.setattr(dnsguard.store.migrate, "__file__", str(tmp_path / "100%" / "store" / "migrate.py"))
    engine = make_engine(url)
    assert (await migrate(engine))[0] is None
    assert await check(engine) == []
    await engine.dispose()
