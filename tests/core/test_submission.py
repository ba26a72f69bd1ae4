"""Guards at the door: each refuses what it is for, lets the rest through, and says both at its edge."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from dnsguard.core.fence import GENERATION_STATED_MAX
from dnsguard.core.message import AddRecords, octets_of
from dnsguard.core.plan import Absence, Plan, Wanted, make_plan
from dnsguard.core.policy import RRSET_OCTETS_MAX, Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import (
    Standing,
    Submitted,
    apex_ns_kept,
    cname_alone,
    generation_forward,
    made_from_what_stands,
    plan_covers_something,
    plan_in_zone,
    plan_is_bounded,
    reserved_names_untouched,
    retirement_allowed,
    rrset_fits_a_message,
    rrset_is_bounded,
    server_records_untouched,
    ttl_in_bounds,
    unmanaged_contents_kept,
)

ZONE = "example.test."
A, B = Key("a.example.test.", "A"), Key("b.example.test.", "A")
CNAME, TXT = Key(A.name, "CNAME"), Key(A.name, "TXT")
APEX_NS = Key(ZONE, "NS")
ONE, TWO = Records(60, (b"\xc0\0\2\1",)), Records(60, (b"\xc0\0\2\2",))
RETIRED, UNCOVERED = Absence.RETIRED, Absence.UNCOVERED


def facts(
    rrsets: Mapping[Key, Wanted],
    *,
    plan: Plan | None = None,
    policy: Policy | None = None,
    newest: int = 41,
    standing: Mapping[Key, Standing] | None = None,
    wire: Mapping[Key, Records] | None = None,
) -> Submitted:
    return Submitted(plan or make_plan(ZONE, rrsets), policy or Policy(), newest, standing or {}, wire)


def stands(wanted: Wanted, generation: int = 7) -> Standing:
    return Standing(wanted, generation, "alice")


def many(count: int) -> Records:
    return Records(60, tuple(n.to_bytes(4, "big") for n in range(count)))


def refused(refusal: Refusal | None, guard: str) -> bool:
    if refusal is None:
        return False
    assert refusal.guard == guard
    assert refusal.detail
    assert refusal.expected
    assert refusal.found
    return True


def test_an_empty_plan_is_refused() -> None:
    assert refused(plan_covers_something(facts({})), "plan_covers_something")
    assert plan_covers_something(facts({A: ONE})) is None


def test_a_plan_of_more_rrsets_than_allowed_is_refused() -> None:
    policy = Policy(plan_rrsets_max=1)
    assert plan_is_bounded(facts({A: ONE}, policy=policy)) is None
    assert refused(plan_is_bounded(facts({A: ONE, B: ONE}, policy=policy)), "plan_is_bounded")


@pytest.mark.parametrize("name", ["test.", "example.org.", "xexample.test.", r"a\.example.test.", "."])
def test_a_name_outside_the_zone_is_refused(name: str) -> None:
    assert refused(plan_in_zone(facts({A: ONE, Key(name, "A"): ONE})), "plan_in_zone")
    assert plan_in_zone(facts({A: ONE, APEX_NS: ONE})) is None


@pytest.mark.parametrize("name", ["_dnsguard.example.test.", "x._dnsguard.example.test.", "*._dnsguard.example.test."])
def test_the_fences_name_and_all_below_it_are_refused(name: str) -> None:
    assert refused(reserved_names_untouched(facts({Key(name, "A"): ONE})), "reserved_names_untouched")
    for other in ("x_dnsguard.example.test.", "_dnsguard.a.example.test.", r"x\._dnsguard.example.test."):
        assert reserved_names_untouched(facts({Key(other, "A"): ONE})) is None


@pytest.mark.parametrize("rdtype", ["SOA", "RRSIG", "NSEC", "NSEC3"])
def test_what_the_server_keeps_itself_is_refused(rdtype: str) -> None:
    for wanted in (ONE, RETIRED):
        assert refused(server_records_untouched(facts({Key(ZONE, rdtype): wanted})), "server_records_untouched")
    assert server_records_untouched(facts({APEX_NS: ONE, Key(ZONE, "DNSKEY"): ONE})) is None


def test_the_apex_ns_rrset_may_be_replaced_but_not_retired() -> None:
    for wanted in (RETIRED, UNCOVERED):
        assert refused(apex_ns_kept(facts({APEX_NS: wanted})), "apex_ns_kept")
    assert apex_ns_kept(facts({APEX_NS: ONE})) is None
    assert apex_ns_kept(facts({Key(A.name, "NS"): RETIRED})) is None


def test_nothing_is_retired_where_the_policy_does_not_let_it() -> None:
    strict = Policy(retire=False)
    assert refused(retirement_allowed(facts({B: ONE, A: RETIRED}, policy=strict)), "retirement_allowed")
    assert retirement_allowed(facts({A: RETIRED})) is None
    assert retirement_allowed(facts({A: ONE, B: UNCOVERED}, policy=strict)) is None


@pytest.mark.parametrize(("ttl", "fits"), [(29, False), (30, True), (3600, True), (3601, False)])
def test_a_ttl_lies_within_the_policy(ttl: int, fits: bool) -> None:
    refusal = ttl_in_bounds(facts({A: replace(ONE, ttl=ttl)}, policy=Policy(ttl_s_min=30, ttl_s_max=3600)))
    assert refused(refusal, "ttl_in_bounds") is not fits


def test_an_rrset_of_more_records_than_servers_take_is_refused() -> None:
    assert rrset_is_bounded(facts({A: many(100)})) is None
    assert refused(rrset_is_bounded(facts({A: many(101)})), "rrset_is_bounded")
    assert rrset_is_bounded(facts({A: many(101)}, policy=Policy(records_max=101))) is None


@pytest.mark.parametrize("rdtype", ["CNAME", "DNAME"])
def test_a_second_alias_at_a_name_is_refused(rdtype: str) -> None:
    key = Key(A.name, rdtype)
    assert rrset_is_bounded(facts({key: many(1)})) is None
    assert refused(rrset_is_bounded(facts({key: many(2)})), "rrset_is_bounded")


def test_an_rrset_that_no_single_update_could_replace_is_refused() -> None:
    room = RRSET_OCTETS_MAX - octets_of(AddRecords(A, Records(60, (b"",))))
    assert rrset_fits_a_message(facts({A: Records(60, (bytes(room),))})) is None
    assert refused(rrset_fits_a_message(facts({A: Records(60, (bytes(room + 1),))})), "rrset_fits_a_message")


@pytest.mark.parametrize(
    ("stated", "fits"),
    [
        (None, True),
        (40, False),
        (41, False),
        (42, True),
        (1000, True),
        (GENERATION_STATED_MAX, True),
        (GENERATION_STATED_MAX + 1, False),
        (2**63, False),
        (0, False),
        (-1, False),
    ],
)
def test_a_stated_generation_goes_forward_and_leaves_room(stated: int | None, fits: bool) -> None:
    refusal = generation_forward(facts({}, plan=make_plan(ZONE, {A: ONE}, stated=stated)))
    assert refused(refusal, "generation_forward") is not fits


@pytest.mark.parametrize(("based_on", "fits"), [(None, True), (6, False), (7, True), (41, True), (42, False)])
def test_a_plan_is_made_from_what_stands(based_on: int | None, fits: bool) -> None:
    plan = make_plan(ZONE, {A: TWO}, based_on=based_on)
    refusal = made_from_what_stands(facts({}, plan=plan, standing={A: stands(ONE, 7)}))
    assert refused(refusal, "made_from_what_stands") is not fits


def test_planners_of_different_rrsets_do_not_get_in_each_others_way() -> None:
    plan = make_plan(ZONE, {A: TWO}, based_on=6)
    assert made_from_what_stands(facts({}, plan=plan, standing={TXT: stands(ONE, 41), B: stands(ONE, 41)})) is None


def test_a_stale_plan_is_told_by_whom_it_was_overtaken() -> None:
    plan = make_plan(ZONE, {A: TWO}, based_on=6)
    refusal = made_from_what_stands(facts({}, plan=plan, standing={A: stands(ONE, 7)}))
    assert refusal is not None
    assert "generation 7 by alice" in refusal.detail


@pytest.mark.parametrize(
    ("rrsets", "standing", "wire", "fits"),
    [
        ({CNAME: ONE}, {}, {}, True),
        ({CNAME: ONE}, {}, None, True),
        ({CNAME: ONE, A: ONE}, {}, {}, False),
        ({CNAME: ONE, A: RETIRED}, {}, {}, True),
        ({CNAME: ONE, A: RETIRED}, {A: stands(ONE)}, {A: ONE}, True),
        ({CNAME: RETIRED, A: ONE}, {CNAME: stands(ONE)}, {}, True),
        ({CNAME: ONE}, {A: stands(ONE)}, {}, False),
        ({CNAME: ONE}, {A: stands(RETIRED)}, {}, True),
        ({CNAME: ONE}, {A: stands(RETIRED)}, {A: ONE}, True),
        ({CNAME: ONE}, {A: stands(UNCOVERED)}, {A: ONE}, False),
        ({CNAME: ONE}, {A: stands(UNCOVERED)}, {}, True),
        ({A: ONE}, {CNAME: stands(ONE)}, {}, False),
        ({A: ONE}, {}, {CNAME: ONE}, False),
        ({CNAME: ONE}, {}, {TXT: ONE}, False),
        ({CNAME: ONE, TXT: UNCOVERED}, {}, {TXT: ONE}, False),
        ({CNAME: ONE}, {}, {Key(A.name, "RRSIG"): ONE, Key(A.name, "NSEC"): ONE}, True),
        ({CNAME: ONE}, {}, {B: ONE}, True),
        ({Key("*.example.test.", "CNAME"): ONE, A: ONE}, {}, {}, True),
    ],
)
def test_a_cname_stands_alone_at_its_name(
    rrsets: Mapping[Key, Wanted], standing: Mapping[Key, Standing], wire: Mapping[Key, Records] | None, fits: bool
) -> None:
    assert refused(cname_alone(facts(rrsets, standing=standing, wire=wire)), "cname_alone") is not fits


@pytest.mark.parametrize(
    ("wanted", "standing", "wire", "fits"),
    [
        (ONE, {}, {}, True),
        (ONE, {}, None, True),
        (ONE, {}, {A: ONE}, True),
        (ONE, {}, {A: TWO}, False),
        (ONE, {}, {A: replace(ONE, ttl=61)}, False),
        (RETIRED, {}, {A: TWO}, False),
        (RETIRED, {}, {}, True),
        (UNCOVERED, {}, {A: TWO}, True),
        (ONE, {A: stands(TWO)}, {A: TWO}, True),
        (ONE, {A: stands(RETIRED)}, {A: TWO}, True),
        (ONE, {A: stands(UNCOVERED)}, {A: TWO}, False),
        (ONE, {}, {B: TWO, TXT: TWO}, True),
    ],
)
def test_what_nobody_manages_is_not_taken_over_unasked(
    wanted: Wanted, standing: Mapping[Key, Standing], wire: Mapping[Key, Records] | None, fits: bool
) -> None:
    refusal = unmanaged_contents_kept(facts({A: wanted}, standing=standing, wire=wire))
    assert refused(refusal, "unmanaged_contents_kept") is not fits
    adopting = make_plan(ZONE, {A: wanted}, adopt=True)
    assert unmanaged_contents_kept(facts({}, plan=adopting, standing=standing, wire=wire)) is None


def test_a_guard_of_rrsets_says_all_that_it_refuses_up_to_a_hundred() -> None:
    keys = [Key(f"n{number:04}.o.org.", "A") for number in range(150)]
    for count in (1, 2, 100, 150):
        refusal = plan_in_zone(facts(dict.fromkeys(keys[:count], ONE)))
        assert refusal is not None
        said = list(refusal.all())
        assert [each.key for each in said] == keys[: min(count, 100)]
        assert all(each.further == () and each.key is not None and str(each.key) in each.detail for each in said)
        assert said[0] == replace(refusal, further=())


def test_every_guard_of_rrsets_names_each_rrset_that_it_refuses() -> None:
    policy = Policy(ttl_s_min=61, records_max=1, retire=False)
    aliases: dict[Key, Wanted] = {Key(f"{label}.{ZONE}", rdtype): ONE for label in "cd" for rdtype in ("A", "CNAME")}
    two = Records(60, (*ONE.rdatas, *TWO.rdatas))
    cases: dict[Callable[[Submitted], Refusal | None], dict[Key, Wanted]] = {
        reserved_names_untouched: {Key(f"{label}_dnsguard.{ZONE}", "A"): ONE for label in ("", "x.")},
        server_records_untouched: {Key(ZONE, rdtype): ONE for rdtype in ("NSEC", "SOA")},
        retirement_allowed: {A: RETIRED, B: RETIRED},
        ttl_in_bounds: {A: ONE, B: TWO},
        rrset_is_bounded: {A: two, B: two},
        cname_alone: aliases,
    }
    for guard, rrsets in cases.items():
        refusal = guard(facts(rrsets, policy=policy))
        assert refusal is not None
        assert len(list(refusal.all())) == 2, guard
        assert {each.key for each in refusal.all()} <= rrsets.keys()
    standing = {A: stands(ONE, 42), B: stands(ONE, 43)}
    plan = make_plan(ZONE, {A: TWO, B: TWO}, based_on=41)
    stale = made_from_what_stands(facts({}, plan=plan, newest=43, standing=standing))
    unmanaged = unmanaged_contents_kept(facts({A: TWO, B: TWO}, wire={A: ONE, B: ONE}))
    for refusal in (stale, unmanaged):
        assert refusal is not None
        assert [each.key for each in refusal.all()] == [A, B]


def test_contents_that_differ_from_what_stands_in_the_case_of_a_name_are_no_others() -> None:
    ptr = Key(f"ptr.{ZONE}", "PTR")
    mixed, lower = (parse_records("PTR", 60, [text]) for text in ("Front.Desk.", "front.desk."))
    assert unmanaged_contents_kept(facts({ptr: mixed}, wire={ptr: lower})) is None
