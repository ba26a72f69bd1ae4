"""The ways out of a halt: either side may be right, and history goes on above both."""

import pytest

from dnsguard.core.fence import Fence, fence_key, fence_rdata, parse_fence
from dnsguard.core.plan import Absence
from dnsguard.core.records import Records, parse_records
from dnsguard.workers.resync import Keep, ResyncRefused, resync
from tests.workers.rig import ZONE, Rig, RunningClock, a, key


async def settle_by(rig: Rig, keep: Keep) -> int:
    return await resync(
        ZONE,
        keep,
        "operator",
        "",
        store=rig.store,
        publisher=rig.publisher,
        clock=RunningClock(),
        guards=rig.guards,
    )


def stand_ahead(rig: Rig, generation: int = 900) -> None:
    foreign = Fence("f" * 16, generation, "e" * 16)
    rig.primary.contents = rig.primary.contents | {fence_key(ZONE): Records(1, (fence_rdata(foreign),))}


async def halted_rig() -> Rig:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1"), key("old"): a("192.0.2.8"), key("gone"): a("192.0.2.7")})
    await rig.settle()
    stand_ahead(rig)
    rig.primary.contents[key("www")] = a("192.0.2.50")
    del rig.primary.contents[key("gone")]
    assert (await rig.enactor().run_once()).event == "zone.halted"
    return rig


async def test_keeping_the_wire_takes_over_what_stands_there() -> None:
    rig = await halted_rig()
    generation = await settle_by(rig, "wire")
    assert generation == 901
    await rig.settle()
    fence = parse_fence(rig.primary.contents[fence_key(ZONE)].rdatas)
    assert (fence.generation, fence.progress) == (901, None)
    assert rig.on_wire(key("www")) == a("192.0.2.50")
    assert rig.on_wire(key("gone")) is None
    covered = {covered.key: covered.wanted for covered in await rig.store.covered(ZONE)}
    assert covered == {key("www"): a("192.0.2.50"), key("old"): a("192.0.2.8"), key("gone"): Absence.RETIRED}


async def test_keeping_the_store_puts_its_newest_contents_on_the_wire() -> None:
    rig = await halted_rig()
    await rig.submit({key("www"): a("192.0.2.2"), key("new"): a("192.0.2.3")})
    await settle_by(rig, "store")
    await rig.settle()
    for name, address in {"www": 2, "new": 3, "old": 8, "gone": 7}.items():
        assert rig.on_wire(key(name)) == a(f"192.0.2.{address}")
    assert rig.store.histories[ZONE].zone.halted is None


@pytest.mark.parametrize("keep", ["wire", "store"])
async def test_a_fence_that_is_no_fence_can_be_settled_too(keep: Keep) -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    rig.primary.contents[fence_key(ZONE)] = parse_records("TXT", 1, ['"somebody else was here"'])
    assert (await rig.enactor().run_once()).event == "zone.halted"
    await settle_by(rig, keep)
    await rig.settle()
    assert rig.on_wire(key("www")) == a("192.0.2.1")


async def test_a_decision_holds_only_for_the_fence_that_was_seen() -> None:
    rig = await halted_rig()
    await settle_by(rig, "store")
    stand_ahead(rig, 950)
    assert (await rig.enactor().run_once()).event == "zone.halted"


async def test_a_zone_in_order_is_left_alone() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    with pytest.raises(ResyncRefused, match="nothing to settle"):
        await settle_by(rig, "wire")


async def test_without_the_primary_nothing_is_decided() -> None:
    rig = await halted_rig()
    rig.primary.away = True
    with pytest.raises(ResyncRefused, match="must answer"):
        await settle_by(rig, "wire")
