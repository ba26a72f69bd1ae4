"""What differs is named; what may differ, and what is nobody's business, is not."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core import comparison as comparing
from dnsguard.core.comparison import Comparison, Finding, Kind, Verification, by_key
from dnsguard.core.fence import Fence, fence_key, fence_rdata
from dnsguard.core.history import Covered
from dnsguard.core.invariants import prefix
from dnsguard.core.layout import INLINE, VERSIONED, Layout, alias_to
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records, parse_records

ZONE = "example.test."
FENCE = Records(1, (fence_rdata(Fence("0" * 16, 7, "1" * 16)),))
APEX = {
    Key(ZONE, "SOA"): parse_records("SOA", 300, ["ns.example.test. hostmaster.example.test. 1 2 3 4 5"]),
    Key(ZONE, "NS"): parse_records("NS", 300, ["ns.example.test."]),
    fence_key(ZONE): FENCE,
}


def key(name: str, rdtype: str = "A") -> Key:
    return Key(ZONE if name == "@" else f"{name}.{ZONE}", rdtype)


def a(last: int, ttl: int = 300) -> Records:
    return parse_records("A", ttl, [f"192.0.2.{last}"])


def compare(
    state: Mapping[Key, Wanted],
    wire: Mapping[Key, Records],
    *,
    layout: Layout = INLINE,
    moving: Mapping[Key, tuple[Wanted, ...]] | None = None,
) -> Verification:
    comparison = Comparison(ZONE, layout, dict(wire) | APEX, moving or {})
    comparison.take([Covered(each, state[each], 7) for each in sorted(state)])
    comparison.look_at(comparison.left)
    return comparison.done(7, 7, 1000.0)


def kinds(found: Verification) -> dict[Key, Kind]:
    return {finding.key: finding.kind for finding in found.findings}


def test_a_zone_that_holds_what_is_wanted_is_clean() -> None:
    found = compare({key("www"): a(1), key("old"): Absence.RETIRED}, {key("www"): a(1)})
    assert (found.findings, found.total, found.compared, found.unmanaged) == ((), 0, 2, 0)


def test_each_difference_is_named_with_what_was_expected_and_found() -> None:
    state: dict[Key, Wanted] = {key("gone"): a(1), key("other"): a(2), key("slow"): a(3), key("back"): Absence.RETIRED}
    wire = {key("other"): a(9), key("slow"): a(3, ttl=5), key("back"): a(4), key("gone", "TXT"): a(5)}
    assert compare(state, wire).findings == (
        Finding(Kind.FOREIGN, key("back"), Absence.RETIRED, a(4), 7, ((key("back"), Absence.RETIRED),)),
        Finding(Kind.MISSING, key("gone"), a(1), None, 7, ((key("gone"), a(1)),)),
        Finding(Kind.FOREIGN, key("gone", "TXT"), None, a(5), None),
        Finding(Kind.CHANGED, key("other"), a(2), a(9), 7, ((key("other"), a(2)),)),
        Finding(Kind.TTL, key("slow"), a(3), a(3, ttl=5), 7, ((key("slow"), a(3)),)),
    )


def test_unmanaged_names_are_counted_and_nothing_more() -> None:
    found = compare({key("www"): a(1)}, {key("www"): a(1), key("theirs"): a(2), key("theirs", "TXT"): a(3)})
    assert (found.total, found.unmanaged) == (0, 2)


def test_a_name_of_which_all_was_retired_is_nobodys_again() -> None:
    found = compare({key("www"): Absence.RETIRED}, {key("www", "TXT"): a(2)})
    assert (found.total, found.unmanaged) == (0, 1)


def test_what_the_server_keeps_by_itself_is_no_foreign_record() -> None:
    signed = {key("@", kept): a(1) for kept in ("RRSIG", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534")}
    signed |= {key("www", "RRSIG"): a(1), key("www", "NSEC"): a(1)}
    found = compare({key("@", "MX"): a(1), key("www"): a(1)}, {key("@", "MX"): a(1), key("www"): a(1)} | signed)
    assert (found.total, found.unmanaged) == (0, 0)


def test_signing_keys_that_a_plan_covers_are_compared() -> None:
    assert kinds(compare({key("@", "DNSKEY"): a(1)}, {key("@", "DNSKEY"): a(2)})) == {key("@", "DNSKEY"): Kind.CHANGED}


def test_while_a_publication_is_under_way_base_and_target_are_right_and_nothing_else() -> None:
    state = {key("www"): a(1), key("mail"): a(2), key("still"): a(3)}
    moving: dict[Key, tuple[Wanted, ...]] = {
        key("www"): (a(11), a(21)),
        key("mail"): (Absence.RETIRED,),
        key("new"): (a(4),),
    }
    for www in (a(1), a(11), a(21)):
        assert compare(state, {key("www"): www, key("mail"): a(2), key("still"): a(3)}, moving=moving).total == 0
    assert compare(state, {key("www"): a(1), key("still"): a(3), key("new"): a(4)}, moving=moving).total == 0
    found = compare(state, {key("www"): a(9), key("mail"): a(9)}, moving=moving)
    assert kinds(found) == {key("mail"): Kind.FOREIGN, key("still"): Kind.MISSING, key("www"): Kind.CHANGED}
    assert next(each for each in found.findings if each.key == key("www")).expected == a(21)


def test_what_several_plans_want_is_gathered_in_their_order() -> None:
    contents = (Covered(key("www"), a(1), 3), Covered(key("b"), a(2), 3), Covered(key("www"), a(3), 4))
    assert by_key(contents) == {key("www"): (a(1), a(3)), key("b"): (a(2),)}


NODE = {
    key("www", "CNAME"): alias_to("g7.www.example.test.", 300),
    key("g7.www"): a(1),
    key("_node.g7.www", "TXT"): a(0),
    key("g6.www"): a(6),
    key("rollback.www", "CNAME"): alias_to("g6.www.example.test.", 0),
}


def test_nodes_and_aliases_are_understood() -> None:
    found = compare({key("www"): a(1)}, NODE, layout=VERSIONED)
    assert (found.total, found.unmanaged, found.compared) == (0, 0, 1)


def test_a_difference_at_a_node_is_named_by_the_owner_name() -> None:
    changed = compare({key("www"): a(1)}, NODE | {key("g7.www"): a(9)}, layout=VERSIONED)
    assert changed.findings == (Finding(Kind.CHANGED, key("www"), a(1), a(9), 7, ((key("www"), a(1)),)),)
    foreign = compare({key("www"): a(1)}, NODE | {key("g7.www", "TXT"): a(9)}, layout=VERSIONED)
    assert kinds(foreign) == {key("g7.www", "TXT"): Kind.FOREIGN}


def test_an_alias_that_is_gone_or_leads_elsewhere_is_named_and_mended_by_the_names_records() -> None:
    alias = key("www", "CNAME")
    gone = {each: records for each, records in NODE.items() if each != alias}
    for wire, kind in ((gone, Kind.MISSING), (NODE | {alias: alias_to("elsewhere.test.", 300)}, Kind.CHANGED)):
        (finding,) = compare({key("www"): a(1)}, wire, layout=VERSIONED).findings
        assert (finding.kind, finding.key, finding.rrsets) == (kind, alias, ((key("www"), a(1)),))


def test_an_alias_to_an_older_node_shows_older_contents() -> None:
    older = NODE | {key("www", "CNAME"): alias_to("g6.www.example.test.", 300)}
    assert kinds(compare({key("www"): a(1)}, older, layout=VERSIONED)) == {key("www"): Kind.CHANGED}


def test_an_aliass_ttl_is_compared() -> None:
    slow = NODE | {key("www", "CNAME"): alias_to("g7.www.example.test.", 5)}
    assert kinds(compare({key("www"): a(1)}, slow, layout=VERSIONED)) == {key("www", "CNAME"): Kind.TTL}


def test_a_flip_under_way_may_show_either_node() -> None:
    moving: dict[Key, tuple[Wanted, ...]] = {key("www"): (a(2),), key("www", "TXT"): (a(3),), key("new"): (a(4),)}
    new = {
        key("www", "CNAME"): alias_to("g8.www.example.test.", 300),
        key("g8.www"): a(2),
        key("g8.www", "TXT"): a(3),
        key("new", "CNAME"): alias_to("g8.new.example.test.", 300),
        key("g8.new"): a(4),
    }
    assert compare({key("www"): a(1)}, NODE, layout=VERSIONED, moving=moving).total == 0
    assert compare({key("www"): a(1)}, NODE | new, layout=VERSIONED, moving=moving).total == 0


def test_so_many_findings_are_named_and_all_are_counted() -> None:
    state = {key(f"n{number}"): a(1) for number in range(comparing.FINDINGS_MAX + 5)}
    found = compare(state, {})
    assert (len(found.findings), found.total) == (comparing.FINDINGS_MAX, comparing.FINDINGS_MAX + 5)


keys = st.builds(key, st.sampled_from("abc"), st.sampled_from(["A", "TXT"]))
contents = st.builds(a, st.integers(1, 3), st.sampled_from([60, 300]))
wishes = contents | st.just(Absence.RETIRED)


@given(st.dictionaries(keys, wishes), st.dictionaries(keys, contents))
def test_it_agrees_with_the_invariant_on_what_is_covered(state: dict[Key, Wanted], wire: dict[Key, Records]) -> None:
    found = compare(state, wire)
    history = [Change(each, wanted, 7) for each, wanted in state.items()]
    violation = prefix(history, Fence("0" * 16, 7, "1" * 16), wire)
    assert (violation is None) == all(finding.expected is None for finding in found.findings)


@given(st.dictionaries(keys, wishes), st.dictionaries(keys, contents))
def test_publishing_the_findings_mends_all_that_is_covered(state: dict[Key, Wanted], wire: dict[Key, Records]) -> None:
    mended = dict(wire)
    for finding in compare(state, wire).findings:
        for each, wanted in finding.rrsets:
            if isinstance(wanted, Records):
                mended[each] = wanted
            else:
                mended.pop(each, None)
    assert all(finding.expected is None for finding in compare(state, mended).findings)


def test_what_hides_a_covered_name_from_clients_is_foreign_and_what_hides_nothing_of_ours_is_not() -> None:
    state: dict[Key, Wanted] = {key("w.deep"): a(1)}
    target = Records(60, (b"\5other\4test\0",))
    wire = {key("w.deep"): a(1), key("deep", "DNAME"): target, key("else", "DNAME"): target}
    assert [(each.kind, each.key) for each in compare(state, wire).findings] == [(Kind.FOREIGN, key("deep", "DNAME"))]
