"""What a delegation or a DNAME hides, which of it is glue, and which plans may make it so."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.fence import fence_key
from dnsguard.core.guards import GUARDED
from dnsguard.core.names import fence_name, is_within
from dnsguard.core.occlusion import ANCESTORS_MAX, ancestors_of, hidden_in
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.submission import Standing, Submitted, apex_not_redirected, names_not_occluded, plan_is_bounded

ZONE = "example.test."
RETIRED = Absence.RETIRED
ONE = parse_records("A", 60, ["192.0.2.1"])
TEXT = parse_records("TXT", 60, ['"text"'])
DS = parse_records("DS", 60, ["12345 13 2 " + "ab" * 32])
DNAME = parse_records("DNAME", 60, ["elsewhere.test."])


def key(name: str, rdtype: str = "A") -> Key:
    return Key(ZONE if name == "@" else f"{name}.{ZONE}", rdtype)


def ns(*servers: str) -> Records:
    return parse_records("NS", 60, [server if server.endswith(".") else f"{server}.{ZONE}" for server in servers])


def submitted(
    plan: Mapping[Key, Wanted], standing: Mapping[Key, Wanted] | None = None, layout: str = "inline"
) -> Submitted:
    known = {each: Standing(wanted, 7, "alice") for each, wanted in (standing or {}).items()}
    return Submitted(make_plan(ZONE, plan), Policy(layout=layout), 41, known, {})


SUB, DEEP, GLUE = key("sub", "NS"), key("deep.sub"), key("ns.sub")


@pytest.mark.parametrize(
    ("plan", "standing", "is_refused"),
    [
        # A new delegation above what is covered, or at it.
        ({SUB: ns("ns.elsewhere.test.")}, {DEEP: ONE}, True),
        ({SUB: ns("ns.elsewhere.test.")}, {key("sub", "TXT"): TEXT}, True),
        ({SUB: ns("ns.elsewhere.test.")}, {key("sub"): ONE}, True),
        ({SUB: ns("ns.elsewhere.test."), DEEP: ONE}, {}, True),
        ({SUB: ns("ns.elsewhere.test.")}, {DEEP: RETIRED}, False),
        ({SUB: ns("ns.elsewhere.test."), DEEP: RETIRED}, {DEEP: ONE}, False),
        ({SUB: ns("ns.elsewhere.test.")}, {key("xsub"): ONE, key("other"): ONE}, False),
        ({SUB: ns("ns.elsewhere.test.")}, {key("@", "MX"): ONE, key("@", "NS"): ns("ns")}, False),
        # DS and glue stay legal.
        ({SUB: ns("ns.sub"), key("sub", "DS"): DS, GLUE: ONE}, {}, False),
        ({SUB: ns("ns.sub")}, {GLUE: ONE, key("ns.sub", "AAAA"): ONE}, False),
        ({SUB: ns("ns.sub")}, {GLUE: ONE, key("ns.sub", "TXT"): TEXT}, True),
        ({SUB: ns("sub"), key("sub"): ONE}, {}, False),
        ({SUB: ns("other.sub"), GLUE: ONE}, {}, True),
        ({key("a", "NS"): ns("ns.b"), key("b", "NS"): ns("ns.elsewhere.test."), key("ns.b"): ONE}, {}, False),
        ({key("sub", "DS"): DS}, {SUB: ns("ns.elsewhere.test.")}, False),
        ({GLUE: ONE}, {SUB: ns("ns.sub")}, False),
        # A new name below a delegation that is covered.
        ({DEEP: ONE}, {SUB: ns("ns.elsewhere.test.")}, True),
        ({key("very.deep.sub"): ONE}, {SUB: ns("ns.elsewhere.test.")}, True),
        ({DEEP: ONE, SUB: RETIRED}, {SUB: ns("ns.elsewhere.test.")}, False),
        ({DEEP: ONE}, {SUB: RETIRED}, False),
        ({DEEP: RETIRED}, {SUB: ns("ns.elsewhere.test."), DEEP: ONE}, False),
        # What was hidden before may be touched.
        ({DEEP: TEXT}, {SUB: ns("ns.elsewhere.test."), DEEP: ONE}, False),
        ({SUB: ns("ns.other.test.")}, {SUB: ns("ns.elsewhere.test."), DEEP: ONE}, False),
        # A DNAME hides what is below it, and nothing at its name; it knows no glue.
        ({key("sub", "DNAME"): DNAME}, {DEEP: ONE}, True),
        ({key("sub", "DNAME"): DNAME}, {key("sub", "TXT"): TEXT}, False),
        ({DEEP: ONE}, {key("sub", "DNAME"): DNAME}, True),
        ({key("sub", "DNAME"): DNAME, SUB: ns("ns.sub"), GLUE: ONE}, {}, True),
        ({DEEP: ONE}, {key("@", "DNAME"): DNAME}, True),
        ({DEEP: ONE, key("@", "DNAME"): RETIRED}, {key("@", "DNAME"): DNAME}, False),
        # A dot in a label parts no names.
        ({SUB: ns("ns.elsewhere.test.")}, {key(r"a\.sub"): ONE}, False),
        ({key(r"a\.sub"): ONE}, {SUB: ns("ns.elsewhere.test.")}, False),
    ],
)
def test_a_plan_hides_no_covered_name_and_puts_none_where_it_is_hidden(
    plan: Mapping[Key, Wanted], standing: Mapping[Key, Wanted], is_refused: bool
) -> None:
    refusal = names_not_occluded(submitted(plan, standing))
    assert (refusal is not None) is is_refused, refusal
    assert refusal is None or refusal.guard == "names_not_occluded"


def test_the_refusal_names_both_and_says_what_is_legal() -> None:
    refusal = names_not_occluded(submitted({SUB: ns("ns.elsewhere.test.")}, {DEEP: ONE}))
    assert refusal is not None
    assert "sub.example.test. NS (this plan) would hide deep.sub.example.test. A (generation 7)" in refusal.detail
    assert refusal.expected == "only DS, and the addresses of its own name servers below sub.example.test."
    assert refusal.found == "deep.sub.example.test. A"


def test_the_versioned_layout_has_no_glue_below_a_delegation_since_it_would_be_an_alias() -> None:
    glue, at_the_cut = {SUB: ns("ns.sub"), GLUE: ONE}, {SUB: ns("sub"), key("sub"): ONE}
    refusal = names_not_occluded(submitted(glue, layout="versioned"))
    assert refusal is not None
    assert "in the versioned layout no glue" in refusal.expected
    assert names_not_occluded(submitted(at_the_cut, layout="versioned")) is None


@pytest.mark.parametrize("rdtype", ["DNAME", "CNAME"])
def test_nothing_redirects_the_apex(rdtype: str) -> None:
    refusal = apex_not_redirected(submitted({key("@", rdtype): DNAME}))
    assert refusal is not None
    assert refusal.guard == "apex_not_redirected"
    assert apex_not_redirected(submitted({key("@", rdtype): RETIRED})) is None
    assert apex_not_redirected(submitted({key("www", rdtype): DNAME})) is None


UNWRITABLE: dict[str, tuple[dict[Key, Wanted], str]] = {
    "DNAME at the apex": ({key("@", "DNAME"): DNAME}, "apex_not_redirected"),
    "CNAME at the apex": ({key("@", "CNAME"): DNAME}, "apex_not_redirected"),
    "NS at the fence's name": ({Key(fence_name(ZONE), "NS"): ns("ns.elsewhere.test.")}, "reserved_names_untouched"),
    "CNAME at the fence's name": ({Key(fence_name(ZONE), "CNAME"): DNAME}, "reserved_names_untouched"),
    "DNAME at the fence's name": ({Key(fence_name(ZONE), "DNAME"): DNAME}, "reserved_names_untouched"),
    "TXT at the fence's name": ({fence_key(ZONE): TEXT}, "reserved_names_untouched"),
    "SOA": ({key("@", "SOA"): TEXT}, "server_records_untouched"),
    "no NS at the apex": ({key("@", "NS"): RETIRED}, "apex_ns_kept"),
    "NS over covered names": ({SUB: ns("ns.elsewhere.test."), DEEP: ONE}, "names_not_occluded"),
    "DNAME over covered names": ({key("sub", "DNAME"): DNAME, DEEP: ONE}, "names_not_occluded"),
}
"""Every RRset with which a plan could take names, or the zone, out of reach, and the guard that refuses it."""


@pytest.mark.parametrize("name", UNWRITABLE)
@pytest.mark.parametrize("layout", ["inline", "versioned"])
def test_no_plan_makes_a_zone_unwritable(name: str, layout: str) -> None:
    plan, guard = UNWRITABLE[name]
    refusal = GUARDED.refuse_submission(submitted(plan, layout=layout))
    assert refusal is not None
    assert refusal.guard == guard


def test_the_names_above_a_plan_are_bounded() -> None:
    deep = {key(f"n{n}." + "x." * 100 + f"y{n}"): ONE for n in range(ANCESTORS_MAX // 100)}
    refusal = plan_is_bounded(submitted(deep))
    assert refusal is not None
    assert "names above" in refusal.detail
    assert plan_is_bounded(submitted(dict(list(deep.items())[:1000]))) is None


LABELS = st.lists(st.sampled_from(["a", "b", r"c\.d", "e"]), max_size=3).map(lambda labels: ".".join(labels) or "@")


@given(st.sets(LABELS, max_size=6), st.sets(LABELS.filter(lambda name: name != "@"), max_size=3))
def test_hidden_is_what_stands_at_or_below_a_delegation(names: set[str], cuts: set[str]) -> None:
    wire = {key(name, "TXT"): TEXT for name in names} | {key(cut, "NS"): ns("ns.elsewhere.test.") for cut in cuts}
    expected = {
        each
        for each in wire
        if any(
            is_within(each.name, key(cut).name) and (each.name != key(cut).name or each.type != "NS") for cut in cuts
        )
    }
    assert set(hidden_in(ZONE, wire)) == expected


@given(st.sets(LABELS, max_size=6))
def test_the_names_above_are_all_between_a_name_and_the_apex(names: set[str]) -> None:
    found = ancestors_of(make_plan(ZONE, {key(name): ONE for name in names}))
    assert all(is_within(above, ZONE) and any(is_within(key(name).name, above) for name in names) for above in found)
    assert (ZONE in found) is bool(names - {"@"})
