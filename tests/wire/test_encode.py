"""UPDATE messages built by hand say what dnspython's say."""

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameInUse,
    NameNotInUse,
    Prerequisite,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Update,
    octets_of,
)
from dnsguard.core.names import name_wire
from dnsguard.core.records import TTL_MAX, Key, Records, make_records, parse_rdata
from dnsguard.wire.encode import MessageTooLarge, PrerequisiteEmpty, encode_question, encode_update

ZONES = ["example.test.", ".", "sub.example.test.", r"a\.b.example.", "x" * 63 + ".test."]
LABELS = ["www", "a", "b", "*", "_sip", "xn--bcher-kva", r"a\.b", r"quo\"te", r"at\@", "y" * 40, "x", "test", "example"]
RDATAS = {
    "A": ["192.0.2.1", "192.0.2.2", "255.255.255.255"],
    "AAAA": ["2001:db8::1", "::"],
    "TXT": ['"one" "two"', '""', '"' + "t" * 255 + '"'],
    "MX": ["10 mail.example.test.", "0 ."],
    "NS": ["ns1.example.test.", "ns2.elsewhere.test."],
    "CAA": ['0 issue "ca.example"'],
    "TYPE65280": [r"\# 3 010203"],
    "SVCB": ["1 svc.example.test. alpn=h2", "0 ."],
}


@st.composite
def keys(draw: st.DrawFn, zone: str) -> Key:
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=3))
    outside = draw(st.integers(0, 9)) == 0
    apex = "elsewhere.invalid." if outside else zone
    name = ".".join([*labels, ""]) + apex if apex != "." else (".".join(labels) or "") + "."
    return Key(name, draw(st.sampled_from(sorted(RDATAS))))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    zone = draw(st.sampled_from(ZONES))

    def some_rdatas(key: Key) -> tuple[bytes, ...]:
        texts = draw(st.lists(st.sampled_from(RDATAS[key.type]), min_size=1, unique=True))
        return make_records(key.type, 0, (parse_rdata(key.type, text) for text in texts)).rdatas

    def prerequisite() -> Prerequisite:
        key = draw(keys(zone))
        match draw(st.integers(0, 4)):
            case 0:
                return RRsetIs(key, some_rdatas(key))
            case 1:
                return RRsetExists(key)
            case 2:
                return RRsetAbsent(key)
            case 3:
                return NameInUse(key.name)
        return NameNotInUse(key.name)

    def update() -> Update:
        key = draw(keys(zone))
        match draw(st.integers(0, 2)):
            case 0:
                return AddRecords(key, Records(draw(st.integers(0, TTL_MAX)), some_rdatas(key)))
            case 1:
                return DeleteRRset(key)
        return DeleteRecords(key, some_rdatas(key))

    prerequisites = tuple(prerequisite() for _ in range(draw(st.integers(0, 6))))
    return Message(zone, prerequisites, tuple(update() for _ in range(draw(st.integers(0, 10)))))


def by_dnspython(message: Message) -> dns.update.UpdateMessage:
    built = dns.update.UpdateMessage(dns.name.from_text(message.zone), id=0)

    def rdata(key: Key, wire: bytes) -> dns.rdata.Rdata:
        return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(key.type), wire, 0, len(wire))

    for prerequisite in message.prerequisites:
        match prerequisite:
            case RRsetIs(key, rdatas):
                built.present(dns.name.from_text(key.name), *(rdata(key, wire) for wire in rdatas))
            case RRsetExists(key):
                built.present(dns.name.from_text(key.name), key.type)
            case RRsetAbsent(key):
                built.absent(dns.name.from_text(key.name), key.type)
            case NameInUse(name):
                built.present(dns.name.from_text(name))
            case NameNotInUse(name):
                built.absent(dns.name.from_text(name))
    for update in message.updates:
        match update:
            case AddRecords(key, records):
                wires = [rdata(key, wire) for wire in records.rdatas]
                built.add(dns.name.from_text(key.name), dns.rdataset.from_rdata_list(records.ttl, wires))
            case DeleteRRset(key):
                built.delete(dns.name.from_text(key.name), key.type)
            case DeleteRecords(key, rdatas):
                built.delete(dns.name.from_text(key.name), *(rdata(key, wire) for wire in rdatas))
    return built


def meaning(wire: bytes) -> list[object]:
    parsed = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert isinstance(parsed, dns.update.UpdateMessage)
    sections = [
        [
            (str(rrset.name).lower(), rrset.rdtype, rrset.rdclass, rrset.deleting or 0, rrset.ttl, [*map(str, rrset)])
            for rrset in section
        ]
        for section in (parsed.zone, parsed.prerequisite, parsed.update)
    ]
    return [parsed.id, parsed.opcode(), parsed.flags, sections, len(parsed.additional)]


@settings(deadline=None)  # a busy machine is not a fault
@given(messages())
def test_an_update_means_what_dnspython_would_have_said(message: Message) -> None:
    wire = encode_update(message)
    assert meaning(wire) == meaning(by_dnspython(message).to_wire(max_size=65535))


@settings(deadline=None)  # a busy machine is not a fault
@given(messages())
def test_an_update_never_takes_more_than_the_core_reckons_with(message: Message) -> None:
    bound = sum(octets_of(part) for part in (*message.prerequisites, *message.updates))
    assert len(encode_update(message)) <= 12 + len(name_wire(message.zone)) + 4 + bound


def test_names_stay_valid_where_pointers_do_not_reach() -> None:
    zone = "example.test."
    keys = [Key(f"h{index}.deep.{zone}", "TXT") for index in range(400)]
    updates = tuple(AddRecords(key, Records(60, (b"\x64" + b"t" * 100,))) for key in keys)
    wire = encode_update(Message(zone, (), updates + tuple(DeleteRRset(key) for key in keys)))
    assert len(wire) > 0x4000 * 2
    parsed = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert isinstance(parsed, dns.update.UpdateMessage)
    assert [str(rrset.name) for rrset in parsed.update] == [key.name for key in keys] * 2


def test_names_are_compressed() -> None:
    zone = "a-rather-long-apex.example.test."
    key = Key(f"www.{zone}", "A")
    wire = encode_update(Message(zone, (RRsetAbsent(key),), (DeleteRRset(key), DeleteRRset(Key("b." + key.name, "A")))))
    assert len(wire) == 12 + len(name_wire(zone)) + 4 + (4 + 2 + 10) + (2 + 10) + (2 + 2 + 10)


def test_a_value_prerequisite_without_values_is_refused_rather_than_left_out() -> None:
    with pytest.raises(PrerequisiteEmpty, match="RRsetAbsent"):
        encode_update(Message("example.test.", (RRsetIs(Key("www.example.test.", "A"), ()),), ()))


def test_a_message_beyond_the_length_prefix_is_refused() -> None:
    records = Records(60, tuple(b"\xff" + bytes((index,)) * 255 for index in range(256)))
    with pytest.raises(MessageTooLarge, match="65535"):
        encode_update(Message("example.test.", (), (AddRecords(Key("www.example.test.", "TXT"), records),)))


def test_a_question_asks_an_authority_and_desires_no_recursion() -> None:
    parsed = dns.message.from_wire(encode_question("www.example.test.", dns.rdatatype.ANY))
    assert parsed.flags == 0
    assert [question.to_text() for question in parsed.question] == ["www.example.test. IN ANY"]
