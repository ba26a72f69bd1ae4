"""Names in rdata: they keep their case, and contents are compared without it."""

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.rdata_names import canonical_rdata
from dnsguard.core.records import (
    RecordRefused,
    identical,
    make_records,
    parse_rdata,
    parse_records,
    records_text,
    stored_records,
)
from tests.core.test_records import PLAIN, SAMPLES

NOT_AS_DNSPYTHON = {"IPSECKEY", "AMTRELAY", "NSAP-PTR"}
"""The first two are newer than RFC 3597, so case counts; of the last it does not, as in BIND."""


@pytest.mark.parametrize("rdtype", sorted(set(PLAIN) - NOT_AS_DNSPYTHON))
@given(data=st.data())
def test_the_canonical_form_is_that_of_dnspython(rdtype: str, data: st.DataObject) -> None:
    text = SAMPLES[rdtype]
    capitals = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    mixed = "".join(char.upper() if up else char for char, up in zip(text, capitals, strict=True))
    try:
        wire = parse_rdata(rdtype, mixed)
    except RecordRefused:
        return
    assert canonical_rdata(rdtype, wire) == canonical_by_dnspython(rdtype, wire)


@given(st.sampled_from(["PTR", "SOA", "MX", "SRV", "NAPTR", "RRSIG", "RP", "A", "TXT"]), st.binary(max_size=80))
def test_octets_of_any_kind_have_a_canonical_form_that_stays(rdtype: str, octets: bytes) -> None:
    canonical = canonical_rdata(rdtype, octets)
    assert canonical_rdata(rdtype, canonical) == canonical
    assert canonical.lower() == octets.lower()


def canonical_by_dnspython(rdtype: str, wire: bytes) -> bytes:
    parsed = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), wire, 0, len(wire))
    return bytes(parsed.to_digestable())


MIXED, LOWER, OTHER = (
    parse_records("MX", 60, [f"10 {a}.test.", f"20 {b}.test."])
    for a, b in (("Mail", "backup"), ("mail", "backup"), ("mail", "BACKUP"))
)


def test_contents_that_differ_in_the_case_of_a_name_are_equal_and_not_identical() -> None:
    assert MIXED == LOWER == OTHER
    assert len({MIXED, LOWER, OTHER}) == 1
    assert not identical(MIXED, LOWER)
    assert identical(MIXED, parse_records("MX", 60, ["20 backup.test.", "10 Mail.test."]))
    assert records_text("MX", MIXED) == ("10 Mail.test.", "20 backup.test.")


def test_contents_with_another_ttl_are_neither_equal_nor_identical() -> None:
    other = parse_records("MX", 61, ["10 Mail.test.", "20 backup.test."])
    assert other != MIXED
    assert not identical(other, MIXED)


def test_letters_outside_names_keep_their_meaning() -> None:
    assert parse_records("TXT", 60, ["a"]) != parse_records("TXT", 60, ["A"])
    assert parse_records("MX", 60, ["65 a."]) != parse_records("MX", 60, ["97 a."])
    assert parse_records("MX", 60, ["16705 a."]) != parse_records("MX", 60, ["24929 a."])
    assert parse_records("HTTPS", 60, ["1 A."]) != parse_records("HTTPS", 60, ["1 a."])


def test_records_that_differ_in_the_case_of_a_name_are_one() -> None:
    wires = [parse_rdata("PTR", text) for text in ("a.test.", "A.test.", "b.test.")]
    assert len(make_records("PTR", 60, wires).rdatas) == 2
    assert identical(make_records("PTR", 60, wires), make_records("PTR", 60, reversed(wires)))


def test_contents_without_capitals_take_no_memory_for_their_canonical_form() -> None:
    for records in (LOWER, parse_records("A", 60, ["192.0.2.65"]), parse_records("TXT", 60, ["ABC"])):
        assert records.canonical is records.rdatas


@given(st.lists(st.tuples(st.sampled_from(["a", "A", "b", "B"]), st.sampled_from(["c.", "C."])), min_size=1))
def test_the_order_of_records_does_not_depend_on_the_case_of_names(pairs: list[tuple[str, str]]) -> None:
    texts = list(dict.fromkeys(f"{label}.{rest}" for label, rest in pairs))
    one = parse_records("PTR", 60, texts)
    other = parse_records("PTR", 60, [text.swapcase() for text in texts])
    assert one == other
    assert one.canonical == tuple(sorted(one.canonical))
    assert stored_records("PTR", 60, one.rdatas) == one
