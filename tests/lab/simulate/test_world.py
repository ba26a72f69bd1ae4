"""What is taken for ours in a simulated world, and how its primary behaves as real ones do."""

from typing import cast

from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Submission
from dnsguard.core.message import AddRecords
from dnsguard.core.plan import Absence, make_plan
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.repair import ACTOR, REASON
from dnsguard.lab.ends.history import append
from dnsguard.lab.ends.primary import Contents, apply_update
from dnsguard.lab.scheduler.simulation import Simulation
from dnsguard.lab.simulate.draws import Draws
from dnsguard.lab.simulate.swarm import swarm
from dnsguard.lab.simulate.verdicts import look
from dnsguard.lab.simulate.world import ADDRESSES, ZONE, World


def test_a_name_is_ours_once_its_retirement_is_published_even_before_that_is_on_record() -> None:
    world = World(cast("Simulation", None), swarm(0), GUARDED, Draws("world"))
    key = world.keys[0]
    world.history.changes[key] = {2: Absence.RETIRED}
    world.fence = Fence("0" * 16, 1, "0" * 16)
    assert not world.is_under_way(key)
    world.fence = Fence("0" * 16, 2, "0" * 16)
    assert world.is_under_way(key)


def soa(serial: int) -> Records:
    return parse_records("SOA", 60, [f"ns.{ZONE} hostmaster.{ZONE} {serial} 60 60 60 60"])


def test_an_soa_of_an_older_serial_is_ignored() -> None:
    apex = Key(ZONE, "SOA")
    contents: Contents = {apex: soa(5)}
    apply_update(ZONE, contents, AddRecords(apex, soa(4)))
    assert contents == {apex: soa(5)}
    apply_update(ZONE, contents, AddRecords(apex, soa(6)))
    assert contents == {apex: soa(6)}


def test_of_several_aliases_at_a_name_the_last_one_stays() -> None:
    alias, both = Key(f"www.{ZONE}", "CNAME"), parse_records("CNAME", 60, ["a.test.", "b.test."])
    contents: Contents = {}
    apply_update(ZONE, contents, AddRecords(alias, both))
    assert contents == {alias: parse_records("CNAME", 60, ["b.test."])}


def test_a_repair_that_wants_something_else_than_the_history_is_no_repair() -> None:
    for wanted, is_right in ((ADDRESSES[0], True), (ADDRESSES[1], False)):
        world = World(cast("Simulation", None), swarm(0), GUARDED, Draws("world"))
        key = world.keys[0]
        append(world.history, Submission(make_plan(ZONE, {key: ADDRESSES[0]}), "P0", 1.0), 1)
        append(world.history, Submission(make_plan(ZONE, {key: wanted}, reason=f"{REASON}it was gone"), ACTOR, 2.0), 2)
        broken = look(world, None)
        assert broken is None if is_right else broken is not None and "generation 2 is a repair" in broken.detail
