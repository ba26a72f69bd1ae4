"""What is taken over, and what is left out with its reason."""

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.adoption import Excepted, Selection, plans_of, refused_alone, select
from dnsguard.core.fence import fence_key
from dnsguard.core.guards import GUARDED
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records

ZONE = "example.test."
SOME = parse_records("A", 60, ["192.0.2.1"])


def key(name: str, rdtype: str = "A") -> Key:
    return Key(ZONE if name == "@" else f"{name}.{ZONE}", rdtype)


WIRE = dict.fromkeys(
    (
        *(key("@", rdtype) for rdtype in ("SOA", "NS", "MX", "RRSIG", "DNSKEY", "CDS", "NSEC3PARAM", "TYPE65534")),
        fence_key(ZONE),
        key("x._dnsguard", "TXT"),
        key("www"),
        key("www", "RRSIG"),
        key("*"),
        key("sub", "NS"),
        key("sub", "DS"),
        key("ns.sub"),
    ),
    SOME,
) | {key("sub", "NS"): parse_records("NS", 60, ["ns.sub.example.test."])}


def test_a_whole_zone_is_taken_but_for_what_the_server_keeps_and_the_fence() -> None:
    selection = select(ZONE, WIRE, (), None)
    assert [each for each, _ in selection.taken] == sorted(
        [key("@", "MX"), key("@", "NS"), key("*"), key("ns.sub"), key("sub", "DS"), key("sub", "NS"), key("www")]
    )
    assert {each for each, _ in selection.left_out} | {each for each, _ in selection.taken} == set(WIRE)


def test_what_a_delegation_or_a_dname_hides_is_left_out_with_the_reason() -> None:
    hidden = {key("www.sub"): SOME, key("sub", "TXT"): SOME, key("below.moved"): SOME}
    wire = WIRE | hidden | {key("moved", "DNAME"): SOME, key("moved"): SOME, key("@", "DNAME"): SOME}
    selection = select(ZONE, wire, (), None)
    reasons = {each: why for each, why in selection.left_out if why.endswith("hides it from clients")}
    assert reasons.keys() >= hidden.keys()
    without_apex = select(ZONE, {each: SOME for each in wire if each != key("@", "DNAME")} | WIRE, (), None)
    assert dict(without_apex.left_out)[key("www.sub")] == "sub.example.test. NS hides it from clients"
    assert dict(without_apex.left_out)[key("below.moved")] == "moved.example.test. DNAME hides it from clients"
    assert key("moved") in dict(without_apex.taken)
    assert "retire it" in dict(selection.left_out)[key("@", "DNAME")]


def test_what_an_update_could_not_put_back_is_left_out_with_the_reason() -> None:
    lasting = {key("old", "MD"): SOME, key("old", "MF"): SOME, key("*", "NS"): SOME, key("*", "DS"): SOME}
    selection = select(ZONE, WIRE | lasting, (), None)
    reasons = {each: why for each, why in selection.left_out if "could not be put back" in why}
    assert reasons.keys() == lasting.keys()
    assert "servers do not store MD" in reasons[key("old", "MD")]


def test_signing_keys_are_taken_when_asked_for() -> None:
    taken = {each for each, _ in select(ZONE, WIRE, (), None, signing_keys=True).taken}
    assert {key("@", "DNSKEY"), key("@", "CDS")} <= taken
    assert not taken & {key("@", "SOA"), key("@", "RRSIG"), key("@", "NSEC3PARAM"), key("@", "TYPE65534")}


def test_only_the_names_asked_for_are_looked_at() -> None:
    selection = select(ZONE, WIRE, (), {"www.example.test."})
    assert selection.taken == ((key("www"), SOME),)
    assert selection.left_out == ((key("www", "RRSIG"), "the name server keeps it itself"),)


def test_what_a_plan_covers_already_is_left_to_it() -> None:
    selection = select(ZONE, WIRE, {key("www")}, {"www.example.test."})
    assert (key("www"), "a plan covers it already") in selection.left_out
    assert selection.taken == ()


def test_what_is_excepted_is_left_out_by_name_or_by_type() -> None:
    excepted = {Excepted("sub.example.test.", "DS"), Excepted("www.example.test.", None)}
    selection = select(ZONE, WIRE, (), None, excepted=excepted)
    assert {(key("sub", "DS"), "excepted by the request"), (key("www"), "excepted by the request")} <= set(
        selection.left_out
    )
    assert key("sub", "NS") in {each for each, _ in selection.taken}


def test_only_what_the_guards_refuse_alone_is_refused() -> None:
    wire = {key("www"): SOME, key("mail"): parse_records("A", 1, ["192.0.2.2"]), key("sub", "NS"): SOME}
    wire[key("mail", "CNAME")] = parse_records("CNAME", 60, ["a.example."])
    refused = refused_alone(ZONE, tuple(wire.items()), wire, {}, GUARDED, Policy(ttl_s_min=60), 3)
    assert {key: refusal.guard for key, refusal in refused.items()} == {
        key("mail"): "ttl_in_bounds",
        key("mail", "CNAME"): "cname_alone",
    }
    selection = Selection(tuple(wire.items()), ()).without(dict.fromkeys(refused, "no"))
    assert [each for each, _ in selection.taken] == [key("www"), key("sub", "NS")]
    assert selection.left_out == ((key("mail"), "no"), (key("mail", "CNAME"), "no"))


taken = st.dictionaries(
    st.builds(key, st.sampled_from("abcdef"), st.sampled_from(["A", "AAAA", "TXT", "MX"])), st.just(SOME)
).map(lambda found: tuple(sorted(found.items())))


@given(taken, st.integers(1, 9))
def test_plans_hold_all_that_is_taken_once_and_keep_names_whole(
    taken: tuple[tuple[Key, Records], ...], most: int
) -> None:
    plans = list(plans_of(ZONE, taken, most, based_on=3, reason="as it stands"))
    assert sorted(each for plan in plans for each in plan.rrsets) == sorted(taken)
    names = [name for plan in plans for name in {each.name for each in plan.keys}]
    assert len(names) == len(set(names))
    assert all(plan.rrsets and not plan.adopt and plan.based_on == 3 for plan in plans)
    assert all(len(plan.rrsets) <= most or len({each.name for each in plan.keys}) == 1 for plan in plans)
