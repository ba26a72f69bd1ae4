"""A stranger hides the fence of a zone on a real server; the workers read it all the same and repair the zone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dnsguard.core.fence import fence_key
from dnsguard.core.guards import GUARDED
from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRecords,
    DeleteRRset,
    Message,
    NamesRead,
    Unreachable,
    Update,
)
from dnsguard.core.records import Key
from dnsguard.core.written import Seen
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then
from tests.servers.powerdns import PowerDns
from tests.wire.primaries import KEYS, SERVERS, ZONES, Server, make_publisher, records
from tests.workers.rig import ZONE, Rig, RunningClock, a, key, retired

FENCE = fence_key(ZONE)
ELSEWHERE = records("NS", "ns.elsewhere.test.")
WWW = key("www")


@dataclass
class Scene:
    """A zone with one published plan on a real server, or in memory."""

    kind: str
    publisher: DnsPublisher | MemoryPublisher
    rig: Rig
    enactor: Enactor

    async def put(self, *updates: Update) -> bool:
        """Write as a stranger who asks nobody."""
        return await self.publisher.publish(Message(ZONE, (), updates)) == Applied()

    async def transferred(self) -> set[Key]:
        found = await self.publisher.transfer(ZONE)
        assert not isinstance(found, Unreachable)
        return set(found)


async def start_powerdns_with_dname(folder: Path) -> Server:
    return await PowerDns.start(folder, zones=ZONES, keys=KEYS, settings={"dname-processing": "yes"})


STARTS = SERVERS | {"powerdns with dname-processing": start_powerdns_with_dname}
FOLLOW_DNAME = ("memory", "bind")
"""PowerDNS redirects only names that do not exist, and Knot takes no DNAME above names that do."""


@pytest.fixture(params=["memory", *STARTS])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    rig = Rig()
    server = None
    publisher: DnsPublisher | MemoryPublisher = MemoryPublisher(rig.primary)
    if request.param != "memory":
        server = await STARTS[request.param](tmp_path / "server")
        publisher = make_publisher(server.address)
    enactor = Enactor(ZONE, rig.store, publisher, RunningClock(), GUARDED, rig.policy)
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle(enactor)
    yield Scene(request.param, publisher, rig, enactor)
    if isinstance(publisher, DnsPublisher):
        await publisher.close()
    if server is not None:
        await server.stop()


async def test_a_delegation_at_the_fences_name_goes_with_the_next_message(scene: Scene) -> None:
    before = await scene.publisher.observe(ZONE)
    assert await scene.put(AddRecords(Key(FENCE.name, "NS"), ELSEWHERE))
    await scene.rig.settle(scene.enactor)
    assert await scene.publisher.observe(ZONE) == before
    assert (FENCE.name, "NS") not in await scene.transferred()


async def test_a_cname_in_the_fences_place_goes_and_everything_is_published_anew(scene: Scene) -> None:
    cname = Key(FENCE.name, "CNAME")
    assert await scene.put(DeleteRRset(FENCE), AddRecords(cname, records("CNAME", "www.example.test.")))
    assert await scene.publisher.observe(ZONE) == Seen((), None, (cname,))
    await scene.rig.settle(scene.enactor)
    seen = await scene.publisher.observe(ZONE)
    assert isinstance(seen, Seen)
    assert seen.fence is not None
    assert (seen.fence.generation, seen.hidden_by) == (1, ())


async def test_a_dname_at_the_apex_is_reported_and_goes_with_a_plan_that_retires_it(scene: Scene) -> None:
    dname = Key(ZONE, "DNAME")
    gone = DeleteRecords(key("@", "NS"), records("NS", f"ns1.{ZONE}").rdatas)
    assert await scene.put(AddRecords(key("@", "NS"), ELSEWHERE), gone)
    if not await scene.put(AddRecords(dname, records("DNAME", "elsewhere.test."))):
        assert scene.kind == "knot"  # it lets no DNAME hide anything
        return
    for event in ("zone.redirected", "zone.redirected"):
        step = await scene.enactor.run_once()
        if scene.kind in FOLLOW_DNAME:
            assert (step.event, step.then) == (event, Then.WOKEN)
            assert "retire it with a plan" in step.detail
    await scene.rig.submit({key("@", "DNAME"): retired(), WWW: a("192.0.2.2")}, adopt=True)
    steps = await scene.rig.settle(scene.enactor)
    assert steps[-1].event == "zone.current"
    seen = await scene.publisher.observe(ZONE)
    assert isinstance(seen, Seen)
    assert seen.fence is not None
    assert (seen.fence.generation, seen.hidden_by) == (2, ())
    assert dname not in await scene.transferred()
    assert await scene.publisher.read(ZONE, [WWW.name]) == NamesRead({WWW: a("192.0.2.2")})


@pytest.mark.parametrize("scene", FOLLOW_DNAME, indirect=True)
async def test_other_plans_are_published_below_a_dname_at_the_apex(scene: Scene) -> None:
    gone = DeleteRecords(key("@", "NS"), records("NS", f"ns1.{ZONE}").rdatas)
    dname = AddRecords(Key(ZONE, "DNAME"), records("DNAME", "elsewhere.test."))
    assert await scene.put(AddRecords(key("@", "NS"), ELSEWHERE), gone, dname)
    await scene.rig.submit({WWW: a("192.0.2.2")})
    await scene.rig.settle(scene.enactor)
    assert await scene.publisher.read(ZONE, [WWW.name]) == NamesRead({WWW: a("192.0.2.2")})
