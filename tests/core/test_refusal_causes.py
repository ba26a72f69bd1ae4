"""What a message was refused for: known causes are named with their reason, and what is innocent is not."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.message import NameInUse, NameNotInUse, Prerequisite, RRsetAbsent, RRsetExists, RRsetIs
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.refusal import Suspect
from dnsguard.core.refusal_causes import SUSPECTS_MAX, Attempt, explained, names_to_read, suspects_of

ZONE = "example.test."
A = parse_records("A", 60, ["192.0.2.1"])


def key(label: str, rdtype: str) -> Key:
    return Key(ZONE if label == "@" else f"{label}.{ZONE}", rdtype)


def records(rdtype: str, *texts: str) -> Records:
    return parse_records(rdtype, 60, texts)


def suspects(
    rcode: str,
    wanted: Mapping[Key, Wanted],
    wire: Mapping[Key, Records] | None = None,
    *,
    prerequisites: tuple[Prerequisite, ...] = (),
    older: Mapping[Key, Wanted] | None = None,
) -> tuple[Suspect, ...]:
    """Return whom a message of generation 2, with an ``older`` generation's changes, is refused for."""
    changes = tuple(
        Change(of, each, generation)
        for generation, rrsets in ((1, older or {}), (2, wanted))
        for of, each in rrsets.items()
    )
    read = frozenset(names_to_read(ZONE, changes, prerequisites, rcode))
    held = {of: found for of, found in (wire or {}).items() if of.name in read}
    return suspects_of(Attempt(ZONE, rcode, changes, 2, prerequisites, held, read))


MX = records("MX", f"10 mail.{ZONE}")


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ({}, "has no A or AAAA record in the zone"),
        ({key("mail", "TXT"): A}, "has no A or AAAA record in the zone"),
        ({key("mail", "CNAME"): A}, "is an alias (CNAME)"),
        ({key("mail", "A"): A}, None),
        ({key("mail", "AAAA"): A}, None),
        ({key("*", "A"): A}, None),
        ({key("mail", "NS"): A}, None),
    ],
)
def test_a_mail_server_in_the_zone_without_address_is_what_is_refused(
    wire: Mapping[Key, Records], reason: str | None
) -> None:
    found = suspects("REFUSED", {key("office", "MX"): MX, key("h0", "A"): A}, wire)
    if reason is None:
        assert [suspect.reason for suspect in found] == ["one of 2 RRsets in the refused message"] * 2
    else:
        assert found == (Suspect(key("office", "MX"), f"its target mail.{ZONE} {reason}"),)


def test_what_the_message_itself_brings_or_takes_away_counts() -> None:
    mail = key("mail", "A")
    assert "has no A" not in str(suspects("REFUSED", {key("@", "MX"): MX, mail: A}))
    assert "has no A" in str(suspects("REFUSED", {key("@", "MX"): MX, mail: Absence.RETIRED}, {mail: A}))
    assert "has no A" not in str(suspects("REFUSED", {key("@", "MX"): MX}, older={mail: A}))


def test_a_target_that_nobody_could_read_is_not_called_missing() -> None:
    changes = (Change(key("@", "MX"), MX, 2),)
    found = suspects_of(Attempt(ZONE, "REFUSED", changes, 2, (), {}, frozenset()))
    assert [suspect.reason for suspect in found] == ["the only RRset in the refused message"]


@pytest.mark.parametrize(
    ("label", "rdtype", "text", "said"),
    [
        ("sub_host", "A", "192.0.2.1", f"sub_host.{ZONE} is no host name"),
        ("-x", "AAAA", "2001:db8::1", "is no host name"),
        ("*.a_b", "MX", "10 mx.elsewhere.test.", f"a_b.{ZONE} is no host name"),
        ("_sip._tcp", "SRV", "0 0 1 my_host.elsewhere.test.", "target my_host.elsewhere.test. is no host name"),
        ("child", "NS", "ns_1.elsewhere.test.", "target ns_1.elsewhere.test. is no host name"),
        ("@", "NS", f"nowhere.{ZONE}", f"its target nowhere.{ZONE} has no A or AAAA record"),
        ("@", "CDS", f"12345 13 2 {'00' * 32}", "together with the DNSKEY"),
        ("x", "DNAME", "elsewhere.test.", "no DNAME above names"),
    ],
)
def test_what_is_known_to_be_refused_is_named(label: str, rdtype: str, text: str, said: str) -> None:
    innocent = {key("_acme", "TXT"): records("TXT", '"x"'), key("www", "A"): A, key("*", "A"): A}
    found = suspects(
        "REFUSED",
        {key(label, rdtype): records(rdtype, text), **innocent}
        if label != "@"
        else {key(label, rdtype): records(rdtype, text), key("_acme", "TXT"): records("TXT", '"x"')},
    )
    assert [suspect.key for suspect in found] == [key(label, rdtype)]
    assert said in found[0].reason


def test_other_answers_have_other_causes() -> None:
    many = Records(60, tuple(n.to_bytes(4, "big") for n in range(101)))
    assert [s.key for s in suspects("SERVFAIL", {key("a", "A"): many, key("b", "A"): A})] == [key("a", "A")]
    bad = records("NAPTR", r'100 50 "s" "z" "!^.*$!\\1!" a.example.')
    good = records("NAPTR", r'100 50 "s" "z" "!^(.*)$!\\1!" .', '1 1 "s" "z" "" a.example.')
    found = suspects("FORMERR", {key("bad", "NAPTR"): bad, key("good", "NAPTR"): good})
    assert [suspect.key for suspect in found] == [key("bad", "NAPTR")]
    found = suspects("FORMERR", {key("a", "WALLET"): records("WALLET", '"x"'), key("b", "A"): A})
    assert [suspect.key for suspect in found] == [key("a", "WALLET")]


def test_what_is_known_to_be_refused_otherwise_comes_first_and_then_what_is_rare() -> None:
    wanted = {
        key("a", "A"): A,
        key("b_c", "A"): A,
        key("d", "LOC"): records("LOC", "60 9 0.0 N 24 39 0.0 E 10m 20m 2000m 20m"),
    }
    assert [suspect.key for suspect in suspects("SERVFAIL", wanted)] == [
        key("b_c", "A"),
        key("d", "LOC"),
        key("a", "A"),
    ]


def test_only_the_generation_that_is_rejected_is_suspected() -> None:
    found = suspects("REFUSED", {key("a", "A"): A}, older={key("b_c", "A"): A})
    assert found == (Suspect(key("a", "A"), "the only RRset in the refused message"),)


@pytest.mark.parametrize(
    ("prerequisite", "wire", "rdtype", "said"),
    [
        (RRsetAbsent(key("www", "A")), {key("www", "A"): A}, "A", "expected nothing on the server, found 192.0.2.1"),
        (RRsetExists(key("www", "A")), {}, "A", "expected it on the server, found nothing"),
        (RRsetIs(key("www", "A"), A.rdatas), {}, "A", "expected 192.0.2.1 on the server, found nothing"),
        (NameInUse(f"www.{ZONE}"), {}, "ANY", "expected records at this name on the server, found none"),
        (
            NameNotInUse(f"www.{ZONE}"),
            {key("www", "A"): A},
            "ANY",
            "expected nothing at this name on the server, found A",
        ),
    ],
)
def test_a_prerequisite_that_does_not_hold_is_told_with_what_stands_there(
    prerequisite: Prerequisite, wire: Mapping[Key, Records], rdtype: str, said: str
) -> None:
    holding = RRsetAbsent(key("other", "A"))
    found = suspects("NXRRSET", {key("www", "A"): A}, wire, prerequisites=(holding, prerequisite))
    assert found == (Suspect(key("www", rdtype), said),)


def test_the_reason_names_the_likeliest_counts_the_others_and_keeps_the_servers_word_if_nothing_is_known() -> None:
    def reason(rcode: str, *labels: str) -> str:
        changes = tuple(Change(key(label, "A"), A, 2) for label in labels)
        return explained(Attempt(ZONE, rcode, changes, 2, (), {}, frozenset()), "a guess")

    known = reason("REFUSED", "a_b", "www")
    assert known.startswith(
        f"the primary answered REFUSED, probably because of a_b.{ZONE} A: a_b.{ZONE} is no host name"
    )
    assert "www" not in known
    unknown = reason("NOTIMP", *"abcde")
    assert unknown.startswith(f"the primary answered NOTIMP (a guess), suspects: a.{ZONE} A: one of 5 RRsets")
    assert unknown.endswith("; and 2 more")


NAMES = st.sampled_from(["a", "b_c", "@", "*.d", "mail"])
TEXTS = {"A": "192.0.2.1", "MX": f"10 mail.{ZONE}", "SRV": f"0 0 1 mail.{ZONE}", "TXT": '"x"', "CNAME": f"mail.{ZONE}"}


@given(
    st.sampled_from(["REFUSED", "SERVFAIL", "FORMERR", "NOTIMP"]),
    st.dictionaries(st.tuples(NAMES, st.sampled_from(sorted(TEXTS))), st.booleans(), min_size=1),
)
def test_whatever_is_refused_somebody_is_suspected_and_only_of_that_plan(
    rcode: str, chosen: dict[tuple[str, str], bool]
) -> None:
    wanted: dict[Key, Wanted] = {
        key(label, rdtype): records(rdtype, TEXTS[rdtype]) if kept else Absence.RETIRED
        for (label, rdtype), kept in chosen.items()
    }
    found = suspects(rcode, wanted)
    assert 0 < len(found) <= SUSPECTS_MAX
    assert {suspect.key for suspect in found} <= wanted.keys()
    assert len({suspect.key for suspect in found}) == len(found) or any("target" in s.reason for s in found)
    assert all(suspect.reason for suspect in found)


@given(st.sampled_from(["MX", "NS", "SRV", "AFSDB", "SVCB", "NAPTR", "DS", "WALLET"]), st.binary(max_size=40))
def test_octets_that_nobody_can_read_are_suspected_like_any_others(rdtype: str, octets: bytes) -> None:
    wanted = {key("a", rdtype): Records(60, (octets,))}
    for rcode in ("REFUSED", "FORMERR", "SERVFAIL"):
        assert {suspect.key for suspect in suspects(rcode, wanted)} == wanted.keys()
