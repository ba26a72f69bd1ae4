"""The BIND fixture itself: ready when started, the same zone as the embedded server, journals that survive."""

from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
import pytest
import pytest_asyncio

from dnsguard.wire.server import EmbeddedServer
from tests.servers import require
from tests.servers.bind import Bind
from tests.servers.process import NotStarted, Process, free_port

ORIGIN = dns.name.from_text("example.test.")
KEY = dns.tsig.Key("updater.", b"a secret for tests only")
ZONES = {ORIGIN: [KEY.name]}
KEYS = {KEY.name: KEY}


@pytest_asyncio.fixture
async def bind(tmp_path: Path) -> AsyncIterator[Bind]:
    async with await Bind.start(tmp_path / "bind", zones=ZONES, keys=KEYS) as server:
        yield server


async def contents(address: tuple[str, int]) -> dns.zone.Zone:
    query = dns.message.make_query(ORIGIN, "AXFR")
    query.use_tsig(KEY)
    zone = dns.zone.Zone(ORIGIN)
    await dns.asyncquery.inbound_xfr(address[0], zone, query, port=address[1], timeout=10)
    return zone


async def add(address: tuple[str, int], name: str) -> dns.rcode.Rcode:
    message = dns.update.UpdateMessage(ORIGIN, keyring=KEY)
    message.add(name, 60, "A", "192.0.2.1")
    response = await dns.asyncquery.tcp(message, address[0], port=address[1], timeout=10)
    return response.rcode()


async def test_it_starts_with_the_zone_that_the_embedded_server_makes(bind: Bind) -> None:
    embedded = await EmbeddedServer.start(zones=ZONES, keys=KEYS)
    try:
        assert (await contents(bind.address)).to_text() == (await contents(embedded.address)).to_text()
    finally:
        await embedded.stop()


async def test_an_acknowledged_update_survives_its_crash(bind: Bind) -> None:
    assert await add(bind.address, "www") == dns.rcode.NOERROR
    address = bind.address
    await bind.kill()
    await bind.restart()
    assert bind.address == address
    assert (await contents(address)).get_rdataset("www", "A") is not None


async def test_its_control_channel_answers(bind: Bind) -> None:
    await bind.rndc("freeze", "example.test")
    assert await add(bind.address, "www") == dns.rcode.REFUSED
    await bind.rndc("thaw", "example.test")
    assert await add(bind.address, "www") == dns.rcode.NOERROR


async def test_a_server_that_ends_before_it_is_ready_says_its_last_words(tmp_path: Path) -> None:
    process = Process(["/bin/sh", "-c", "echo not today"], ready="running", folder=tmp_path)
    with pytest.raises(NotStarted, match="not today"):
        await process.started()


def test_free_ports_are_usable() -> None:
    assert 1024 <= free_port() <= 65535


def test_a_missing_program_skips_on_a_laptop_and_fails_where_servers_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DNSGUARD_TESTS_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        require("a-server-that-nobody-wrote")
    monkeypatch.setenv("DNSGUARD_TESTS_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="must be"):
        require("a-server-that-nobody-wrote")
