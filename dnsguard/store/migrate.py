"""Bringing a database to the shape that this code needs, forward only.
All steps are one transaction; of two processes that start at once, one waits and finds the work done. Newer tables
are left as they are: this code works on them if the migration that made them says that it may.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from dnsguard.store.address import StoreUnusable, place_of
from dnsguard.store.database import Database
from dnsguard.store.schema import compatibility, metadata

_POSTGRESQL_LOCK = 0x646E7367  # "dnsg"; any number that nothing else in the database uses


def _scripts() -> Path:
    """Return the folder of migrations: beside this file when installed, at the top of the tree else."""
    installed = Path(__file__).parent / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    return config


async def migrate(engine: AsyncEngine) -> tuple[str | None, str]:
    """Bring a database up to date; return its revision before and after.

    One that is newer stays as it is. Raises StoreUnavailable if it cannot be reached or written, and of these
    StoreUnusable if this code is too old for it.
    """
    place = place_of(engine.url)
    return await Database(engine, may_use_threads=False).write(lambda conn: _upgrade(conn, place))


def _upgrade(conn: sa.Connection, place: str) -> tuple[str | None, str]:
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    own = scripts.get_current_head()
    if own is None:
        raise StoreUnusable(f"expected migrations in {_scripts()}, found none; install dnsguard again")
    before = MigrationContext.configure(conn).get_current_revision()
    if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
        oldest = conn.scalar(sa.select(compatibility.c.oldest))
        if oldest is None or own < oldest:
            raise StoreUnusable(
                f"expected {place} at revision {own} or older, found revision {before}, of a newer dnsguard, which "
                f"needs code at {oldest or before} or newer; start that version, or name another database"
            )
        return before, before
    if before != own:
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
    return before, own


def revision() -> str:
    """Return the revision of the tables that this code brings about."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def check(engine: AsyncEngine) -> list[Any]:
    """Return how the tables differ from what this code expects; empty when they are the same."""
    return await Database(engine, may_use_threads=False).read(
        lambda conn: list(compare_metadata(MigrationContext.configure(conn), metadata))
    )
