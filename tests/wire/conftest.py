"""Each contract test runs on every primary."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dnsguard.wire.publisher import DnsPublisher
from tests.wire.primaries import SERVERS, Connect, Embedded, Server, make_publisher
from tests.wire.proxy import Proxy


@pytest_asyncio.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    running = await SERVERS[request.param](tmp_path / "server")
    yield running
    await running.stop()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """Which name server this is: where servers differ by manner, a test says how."""
    return str(request.node.callspec.params["server"])


@pytest.fixture
def own_way(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say that a claim does not hold here as it is worded, and what holds: the table in the docs shows it."""
    return lambda what: record_property("own way", what)


@pytest_asyncio.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Server]:
    running = await Embedded.start(tmp_path / "embedded")
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def connect(server: Server) -> AsyncIterator[Connect]:
    made: list[DnsPublisher] = []

    def one_more(**changes: object) -> DnsPublisher:
        made.append(make_publisher(server.address, **changes))  # type: ignore[arg-type]  # the test's keywords
        return made[-1]

    yield one_more
    for publisher in made:
        await publisher.close()


@pytest_asyncio.fixture
async def publisher(connect: Connect) -> DnsPublisher:
    return connect()


@pytest_asyncio.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.address) as between:
        yield between


@pytest_asyncio.fixture
async def embedded_proxy(embedded: Server) -> AsyncIterator[Proxy]:
    async with Proxy(embedded.address) as between:
        yield between
