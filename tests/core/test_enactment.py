"""Guards before publishing and pruning: the same rules again, asked of what the primary shows now."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dnsguard.core.enactment import (
    Enacted,
    Reach,
    bound_by_age,
    bound_by_fence,
    cname_alone_on_the_wire,
    ds_beside_ns_on_the_wire,
    fence_of_this_history,
    fence_readable,
    unmanaged_contents_kept_on_the_wire,
)
from dnsguard.core.fence import Fence, Progress
from dnsguard.core.plan import Absence, Before, Change, Wanted
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.written import BUILD, FLIP, Seen, Written

ZONE = "example.test."
OURS, OTHER = "0" * 16, "f" * 16
FENCE = Fence(OURS, 40, "d" * 16)
AGREED = Enacted(ZONE, OURS, 41, 10, FENCE, FENCE.digest)
A, CNAME = Key("a.example.test.", "A"), Key("a.example.test.", "CNAME")
ONE, TWO = Records(60, (b"\xc0\0\2\1",)), Records(60, (b"\xc0\0\2\2",))


@pytest.mark.parametrize(
    "facts",
    [
        AGREED,
        replace(AGREED, fence=None),
        replace(AGREED, newest=40),
        replace(AGREED, fence=replace(FENCE, generation=9), known_digest=None),
        replace(AGREED, fence=replace(FENCE, progress=Progress(39, 1, 2))),
        replace(AGREED, fence=replace(FENCE, history=OTHER), trusted=True),
    ],
)
def test_a_fence_of_this_history_lets_publishing_go_on(facts: Enacted) -> None:
    assert fence_of_this_history(facts) is None


@pytest.mark.parametrize(
    "facts",
    [
        replace(AGREED, fence=replace(FENCE, history=OTHER)),
        replace(AGREED, newest=39),
        replace(AGREED, known_digest="e" * 16),
        replace(AGREED, known_digest=None),
        replace(AGREED, fence=replace(FENCE, generation=10), known_digest=None),
        replace(AGREED, fence=replace(FENCE, generation=9), known_digest="e" * 16),
        replace(AGREED, fence=replace(FENCE, progress=Progress(39, 1, 2)), known_digest="e" * 16),
    ],
)
def test_a_fence_of_another_or_a_restored_history_stops_the_zone(facts: Enacted) -> None:
    refusal = fence_of_this_history(facts)
    assert refusal is not None
    assert refusal.guard == "fence_of_this_history"
    assert f"dnsguard zone resync {ZONE}" in refusal.detail


def test_what_is_no_fence_stops_the_zone_unless_an_operator_decided() -> None:
    unreadable = replace(AGREED, fence=None, unreadable="hello")
    assert fence_readable(AGREED) is None
    assert fence_readable(replace(unreadable, trusted=True)) is None
    refusal = fence_readable(unreadable)
    assert refusal is not None
    assert refusal.found == "hello"


def written(wire: Mapping[Key, Records], *changes: Change, read: bool = True) -> Written:
    return Written(ZONE, Seen((), None), changes, wire, frozenset({A.name} if read else ()))


@pytest.mark.parametrize(
    ("wanted", "wire", "fits"),
    [
        ({CNAME: ONE}, {}, True),
        ({CNAME: ONE}, {CNAME: TWO}, True),
        ({CNAME: ONE}, {A: ONE}, False),
        ({CNAME: ONE, A: Absence.RETIRED}, {A: ONE}, True),
        ({CNAME: ONE, A: Absence.UNCOVERED}, {A: ONE}, False),
        ({A: ONE}, {CNAME: ONE}, False),
        ({A: ONE, CNAME: Absence.RETIRED}, {CNAME: ONE}, True),
        ({A: ONE, CNAME: Absence.UNCOVERED}, {CNAME: ONE}, False),
        ({A: ONE}, {Key("b.example.test.", "CNAME"): ONE}, True),
    ],
)
def test_a_cname_stands_alone_on_the_wire_too(
    wanted: Mapping[Key, Wanted], wire: Mapping[Key, Records], fits: bool
) -> None:
    changes = (Change(key, each, 42) for key, each in wanted.items())
    assert (cname_alone_on_the_wire(written(wire, *changes)) is None) is fits


TXT, RRSIG = Key("a.example.test.", "TXT"), Key("a.example.test.", "RRSIG")


@pytest.mark.parametrize(
    ("wire", "fits"),
    [({}, True), ({A: TWO}, True), ({TXT: ONE}, False), ({A: TWO, TXT: ONE}, False), ({RRSIG: ONE}, True)],
)
def test_an_alias_to_a_node_stands_alone_where_records_are_not_replaced(
    wire: Mapping[Key, Records], fits: bool
) -> None:
    facts = replace(written(wire, Change(A, ONE, 42)), stage=FLIP)
    assert (cname_alone_on_the_wire(facts) is None) is fits
    assert cname_alone_on_the_wire(replace(facts, stage=BUILD)) is None
    retired = replace(facts, changes=(Change(A, Absence.RETIRED, 42),))
    assert cname_alone_on_the_wire(retired) is None


UNMANAGED = Change(A, ONE, 42, Before.UNMANAGED)


@pytest.mark.parametrize(
    ("change", "wire", "fits"),
    [
        (UNMANAGED, {}, True),
        (UNMANAGED, {A: ONE}, True),
        (UNMANAGED, {A: TWO}, False),
        (replace(UNMANAGED, wanted=Absence.RETIRED), {A: TWO}, False),
        (replace(UNMANAGED, wanted=Absence.UNCOVERED), {A: TWO}, True),
        (replace(UNMANAGED, adopt=True), {A: TWO}, True),
        (replace(UNMANAGED, before=Before.HELD), {A: TWO}, True),
        (replace(UNMANAGED, before=Before.GONE), {A: TWO}, True),
        (replace(UNMANAGED, earlier=(TWO,)), {A: TWO}, True),
    ],
)
def test_what_came_since_the_plan_was_accepted_is_not_taken_over_unasked(
    change: Change, wire: Mapping[Key, Records], fits: bool
) -> None:
    assert (unmanaged_contents_kept_on_the_wire(written(wire, change)) is None) is fits
    assert unmanaged_contents_kept_on_the_wire(written({}, change, read=False)) is None


@pytest.mark.parametrize(("there", "fits"), [(ONE, True), (replace(ONE, ttl=61), False), (None, False)])
def test_what_is_taken_over_as_it_was_found_stands_there_to_the_ttl(there: Records | None, fits: bool) -> None:
    change = replace(Change(A, ONE, 42, Before.UNMANAGED), as_found=True)
    refusal = unmanaged_contents_kept_on_the_wire(written({A: there} if there else {}, change))
    assert (refusal is None) is fits
    assert refusal is None or "changed it since" in refusal.detail


REACH = Reach(OURS, 41, 40, FENCE, Policy(history_generations_min=5))


def test_the_last_generations_are_kept_for_a_rollback() -> None:
    assert bound_by_age(REACH) == 36


@pytest.mark.parametrize(
    ("fence", "bound"),
    [
        (FENCE, 40),
        (replace(FENCE, progress=Progress(30, 1, 2)), 30),
        (replace(FENCE, history=OTHER), 0),
        (None, 0),
    ],
)
def test_what_the_zone_is_made_of_or_under_way_from_is_kept(fence: Fence | None, bound: int) -> None:
    assert bound_by_fence(replace(REACH, fence=fence)) == bound


CUT_NS, CUT_DS = Key("child.example.test.", "NS"), Key("child.example.test.", "DS")


@pytest.mark.parametrize(
    ("wanted", "wire", "is_refused"),
    [
        ({CUT_NS: Absence.RETIRED}, {CUT_NS: ONE, CUT_DS: ONE}, True),
        ({CUT_NS: Absence.RETIRED, CUT_DS: ONE}, {CUT_NS: ONE, CUT_DS: ONE}, True),
        ({CUT_NS: Absence.RETIRED}, {CUT_NS: ONE}, False),
        ({CUT_NS: Absence.RETIRED, CUT_DS: Absence.RETIRED}, {CUT_NS: ONE, CUT_DS: ONE}, False),
        ({CUT_DS: ONE}, {}, True),
        ({CUT_DS: ONE}, {CUT_NS: ONE}, False),
        ({CUT_DS: ONE, CUT_NS: ONE}, {}, False),
        ({CUT_DS: ONE}, {CUT_DS: ONE}, False),
    ],
)
def test_a_ds_that_would_lose_its_ns_is_refused_by_what_stands_now(
    wanted: Mapping[Key, Wanted], wire: Mapping[Key, Records], is_refused: bool
) -> None:
    changes = tuple(Change(key, each, 7) for key, each in wanted.items())
    facts = Written(ZONE, Seen((), FENCE), changes, wire, frozenset({CUT_NS.name}))
    assert (ds_beside_ns_on_the_wire(facts) is not None) is is_refused
