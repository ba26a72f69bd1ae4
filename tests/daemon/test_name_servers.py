"""The whole way of a plan, from HTTP to the wire and back, on every primary, in both layouts, over its crash."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import dns.name
import pytest
import pytest_asyncio

from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Unreachable
from dnsguard.core.names import is_within
from dnsguard.core.records import Key, parse_records
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

    async def answered(self, zone: str, path: str = "plans", **document: object) -> tuple[int, dict[str, Any]]:
        """Return the status and the document that a plan is answered with, whatever becomes of it."""
        headers = {"If-Match": "*", "Prefer": "wait=20"}
        async with self._http.post(f"{self._url}/v1/zones/{zone}/{path}", json=document, headers=headers) as answer:
            return answer.status, dict(await answer.json())

    async def shown(self, path: str) -> dict[str, Any]:
        async with self._http.get(f"{self._url}{path}") as answer:
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


DS = f"12345 13 2 {'00' * 32}"


async def stands(house: House, of: Key) -> bool:
    found = await house.publisher.read(next(zone for zone in LAYOUTS if is_within(of.name, zone)), [of.name])
    assert not isinstance(found, Unreachable)
    return of in found.rrsets


async def test_no_plan_takes_a_ds_along_with_its_ns_and_a_rollback_restores_both(house: House) -> None:
    for zone in LAYOUTS:
        ns, ds = Key(f"child.{zone}", "NS"), Key(f"child.{zone}", "DS")
        both = [rrset("child", "NS", "ns.elsewhere.test."), rrset("child", "DS", DS)]
        assert (await house.plan(zone, rrsets=both))["state"] == "published"
        status, refused = await house.answered(zone, retire=[{"name": "child", "type": "NS"}])
        assert (status, refused["guard"]) == (422, "ds_beside_ns")
        assert f"retire both {ns} and {ds} in one plan" in refused["detail"]
        status, refused = await house.answered(zone, rrsets=[rrset("other", "DS", DS)])
        assert (status, refused["guard"]) == (422, "ds_beside_ns")
        gone = [{"name": "child", "type": "NS"}, {"name": "child", "type": "DS"}]
        assert (await house.plan(zone, retire=gone))["state"] == "published"
        assert not await stands(house, ds)
        status, back = await house.answered(zone, "rollback", to=1)
        assert (status, back["state"]) == (200, "published")
        assert await stands(house, ds)


async def test_a_delegation_lost_past_dnsguard_comes_back_whole_with_a_plan_for_its_ns(house: House) -> None:
    """On BIND the DS goes with the NS; the plan says nothing of it, and the answer is "published" all the same."""
    zone = "inline.test."
    ns, ds = Key(f"child.{zone}", "NS"), Key(f"child.{zone}", "DS")
    both = [rrset("child", "NS", "ns.elsewhere.test."), rrset("child", "DS", DS)]
    assert (await house.plan(zone, rrsets=both))["state"] == "published"
    assert await house.publisher.publish(Message(zone, (), (DeleteRRset(ns), DeleteRRset(ds)))) == Applied()
    plan = await house.plan(zone, rrsets=[rrset("child", "NS", "other.elsewhere.test.")])
    assert plan["state"] == "published"
    assert await stands(house, ns)
    assert await stands(house, ds)


async def test_an_ns_that_nobody_manages_carries_a_ds_and_keeps_a_ds_that_nobody_manages(house: House) -> None:
    zone = "inline.test."
    ns, ds = Key(f"child.{zone}", "NS"), Key(f"child.{zone}", "DS")
    by_hand = AddRecords(ns, parse_records("NS", 60, ["ns.elsewhere.test."]))
    assert await house.publisher.publish(Message(zone, (), (by_hand,))) == Applied()
    assert (await house.plan(zone, rrsets=[rrset("child", "DS", DS)]))["state"] == "published"
    other = (
        AddRecords(Key(f"unsigned.{zone}", "NS"), by_hand.records),
        AddRecords(Key(f"unsigned.{zone}", "DS"), parse_records("DS", 60, [DS])),
    )
    assert await house.publisher.publish(Message(zone, (), other)) == Applied()
    retired = [{"name": "unsigned", "type": "NS"}]
    status, refused = await house.answered(zone, retire=retired, adopt=True)
    assert (status, refused["guard"]) == (422, "ds_beside_ns")
    assert await stands(house, ds)


REFUSED_THERE = {
    "bind": [
        ([rrset("office", "MX", "10 nobody.inline.test.")], "has no A or AAAA record in the zone"),
        ([rrset("sub_host", "A", "192.0.2.1")], "is no host name"),
        ([rrset("_sip._tcp", "SRV", "0 0 5060 my_host.inline.test.")], "is no host name"),
        ([rrset("phone", "NAPTR", r'100 50 "s" "z" "!^.*$!\\1!" .')], "the expression"),
    ],
    "knot": [([rrset("tree", "DNAME", "elsewhere.test.")], "takes no DNAME above names that exist")],
    "powerdns": [([rrset("purse", "WALLET", '"x"')], "not every server takes WALLET")],
}


async def test_a_rejection_names_the_record_that_the_server_does_not_take_with_the_reason(
    house: House, request: pytest.FixtureRequest
) -> None:
    zone = "inline.test."
    innocent = [rrset(f"h{index}", "A", "192.0.2.1") for index in range(6)]
    theirs = AddRecords(Key(f"below.tree.{zone}", "A"), parse_records("A", 60, ["192.0.2.1"]))
    assert await house.publisher.publish(Message(zone, (), (theirs,))) == Applied()
    for bad, said in REFUSED_THERE[request.node.callspec.params["house"]]:
        status, problem = await house.answered(zone, rrsets=[*innocent, *bad])
        assert (status, problem["type"]) == (422, "/problems/rejected")
        blamed = {(f"{each['name']}.{zone}", each["type"]) for each in bad}
        assert {(each["name"], each["type"]) for each in problem["suspects"]} <= blamed
        assert any(said in each["reason"] for each in problem["suspects"])
        name, rdtype = problem["suspects"][0]["name"], problem["suspects"][0]["type"]
        assert f"{name} {rdtype}" in problem["detail"]
        assert (await house.shown(problem["plan"]))["suspects"] == problem["suspects"]
        assert await house.addresses(f"h0.{zone}") == []
