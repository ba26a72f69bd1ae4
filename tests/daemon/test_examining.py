"""The daemon publishes to no zone that two servers take updates for, and says so; then it goes on by itself."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dnsguard.core.written import Seen
from dnsguard.daemon.clock import SystemClock
from dnsguard.daemon.examining import Examining
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.primary import Primary
from dnsguard.workers.step import Step, Then
from tests.daemon.test_serve import start
from tests.servers.postgresql import Postgresql
from tests.servers.powerdns import PowerDns, fill_postgresql
from tests.wire.primaries import KEYS, SECRET, ZONE, ZONES, make_publisher

PLAIN = {"gpgsql-extra-connection-parameters": ""}
"""PowerDNS's own default, with which both win; as it is shipped, one of two collides."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgresql() -> AsyncIterator[Postgresql]:
    async with await Postgresql.start() as server:
        yield server


@pytest_asyncio.fixture(params=["shipped", "plain"])
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, postgresql: Postgresql
) -> AsyncIterator[tuple[PowerDns, PowerDns]]:
    settings = PLAIN if request.param == "plain" else {}
    database = await fill_postgresql(tmp_path / "filling", postgresql, ZONES, KEYS)
    async with (
        await PowerDns.on_postgresql(tmp_path / "one", postgresql, database, settings=settings) as one,
        await PowerDns.on_postgresql(tmp_path / "two", postgresql, database, settings=settings) as two,
    ):
        yield one, two


class Worker:
    """Counts how often it may run."""

    def __init__(self) -> None:
        self.runs = 0

    async def run_once(self) -> Step:
        self.runs += 1
        return Step("zone.current", Then.WOKEN, ZONE)


def primary_at(server: PowerDns) -> Primary:
    return Primary(server.address[0], server.address[1], "updater.", "hmac-sha256", SECRET, timeout_s=5)


def examining(one: PowerDns, two: PowerDns) -> Examining:
    return Examining(ZONE, primary_at(one), [NameServer("two", *two.address)], SystemClock())


async def test_nothing_is_published_while_two_servers_take_updates(pair: tuple[PowerDns, PowerDns]) -> None:
    """By none of three daemons that start at once; a collision spoils what would be examined after it."""
    one, two = pair
    worker = Worker()
    daemons = [examining(one, two) for _ in range(3)]
    said: set[str] = set()
    for _ in range(4):
        steps = await asyncio.gather(*(each.before(worker.run_once) for each in daemons for _ in range(2)))
        assert {(step.event, step.then) for step in steps} == {("primary.shared", Then.LATER)}
        said |= {step.detail for step in steps}
    late = examining(one, two)
    said.add((await late.before(worker.run_once)).detail)
    assert any("expected one server to take updates for example.test., found two" in each for each in said)
    assert all("set dnsupdate=no on all PowerDNS instances but" in each for each in said)
    await two.stop()  # it may come back: that it does not answer is no good news of one that was found
    for each in daemons:
        step = await each.before(worker.run_once)
        assert step.event == "primary.shared"
    assert worker.runs == 0
    await one.restart()
    await two.restart_with({"dnsupdate": "no"})
    for each in (*daemons, late):
        assert (await each.before(worker.run_once)).event == "zone.current"
    await two.restart_with({"dnsupdate": "yes"})
    assert (await daemons[0].before(worker.run_once)).event == "zone.current"  # asked once, when the zone's loops start
    assert worker.runs == 5


async def test_a_server_that_is_down_stops_nobody_who_found_nothing_against_it(tmp_path: Path) -> None:
    async with await PowerDns.start(tmp_path / "one", zones=ZONES, keys=KEYS) as one:
        worker = Worker()
        down = Examining(ZONE, primary_at(one), [NameServer("two", "127.0.0.1", 1)], SystemClock())
        assert (await down.before(worker.run_once)).event == "zone.current"


async def test_the_daemon_says_so_in_its_log_and_in_the_zones_status_and_goes_on_by_itself(
    tmp_path: Path, pair: tuple[PowerDns, PowerDns]
) -> None:
    one, two = pair
    secret = base64.b64encode(SECRET).decode()
    (tmp_path / "dnsguard.toml").write_text(
        f'[keys."updater"]\nsecret = "{secret}"\n'
        f'[primaries.main]\nhost = "127.0.0.1"\nport = {one.address[1]}\nkey = "updater"\n'
        f'[name_servers.two]\nhost = "127.0.0.1"\nport = {two.address[1]}\n'
        f'[zones."{ZONE}"]\nprimary = "main"\nname_servers = ["two"]\n'
        "[workers]\nbackoff_s_max = 0.2\n"
    )
    daemon = await start(tmp_path, "--config", str(tmp_path / "dnsguard.toml"))
    try:
        line = await daemon.logged("primary.shared")
        assert "found two" in line
        token = (tmp_path / "data" / "admin.token").read_text().strip()
        zone = (tmp_path / "data" / "http.address").read_text().strip() + f"/v1/zones/{ZONE}"
        plan = {"rrsets": [{"name": "www", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}]}
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.post(f"{zone}/plans", json=plan) as answer:
                assert answer.status == 202  # kept, and published once it may be
            async with http.get(zone) as answer:
                assert "found two" in await answer.text()
            publisher = make_publisher(one.address)
            assert await publisher.observe(ZONE) == Seen((), None)
            await publisher.close()
            # The other way round, one would be spoilt again as long as two takes updates.
            await two.restart_with({"dnsupdate": "no"})
            await one.restart()
            await daemon.logged("publication.completed")
    finally:
        assert await daemon.stop() == 0
