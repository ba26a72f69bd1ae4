"""The daemon publishes to no zone that two servers take updates for, and says so; then it goes on by itself."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
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


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[PowerDns, PowerDns]]:
    async with await Postgresql.start() as server:
        database = await fill_postgresql(tmp_path / "filling", server, ZONES, KEYS)
        async with (
            await PowerDns.on_postgresql(tmp_path / "one", server, database, settings=PLAIN) as one,
            await PowerDns.on_postgresql(tmp_path / "two", server, database, settings=PLAIN) as two,
        ):
            yield one, two


async def test_nothing_is_published_while_two_servers_take_updates(pair: tuple[PowerDns, PowerDns]) -> None:
    one, two = pair
    runs = 0

    async def run_once() -> Step:
        nonlocal runs
        runs += 1
        return Step("zone.current", Then.WOKEN, ZONE)

    primary = Primary(one.address[0], one.address[1], "updater.", "hmac-sha256", SECRET)
    examining = Examining(ZONE, primary, [NameServer("two", *two.address)], SystemClock())
    for _ in range(2):
        step = await examining.before(run_once)
        assert (step.event, step.then, runs) == ("primary.shared", Then.LATER, 0)
        assert "expected one server to take updates for example.test., found two" in step.detail
    await two.restart_with({"dnsupdate": "no"})
    assert (await examining.before(run_once)).event == "zone.current"
    await two.restart_with({"dnsupdate": "yes"})
    assert (await examining.before(run_once)).event == "zone.current"  # asked once, when the zone's loops start
    assert runs == 2


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
            await two.restart_with({"dnsupdate": "no"})
            await daemon.logged("publication.completed")
    finally:
        assert await daemon.stop() == 0
