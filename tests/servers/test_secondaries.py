"""Secondaries of every kind follow primaries of every kind: by NOTIFY, over crashes, at an address of one's choice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dnsguard.core.fence import Fence
from dnsguard.core.written import Seen
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.powerdns import PowerDns
from tests.servers.running import Place, Running
from tests.wire.primaries import KEYS, ORIGIN, ZONE, ZONES, key, make_publisher, publish, records

Primary = Bind | Knot | PowerDns
Secondary = Bind | Knot | Nsd
PRIMARIES: dict[str, type[Primary]] = {"bind": Bind, "knot": Knot, "powerdns": PowerDns}
SECONDARIES: dict[str, type[Secondary]] = {"bind": Bind, "knot": Knot, "nsd": Nsd}


@pytest_asyncio.fixture(params=PRIMARIES)
async def primary(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Primary]:
    async with await PRIMARIES[request.param].start(tmp_path / "primary", zones=ZONES, keys=KEYS) as server:
        yield server


@pytest_asyncio.fixture(params=SECONDARIES)
async def secondary(request: pytest.FixtureRequest, tmp_path: Path, primary: Primary) -> AsyncIterator[Secondary]:
    kind = SECONDARIES[request.param]
    async with await kind.start(tmp_path / "secondary", zones=ZONES, keys=KEYS, primary=primary.address) as server:
        await primary.notify(server.address)
        yield server


async def write(server: Running, generation: int) -> Fence:
    publisher = make_publisher(server.address)
    fence = await publish(publisher, generation, {key("www", "A"): records("A", f"192.0.2.{generation}")})
    await publisher.close()
    return fence


async def fence_of(server: Running) -> Fence | None:
    publisher = make_publisher(server.address)
    seen = await publisher.observe(ZONE)
    await publisher.close()
    assert isinstance(seen, Seen)
    return seen.fence


async def test_a_publication_reaches_the_secondary_that_is_told(primary: Primary, secondary: Secondary) -> None:
    assert await fence_of(secondary) is None
    fence = await write(primary, 1)
    await secondary.transferred(ORIGIN, 2)
    assert await fence_of(secondary) == fence


async def test_a_secondary_that_was_killed_comes_back_and_catches_up(primary: Primary, secondary: Secondary) -> None:
    first = await write(primary, 1)
    await secondary.transferred(ORIGIN, 2)
    await secondary.kill()
    second = await write(primary, 2)
    await secondary.restart()
    await secondary.transferred(ORIGIN, 3)
    assert await fence_of(secondary) == second != first


async def test_a_place_has_an_address_of_its_own(tmp_path: Path) -> None:
    place = Place("127.0.0.2")
    async with await Knot.start(tmp_path / "one", zones=ZONES, keys=KEYS, place=place) as primary:
        assert primary.address[0] == "127.0.0.2"
        of = primary.address
        place = Place("127.0.0.3")
        async with await Nsd.start(tmp_path / "two", zones=ZONES, keys=KEYS, primary=of, place=place) as secondary:
            await primary.notify(secondary.address)
            fence = await write(primary, 1)
            await secondary.transferred(ORIGIN, 2)
            assert await fence_of(secondary) == fence
