"""Answers are read into the core's canonical values, or refused as a whole."""

import contextlib

import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.core.records import Key, parse_records
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


def test_rdata_that_does_not_fit_its_type_is_refused() -> None:
    made = response()
    made.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "MX", "10 mail.example.test."))
    wire = bytearray(made.to_wire())
    wire[-1] ^= 0xFF
    with pytest.raises(Unreadable):
        decode_answer(bytes(wire))


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
