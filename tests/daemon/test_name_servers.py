"""The whole way of a plan, from HTTP to the wire and back, on every primary, in both layouts, over its crash."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import dns.name
import pytest
import pytest_asyncio

from dnsguard.wire.decode import Answer
from dnsguard.wire.publisher import DnsPublisher
from tests.daemon.test_serve import start
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.powerdns import PowerDns
from tests.servers.process import Process
from tests.wire.primaries import KEYS, SECRET, ZONES, make_publisher

LAYOUTS = {"inline.test.": "inline", "versioned.test.": "versioned"}
SERVED = {dns.name.from_text(zone): next(iter(ZONES.values())) for zone in LAYOUTS}
KINDS: dict[str, type[Bind | Knot | PowerDns]] = {"bind": Bind, "knot": Knot, "powerdns": PowerDns}


def settings(address: tuple[str, int]) -> str:
    parts = [
        f'[keys."updater"]\nsecret = "{base64.b64encode(SECRET).decode()}"',
        f'[primaries.main]\nhost = "{address[0]}"\nport = {address[1]}\nkey = "updater"',
        "[workers]\nbackoff_s_max = 0.2",
    ]
    parts += [
        f'[zones."{zone}"]\nprimary = "main"\n[zones."{zone}".policy]\nlayout = "{layout}"'
        for zone, layout in LAYOUTS.items()
    ]
    return "\n".join(parts) + "\n"


class House:
    """A primary, a daemon, and a client of both."""

    def __init__(self, server: Bind | Knot | PowerDns, daemon: Process, http: aiohttp.ClientSession, url: str) -> None:
        self.server, self._daemon, self._http, self._url = server, daemon, http, url
        self.publisher: DnsPublisher = make_publisher(server.address)

    async def plan(self, zone: str, **document: object) -> dict[str, Any]:
        headers = {"If-Match": "*", "Prefer": "wait=20"}
        async with self._http.post(f"{self._url}/v1/zones/{zone}/plans", json=document, headers=headers) as answer:
            assert answer.status in {200, 202}, await answer.text()
            return dict(await answer.json())

    async def addresses(self, name: str) -> list[bytes]:
        """What a resolver would be told."""
        answer = await self.publisher.ask(name, "A")
        assert isinstance(answer, Answer)
        return sorted(record.rdata for record in answer.answer if record.type == "A")


@pytest_asyncio.fixture(params=KINDS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with await KINDS[request.param].start(tmp_path / "server", zones=SERVED, keys=KEYS) as server:
        (tmp_path / "dnsguard.toml").write_text(settings(server.address))
        daemon = await start(tmp_path, "--config", str(tmp_path / "dnsguard.toml"))
        token = (tmp_path / "data" / "admin.token").read_text().strip()
        url = (tmp_path / "data" / "http.address").read_text().strip()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            made = House(server, daemon, http, url)
            yield made
            await made.publisher.close()
        assert await daemon.stop() == 0


def rrset(name: str, rdtype: str, *texts: str) -> dict[str, object]:
    return {"name": name, "type": rdtype, "ttl": 60, "records": list(texts)}


async def test_plans_are_published_replaced_and_retired_over_a_crash_in_both_layouts(house: House) -> None:
    for zone_name in LAYOUTS:
        www = f"www.{zone_name}"
        many = [rrset(f"host{index}", "A", f"192.0.2.{index}") for index in range(40)]
        first = await house.plan(zone_name, rrsets=[rrset("www", "A", "192.0.2.1"), *many])
        assert first["state"] == "published"
        assert await house.addresses(www) == [bytes((192, 0, 2, 1))]
        second = await house.plan(zone_name, rrsets=[rrset("www", "A", "192.0.2.2", "192.0.2.3")])
        assert second["state"] == "published"
        await house.server.kill()
        await house.server.restart()
        third = await house.plan(zone_name, rrsets=[rrset("mail", "MX", "10 mx.elsewhere.test.")])
        assert third["state"] == "published"
        assert await house.addresses(www) == [bytes((192, 0, 2, 2)), bytes((192, 0, 2, 3))]
        assert await house.addresses(f"host7.{zone_name}") == [bytes((192, 0, 2, 7))]
        gone = await house.plan(zone_name, retire=[{"name": "host7", "type": "A"}])
        assert gone["state"] == "published"
        assert await house.addresses(f"host7.{zone_name}") == []
