"""A primary whose disk is full cannot write, and that is no plan's fault: real servers, each on a small disk."""

from pathlib import Path

import pytest

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import PlanState
from dnsguard.core.names import fence_name, is_within
from dnsguard.core.policy import Policy
from dnsguard.core.records import Records, parse_records
from dnsguard.lab.explore.variants import without
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then
from tests.servers.bind import Bind
from tests.servers.disk import SmallDisk, small_disk
from tests.servers.knot import Knot
from tests.servers.powerdns import PowerDns
from tests.wire.primaries import KEYS, ZONES, make_publisher
from tests.workers.rig import ZONE, Rig, RunningClock, a, key

KINDS: dict[str, type[Bind | Knot | PowerDns]] = {"bind": Bind, "knot": Knot, "powerdns": PowerDns}
WAITS = {"primary.refusing", "publication.unclear", "primary.unreachable"}
"""PowerDNS hangs up instead of an answer."""
MANY = Records(300, tuple(bytes((192, 0, 2, octet)) for octet in range(101)))
REFUSED = {
    "bind": {key("bad"): MANY},
    "knot": {key("ns1", "DNAME"): parse_records("DNAME", 300, ["elsewhere.test."])},
    "powerdns": {key("bad"): Records(300, (b"\1\2\3",))},
}
"""What each of them refuses however much room there is: BIND and PowerDNS with SERVFAIL."""
LARGE = parse_records("TXT", 300, [" ".join(f'"{"x" * 250}{n}"' for n in range(10))])


async def wait_out(rig: Rig, enactor: Enactor, disk: SmallDisk) -> None:
    """Submit plans until the primary takes none any more, and some beyond, and see that all of them wait."""
    disk.fill()
    waited, step = 0, None
    for number in range(60):
        await rig.submit({key(f"n{number}"): a("192.0.2.9"), key(f"n{number}", "TXT"): LARGE})
        for _ in range(8):
            step = await enactor.run_once()
            waited += step.event in WAITS
            assert step.event not in {"plan.rejected", "name.refused"}, step
            if step.then is Then.WOKEN:
                break
        if waited > 40:
            return
    raise AssertionError(f"expected a full disk to be noticed, found {step}")


@pytest.mark.parametrize("kind", KINDS)
async def test_plans_wait_for_room_on_the_primarys_disk_and_none_is_rejected(tmp_path: Path, kind: str) -> None:
    with small_disk(tmp_path / "small", 12_000_000) as disk:
        async with await KINDS[kind].start(disk.folder / "server", zones=ZONES, keys=KEYS) as server:
            rig = Rig(policy=Policy(records_max=200), guards=without(GUARDED, "names_not_occluded"))
            publisher = make_publisher(server.address)
            enactor = Enactor(ZONE, rig.store, publisher, RunningClock(), GUARDED, rig.policy)
            await rig.submit({key("www"): a("192.0.2.1"), key("below.ns1"): a("192.0.2.2")})
            await rig.settle(enactor)
            bad: list[int] = []
            for _ in range(2):
                await wait_out(rig, enactor, disk)
                disk.make_room()
                bad.append(await rig.submit({**REFUSED[kind], key("api"): a("192.0.2.3")}))
                good = await rig.submit({key("good"): a("192.0.2.4")})
                await rig.settle(enactor)
                states = {generation: entry.state for generation, entry in rig.store.histories[ZONE].entries.items()}
                assert [number for number, state in states.items() if state is PlanState.REJECTED] == bad
                assert states[good] is PlanState.PUBLISHED
            everything = await publisher.transfer(ZONE)
            assert isinstance(everything, dict)
            assert [found for found in everything if is_within(found.name, fence_name(ZONE))] == [
                key("_dnsguard", "TXT")
            ]
            await publisher.close()
