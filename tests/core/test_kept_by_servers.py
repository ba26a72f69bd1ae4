"""Guards against what servers drop or ignore: each refuses what it is for, and lets the rest through."""

from collections.abc import Mapping

import pytest

from dnsguard.core.kept_by_servers import contents_are_stored, ds_beside_ns
from dnsguard.core.plan import Wanted, make_plan
from dnsguard.core.records import Key, Records
from dnsguard.core.submission import Standing
from tests.core.test_submission import ONE, RETIRED, TWO, UNCOVERED, ZONE, facts, refused, stands

CUT_NS, CUT_DS = Key("child.example.test.", "NS"), Key("child.example.test.", "DS")


@pytest.mark.parametrize(
    ("rrsets", "standing", "wire"),
    [
        ({CUT_NS: RETIRED}, {CUT_NS: stands(ONE), CUT_DS: stands(ONE)}, {}),
        ({CUT_NS: RETIRED}, {CUT_NS: stands(ONE)}, {CUT_NS: ONE, CUT_DS: ONE}),
        ({CUT_NS: RETIRED}, {CUT_NS: stands(ONE), CUT_DS: stands(ONE)}, None),
        ({CUT_DS: ONE}, {}, {}),
        ({CUT_DS: ONE}, {CUT_NS: stands(RETIRED)}, None),
        ({CUT_DS: TWO}, {CUT_NS: stands(RETIRED), CUT_DS: stands(ONE)}, {}),
        ({CUT_DS: ONE, CUT_NS: RETIRED}, {}, {CUT_NS: ONE}),
    ],
)
def test_a_plan_that_leaves_a_ds_without_ns_is_refused_with_the_way_to_write_it(
    rrsets: Mapping[Key, Wanted], standing: Mapping[Key, Standing], wire: Mapping[Key, Records] | None
) -> None:
    refusal = ds_beside_ns(facts(rrsets, standing=standing, wire=wire))
    assert refused(refusal, "ds_beside_ns")
    assert refusal is not None
    assert f"{CUT_NS} and {CUT_DS} in one plan" in refusal.detail or f"set {CUT_NS}" in refusal.detail


@pytest.mark.parametrize(
    ("rrsets", "standing", "wire"),
    [
        ({CUT_NS: RETIRED, CUT_DS: RETIRED}, {CUT_NS: stands(ONE), CUT_DS: stands(ONE)}, {}),
        ({CUT_NS: RETIRED}, {CUT_NS: stands(ONE)}, {CUT_NS: ONE}),
        ({CUT_NS: RETIRED}, {CUT_NS: stands(ONE)}, None),
        ({CUT_NS: TWO}, {CUT_NS: stands(ONE), CUT_DS: stands(ONE)}, {}),
        ({CUT_DS: ONE}, {}, {CUT_NS: ONE}),
        ({CUT_DS: ONE}, {CUT_NS: stands(ONE)}, None),
        ({CUT_DS: ONE}, {CUT_NS: stands(UNCOVERED)}, {CUT_NS: ONE}),
        ({CUT_DS: ONE}, {}, None),
        ({CUT_DS: ONE, CUT_NS: ONE}, {}, {}),
        ({CUT_DS: ONE}, {CUT_DS: stands(ONE)}, {}),
    ],
)
def test_a_plan_that_keeps_the_ns_beside_a_ds_passes(
    rrsets: Mapping[Key, Wanted], standing: Mapping[Key, Standing], wire: Mapping[Key, Records] | None
) -> None:
    assert ds_beside_ns(facts(rrsets, standing=standing, wire=wire)) is None


def test_contents_that_servers_ignore_are_refused_unless_they_stand_there() -> None:
    wild = Key("*.example.test.", "NS")
    assert refused(contents_are_stored(facts({wild: ONE})), "contents_are_stored")
    assert contents_are_stored(facts({wild: ONE}, standing={wild: stands(ONE)})) is None
    assert contents_are_stored(facts({wild: RETIRED})) is None
    assert contents_are_stored(facts({}, plan=make_plan(ZONE, {wild: ONE}, as_found=True))) is None


def test_every_rrset_that_is_refused_is_named() -> None:
    orphans = {Key(f"{label}.{ZONE}", "DS"): ONE for label in "cd"}
    wild = {Key(f"*.{label}.{ZONE}", "NS"): ONE for label in "cd"}
    for guard, rrsets in ((ds_beside_ns, orphans), (contents_are_stored, wild)):
        refusal = guard(facts(rrsets, wire={}))
        assert refusal is not None
        assert [each.key for each in refusal.all()] == list(rrsets)
