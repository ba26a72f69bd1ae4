"""One TXT RRset is read from an unauthenticated answer, within bounds that no answer can exceed."""

import contextlib
import struct
import time

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.names import fence_name, name_wire
from dnsguard.wire.decode import Unreadable
from dnsguard.wire.encode import encode_question
from dnsguard.wire.txt_answer import OCTETS_MAX, POINTERS_MAX, read_txt_answer, texts_of

NAME = fence_name("example.test.")
WIRE = name_wire(NAME)
QUESTION = encode_question(NAME, 16)[12:]
HEADER = b"\0\0\x84\0\0\1"
TXT = struct.pack("!HHIH", 16, 1, 1, 2) + b"\1x"


def answered(*rrsets: dns.rrset.RRset) -> bytes:
    response = dns.message.make_response(dns.message.make_query(NAME, "TXT"))
    response.flags |= dns.flags.AA
    response.answer.extend(rrsets)
    return response.to_wire()


def of_records(count: int, records: bytes) -> bytes:
    return HEADER + struct.pack("!HHH", count, 0, 0) + QUESTION + records


def txt(name: str, *texts: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, 1, "IN", "TXT", *texts)


def test_the_txt_rrset_at_the_name_is_read_and_nothing_else() -> None:
    wire = answered(
        txt("other.test.", '"other"'),
        txt(NAME.upper(), '"b" "c"', '"a"'),
        dns.rrset.from_text(NAME, 1, "IN", "NS", NAME, "ns.other.test."),
    )
    answer = read_txt_answer(wire, WIRE)
    assert (answer.rcode, answer.authoritative, answer.truncated) == ("NOERROR", True, False)
    assert answer.rdatas == (b"\1a", b"\1b\1c")
    assert list(texts_of(answer.rdatas[1])) == [b"b", b"c"]


def test_a_record_of_another_class_or_section_is_not_read() -> None:
    assert read_txt_answer(answered(txt(NAME, '"a"')), WIRE, 3).rdatas == ()
    wire = HEADER + struct.pack("!HHH", 0, 1, 0) + QUESTION + b"\xc0\x0c" + TXT
    assert read_txt_answer(wire, WIRE).rdatas == ()


def test_an_answer_that_is_too_long_is_refused_by_its_length() -> None:
    with pytest.raises(Unreadable, match=f"4097 octets; expected at most {OCTETS_MAX}"):
        read_txt_answer(bytes(OCTETS_MAX + 1), WIRE)


def test_a_chain_of_pointers_is_followed_only_so_far() -> None:
    start = 12 + len(QUESTION) + 12
    for count, is_read in ((POINTERS_MAX - 1, True), (POINTERS_MAX, False)):
        chain = b"\xc0\x0c" + b"".join(struct.pack("!H", 0xC000 | start + 2 * n) for n in range(count - 1))
        opaque = b"\xc0\x0c" + struct.pack("!HHIH", 65280, 1, 1, len(chain)) + chain
        wire = of_records(2, opaque + struct.pack("!H", 0xC000 | start + 2 * (count - 1)) + TXT)
        if is_read:
            assert read_txt_answer(wire, WIRE).rdatas == (b"\1x",)
        else:
            with pytest.raises(Unreadable, match="malformed"):
                read_txt_answer(wire, WIRE)


def test_a_pointer_forward_or_to_itself_is_malformed() -> None:
    at = 12 + len(QUESTION)
    for target in (at, at + 4):
        with pytest.raises(Unreadable, match="malformed"):
            read_txt_answer(of_records(1, struct.pack("!H", 0xC000 | target) + TXT), WIRE)


def test_the_costliest_answer_is_read_in_milliseconds() -> None:
    name = "a." * 126
    question = encode_question(name, 16)[12:]
    records = 0
    body = b""
    # Each owner is all labels but one before the pointer to the rest: the longest comparison for the fewest octets.
    while len(body) + 14 + 12 + len(question) <= OCTETS_MAX:
        body += b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 1, 2) + struct.pack("!H", 0x0100 | records % 256)
        records += 1
    wire = HEADER + struct.pack("!HHH", records, 0, 0) + question + body
    begun = time.process_time()
    answer = read_txt_answer(wire, name_wire(name))
    assert len(answer.rdatas) == min(records, 256)
    assert time.process_time() - begun < 0.1  # measured: 6 ms


NAMES = st.sampled_from([NAME, NAME.upper(), "example.test.", f"a.{NAME}", "other.test.", "."])
TYPES = st.sampled_from([("TXT", '"a"'), ("TXT", '"b" "c"'), ("A", "192.0.2.1"), ("NS", "ns.example.test.")])


@given(st.lists(st.tuples(NAMES, TYPES), max_size=8))
def test_it_reads_what_dnspython_reads(some: list[tuple[str, tuple[str, str]]]) -> None:
    wire = answered(*(dns.rrset.from_text(name, 1, "IN", *record) for name, record in some))
    parsed = dns.message.from_wire(wire)
    found = parsed.get_rrset(parsed.answer, dns.name.from_text(NAME), dns.rdataclass.IN, dns.rdatatype.TXT)
    assert read_txt_answer(wire, WIRE).rdatas == tuple(sorted({rdata.to_wire() or b"" for rdata in found or ()}))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: of_records(3, tail)), st.data())
def test_any_octets_are_read_or_refused(wire: bytes, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        good = bytearray(answered(txt(NAME, '"a"', '"b"')))
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
        wire = bytes(good)
    with contextlib.suppress(Unreadable):
        read_txt_answer(wire, WIRE)
