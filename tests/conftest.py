"""What holds for all tests: hypothesis tries the same examples every time, however busy the machine is, and one
PostgreSQL server serves all who need a database. DNSGUARD_TESTS_RANDOM=1 draws new examples, for a campaign.
"""

import asyncio
import os
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from tests.servers.postgresql import Postgresql

hypothesis.settings.register_profile(
    "dnsguard",
    deadline=None,
    derandomize=os.environ.get("DNSGUARD_TESTS_RANDOM") != "1",
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("dnsguard")


@pytest.fixture(autouse=True)
def _logs_as_nobody_set_them() -> Iterator[None]:
    """Take back what a command that ran in this process said about logs: it holds for all that come after."""
    yield
    structlog.reset_defaults()


MIGRATED = "migrated"
"""A database with dnsguard's tables, to be copied."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """Return a server for as long as the tests run; a test that stops it starts one of its own."""
    with asyncio.Runner() as runner:
        server = runner.run(_with_template())
        yield server
        runner.run(server.close())


async def _with_template() -> Postgresql:
    server = await Postgresql.start()
    await server.execute(f"CREATE DATABASE {MIGRATED}")
    engine = make_engine(server.url(MIGRATED))
    await migrate(engine)
    await engine.dispose()
    return server


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> str:
    """Return a PostgreSQL database with dnsguard's empty tables, of its own for each test."""
    with asyncio.Runner() as runner:
        return postgresql.url(runner.run(postgresql.database(template=MIGRATED)))


@pytest.fixture
def postgresql_url_empty(postgresql: Postgresql) -> str:
    """Return a PostgreSQL database without tables, of its own for each test."""
    with asyncio.Runner() as runner:
        return postgresql.url(runner.run(postgresql.database()))
