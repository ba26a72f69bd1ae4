"""The daemon publishes to no zone that two servers take updates for, and says so; then it goes on by itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from dnsguard.daemon.clock import SystemClock
from dnsguard.daemon.examining import Examining
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.primary import Primary
from dnsguard.workers.step import Step, Then
from tests.servers.postgresql import Postgresql
from tests.servers.powerdns import PowerDns, fill_postgresql
from tests.wire.primaries import KEYS, SECRET, ZONE, ZONES

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
