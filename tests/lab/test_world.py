"""What is taken for ours in a simulated world, and how its primary behaves as real ones do."""

from random import Random
from typing import cast

from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED
from dnsguard.core.message import AddRecords
from dnsguard.core.plan import Absence
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.lab.primary import Contents, apply_update
from dnsguard.lab.simulation import Simulation
from dnsguard.lab.swarm import swarm
from dnsguard.lab.world import ZONE, World


def test_a_name_is_ours_once_its_retirement_is_published_even_before_that_is_on_record() -> None:
    world = World(cast("Simulation", None), swarm(0), GUARDED, Random(0))
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
