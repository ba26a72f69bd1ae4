"""The NS and the DS of a name are published, read back and mended together."""

from dnsguard.core.history import PlanState
from dnsguard.core.records import parse_records
from tests.workers.rig import Rig, a, key

CUT_NS, CUT_DS = key("child", "NS"), key("child", "DS")
NS, OTHER_NS = (parse_records("NS", 300, [f"{name}.elsewhere.test."]) for name in ("ns", "other"))
DS = parse_records("DS", 300, [f"12345 13 2 {'00' * 32}"])


async def test_a_ds_that_went_with_its_ns_past_dnsguard_comes_back_with_the_next_plan_for_either() -> None:
    for wanted in ({CUT_NS: OTHER_NS}, {CUT_DS: DS}):
        rig = Rig()
        await rig.submit({CUT_NS: NS, CUT_DS: DS})
        await rig.settle()
        rig.primary.contents = {of: held for of, held in rig.primary.contents.items() if of.name != CUT_NS.name}
        generation = await rig.submit(dict(wanted))
        await rig.settle()
        assert rig.on_wire(CUT_NS) == wanted.get(CUT_NS, NS)
        assert rig.on_wire(CUT_DS) == DS
        assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_a_ds_beside_what_is_published_that_the_server_drops_is_a_fault_and_is_mended() -> None:
    rig = Rig()
    await rig.submit({CUT_NS: NS, CUT_DS: DS})
    await rig.settle()
    rig.publisher.drops = {CUT_DS}
    rig.primary.contents = {of: held for of, held in rig.primary.contents.items() if of != CUT_DS}
    generation = await rig.submit({CUT_NS: OTHER_NS})
    await rig.enactor().run_once()
    assert rig.entry(generation).state is PlanState.FAULTED
    assert f"{CUT_DS}" in (rig.entry(generation).why or "")
    rig.publisher.drops = set()
    enactor = rig.enactor()
    for _ in range(3):
        await enactor.run_once()
    assert rig.on_wire(CUT_DS) == DS
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_a_refused_ds_beside_an_older_ns_is_rejected_and_stops_no_other_name() -> None:
    rig = Rig()
    await rig.submit({CUT_NS: NS, CUT_DS: DS})
    await rig.settle()
    bad = parse_records("DS", 300, [r"\# 4 00010800"])
    rig.publisher.poison = set(bad.rdatas)
    refused = await rig.submit({CUT_DS: bad})
    other = await rig.submit({key("www"): a("192.0.2.1")})
    enactor = rig.enactor()
    for _ in range(20):
        await enactor.run_once()
    assert rig.entry(refused).state is PlanState.REJECTED
    assert rig.entry(other).state is PlanState.PUBLISHED
    assert rig.on_wire(CUT_DS) == DS
