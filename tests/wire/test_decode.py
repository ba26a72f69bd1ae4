"""Answers are read into the core's canonical values, or refused as a whole."""

import contextlib
import struct

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.core.records import Key, parse_rdata, parse_records, rdata_text, type_code
from dnsguard.wire.decode import Unreadable, decode_answer, gather

ZONE = "example.test."


def response() -> dns.message.Message:
    query = dns.message.make_query("WWW.example.test.", "ANY")
    made = dns.message.make_response(query)
    made.flags |= 0x0400
    return made


def test_rrsets_come_in_canonical_form() -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("WWW.Example.test.", 60, "IN", "MX", "10 Mail.Example.test.", "5 b."))
    made.answer.append(dns.rrset.from_text("WWW.Example.test.", 30, "IN", "A", "192.0.2.2", "192.0.2.1"))
    answer = decode_answer(made.to_wire())
    assert (answer.rcode, answer.authoritative, answer.truncated) == ("NOERROR", True, False)
    assert gather(answer.answer) == {
        Key("www.example.test.", "MX"): parse_records("MX", 60, ["5 b.", "10 mail.example.test."]),
        Key("www.example.test.", "A"): parse_records("A", 30, ["192.0.2.1", "192.0.2.2"]),
    }


def test_the_lowest_of_several_ttls_counts() -> None:
    made = response()
    for ttl in (60, 5, 30):
        made.answer.append(dns.rrset.from_text("www.example.test.", ttl, "IN", "A", f"192.0.2.{ttl}"))
    (records,) = gather(decode_answer(made.to_wire()).answer).values()
    assert records.ttl == 5
    assert len(records.rdatas) == 3


def test_other_classes_are_left_out() -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "CH", "TXT", "chaos"))
    made.use_edns(0)
    answer = decode_answer(made.to_wire())
    assert answer.answer == ()
    assert answer.additional == ()


def test_octets_after_the_last_record_are_refused() -> None:
    with pytest.raises(Unreadable, match="end after its last record"):
        decode_answer(response().to_wire() + b"\0")


@pytest.mark.parametrize("damaged", [-1, -2, -13, -15])
def test_rdata_that_does_not_fit_its_type_is_kept_as_octets(damaged: int) -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "MX", "10 mail.elsewhere."))
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "A", "192.0.2.1"))
    wire = bytearray(made.to_wire())
    end = len(wire) - 16
    wire[end + damaged] ^= 0xFF
    mx, a = decode_answer(bytes(wire)).answer
    assert (mx.type, a.type) == ("MX", "A")
    if damaged != -15:
        assert mx.rdata == bytes(wire[end - 18 : end])


def test_an_answer_with_broken_framing_is_refused_with_the_last_record_that_was_read() -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "MX", "10 mail.elsewhere."))
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "A", "192.0.2.1"))
    with pytest.raises(Unreadable, match=r"malformed after www\.example\.test\. MX: "):
        decode_answer(made.to_wire()[:-1])


@pytest.mark.parametrize(
    ("rdtype", "fields"),
    [
        ("MB", [b"n"]),
        ("MG", [b"n"]),
        ("MR", [b"n"]),
        ("MD", [b"n"]),
        ("MF", [b"n"]),
        ("MINFO", [b"n", b"n"]),
        ("NS", [b"n"]),
        ("MX", [b"\0\1", b"n"]),
        ("SOA", [b"n", b"n", bytes(20)]),
        ("SRV", [bytes(6), b"n"]),
        ("NAPTR", [bytes(4), b"\1a", b"\0", b"\2bc", b"n"]),
        ("RP", [b"n", b"n"]),
        ("SIG", [bytes(18), b"n", b"signature"]),
    ],
)
def test_compressed_names_in_rdata_are_read_as_the_generic_form_says_them(rdtype: str, fields: list[bytes]) -> None:
    query = dns.message.make_query("Www.Example.test.", "ANY")
    head = bytearray(dns.message.make_response(query).to_wire())
    head[6:8] = b"\0\1"
    compressed = b"".join(b"\3Joe\xc0\x10" if field == b"n" else field for field in fields)
    plain = b"".join(b"\3Joe\7Example\4test\0" if field == b"n" else field for field in fields)
    fixed = struct.pack("!HHIH", type_code(rdtype), 1, 60, len(compressed))
    (record,) = decode_answer(bytes(head) + b"\xc0\x0c" + fixed + compressed).answer
    assert record == ("www.example.test.", rdtype, 60, plain)
    assert parse_rdata(rdtype, rdata_text(rdtype, plain)) == plain


@pytest.mark.parametrize("pointer", [b"\xc0\x30", b"\xc0\x2f", b"\xff\xff", b"\x40", b"\xc0"])
def test_a_pointer_that_leads_nowhere_leaves_the_octets_as_they_are(pointer: bytes) -> None:
    made = response()
    head = bytearray(made.to_wire())
    head[6:8] = b"\0\1"
    start = len(head) + 12
    rdata = pointer.replace(b"\x30", bytes((start,))).replace(b"\x2f", bytes((start,)))
    fixed = struct.pack("!HHIH", type_code("MB"), 1, 60, len(rdata))
    (record,) = decode_answer(bytes(head) + b"\xc0\x0c" + fixed + rdata).answer
    assert record.rdata == rdata


@settings(deadline=None)  # a busy machine is not a fault
@given(st.integers(1, 300), st.binary(max_size=60))
def test_any_rdata_of_any_type_is_read_and_shown_as_the_same_octets(code: int, octets: bytes) -> None:
    rdtype = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(code))
    if code == dns.rdatatype.OPT or dns.rdatatype.is_metatype(dns.rdatatype.RdataType.make(code)):
        return
    head = bytearray(response().to_wire())
    head[6:8] = b"\0\1"
    fixed = struct.pack("!HHIH", code, 1, 60, len(octets))
    (record,) = decode_answer(bytes(head) + b"\xc0\x0c" + fixed + octets).answer
    assert parse_rdata(rdtype, rdata_text(rdtype, record.rdata)) == record.rdata


@settings(deadline=None)  # a busy machine is not a fault
@given(st.binary(max_size=200))
def test_arbitrary_octets_are_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(Unreadable):  # anything else that is raised fails the test
        decode_answer(octets)


@settings(deadline=None)  # a busy machine is not a fault
@given(st.integers(12, 90), st.integers(0, 255))
def test_a_damaged_answer_is_read_or_refused(at: int, octet: int) -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "MX", "10 mail.example.test."))
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "TXT", '"text"'))
    wire = bytearray(made.to_wire())
    wire[at % len(wire)] = octet
    with contextlib.suppress(Unreadable):
        decode_answer(bytes(wire))
