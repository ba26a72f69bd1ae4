"""Streams of messages for comparing name servers: what hypothesis draws, and the octets that it stands for.

Messages are rendered record by record, without dnspython's message classes, for those don't let through what a
server has to refuse. Names, types and data come from small pools, so that messages of a stream meet.
"""

import struct
from dataclasses import dataclass

import dns.name
import dns.opcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.renderer
import dns.tsig
from hypothesis import strategies as st

IN, CH, NONE, ANY_CLASS = 1, 3, 254, 255
ORIGIN = dns.name.from_text("example.test.")
KEY = dns.tsig.Key("updater.", b"a secret for tests only")


@dataclass(frozen=True)
class Raw:
    """One record of a message, well-formed or not. `serial_step` makes it a SOA of the zone's serial plus that."""

    name: dns.name.Name
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes
    serial_step: int | None = None

    def to_wire(self, serial: int) -> bytes:
        """The record's octets, uncompressed."""
        rdata = self.rdata if self.serial_step is None else soa(serial + self.serial_step)
        head = struct.pack("!HHIH", self.rdtype, self.rdclass, self.ttl, len(rdata))
        return (self.name.to_wire() or b"") + head + rdata

    def __repr__(self) -> str:
        rdtype, rdclass = dns.rdatatype.RdataType.to_text(self.rdtype), dns.rdataclass.RdataClass.to_text(self.rdclass)
        data = self.rdata.hex() if self.serial_step is None else f"serial{self.serial_step:+}"
        return f"<{self.name.relativize(ORIGIN)} {self.ttl} {rdclass} {rdtype} {data}>"


@dataclass(frozen=True)
class Update:
    """An UPDATE message."""

    prerequisites: tuple[Raw, ...]
    updates: tuple[Raw, ...]
    zones: tuple[tuple[dns.name.Name, int, int], ...] = ((ORIGIN, dns.rdatatype.SOA, IN),)

    def to_wire(self, serial: int, message_id: int = 1) -> bytes:
        """The signed message, for a zone at a serial."""
        flags = dns.opcode.to_flags(dns.opcode.UPDATE)
        renderer = dns.renderer.Renderer(message_id, flags)
        for name, rdtype, rdclass in self.zones:
            renderer.add_question(name, rdtype, rdclass)
        for section, records in ((1, self.prerequisites), (2, self.updates)):
            for record in records:
                renderer.output.write(record.to_wire(serial))
            renderer.counts[section] = len(records)
        renderer.write_header()
        renderer.add_tsig(KEY.name, KEY, 300, message_id, 0, b"", b"", KEY.algorithm)
        return bytes(renderer.get_wire())


@dataclass(frozen=True)
class Query:
    """A question."""

    name: dns.name.Name
    rdtype: int

    def to_wire(self, _serial: int = 0, message_id: int = 1) -> bytes:
        """The unsigned message, whatever the zone's serial."""
        renderer = dns.renderer.Renderer(message_id, 0)
        renderer.add_question(self.name, self.rdtype, IN)
        renderer.write_header()
        return bytes(renderer.get_wire())


def name(text: str) -> dns.name.Name:
    """A name, relative to the zone unless it ends in a dot."""
    return dns.name.from_text(text, ORIGIN)


def rdata(rdtype: str, text: str) -> bytes:
    """A record's data in wire format."""
    return dns.rdata.from_text("IN", rdtype, text, ORIGIN, relativize=False).to_wire() or b""


def soa(serial: int) -> bytes:
    """SOA data of a serial, which wraps; its other fields are not those that the zone began with."""
    return rdata("SOA", f"ns1 admin {serial % 2**32} 7200 900 86400 30")


_INSIDE = ("@", "a", "A", "b", "x.a", "y.x.a", "deep.ent", "*", "*.a", "z.*.b", "ns1", "sub", "www.sub", "ns.sub")
NAMES = tuple(name(text) for text in _INSIDE)
OUTSIDE = (name("example.net."), name("test."), name("notexample.test."))
ASKED = (*NAMES, *(name(text) for text in ("nope", "w.a", "ent", "q.w.b", "nope.sub", "example.net.")))
_DATA: dict[str, tuple[str, ...]] = {
    "A": ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
    "AAAA": ("2001:db8::1", "2001:db8::2"),
    "TXT": ('"x"', '"X"', '"x" "y"', '""'),
    "CNAME": ("a", "b", "x.a", "www.sub", "target.example.net.", "nope"),
    "NS": ("ns1", "ns.sub", "a", "ns.example.net."),
    "MX": ("10 a", "20 a", "10 mail.example.net."),
    "SRV": ("0 0 443 a", "0 5 443 b"),
    "CAA": ('0 issue "ca.test"',),
    "KEY": ("512 255 255 AAAA",),
    "DS": ("1 8 2 " + "00" * 32,),
    "PTR": ("a",),
    "TYPE65400": (r"\# 2 beef", r"\# 0"),
}
TYPES = tuple(dns.rdatatype.from_text(text) for text in _DATA)
_RECORDS = tuple(
    (dns.rdatatype.from_text(rdtype), rdata(rdtype, text)) for rdtype, texts in _DATA.items() for text in texts
)
_COMMON = tuple(pair for pair in _RECORDS if pair[0] in (1, 2, 5, 16))
_TTLS = (0, 60, 300, 2**31 - 1)
_META = (0, dns.rdatatype.ANY, dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.MAILB, 128, 254)
_SIGNERS = (dns.rdatatype.NSEC, dns.rdatatype.RRSIG)

inside = st.sampled_from(NAMES)
records = st.one_of(st.sampled_from(_COMMON), st.sampled_from(_RECORDS))
types = st.sampled_from(TYPES)


ZERO: st.SearchStrategy[int] = st.just(0)


def _raw(
    names: st.SearchStrategy[dns.name.Name],
    rdtype: st.SearchStrategy[int],
    rdclass: int,
    ttl: st.SearchStrategy[int] = ZERO,
) -> st.SearchStrategy[Raw]:
    return st.tuples(names, rdtype, ttl).map(lambda drawn: Raw(drawn[0], drawn[1], rdclass, drawn[2], b""))


def _with_data(rdclass: int, ttl: st.SearchStrategy[int]) -> st.SearchStrategy[Raw]:
    return st.tuples(inside, records, ttl).map(lambda drawn: Raw(drawn[0], drawn[1][0], rdclass, drawn[2], drawn[1][1]))


soas = st.tuples(
    st.sampled_from((NAMES[0], NAMES[0], NAMES[1])),
    st.sampled_from(_TTLS),
    st.sampled_from((-1, 0, 1, 2, 1000, 2**30)),
).map(lambda drawn: Raw(drawn[0], dns.rdatatype.SOA, IN, drawn[1], b"", drawn[2]))
adds = _with_data(IN, st.sampled_from(_TTLS))
deletions = st.one_of(
    _raw(inside, types, ANY_CLASS),
    _raw(inside, st.just(int(dns.rdatatype.ANY)), ANY_CLASS),
    _raw(st.just(NAMES[0]), st.sampled_from((2, 6, 255)), ANY_CLASS),
    _with_data(NONE, ZERO),
    st.sampled_from((0, 1)).map(lambda step: Raw(NAMES[0], dns.rdatatype.SOA, NONE, 0, b"", step)),
)
malformed = st.one_of(
    _raw(inside, st.sampled_from(_META), IN),
    _raw(inside, st.sampled_from(_META), ANY_CLASS),
    _raw(inside, st.sampled_from(_META), NONE),
    _raw(inside, st.sampled_from(_SIGNERS), ANY_CLASS),
    _raw(inside, types, ANY_CLASS, st.just(1)),
    _with_data(NONE, st.just(1)),
    _with_data(CH, ZERO),
    _with_data(7, ZERO),
    _with_data(ANY_CLASS, ZERO),
    _raw(st.sampled_from(OUTSIDE), types, ANY_CLASS),
    st.builds(Raw, st.sampled_from(OUTSIDE), st.just(1), st.just(IN), st.just(60), st.just(b"\xc0\x00\x02\x01")),
    st.builds(Raw, inside, st.just(1), st.sampled_from((IN, NONE)), ZERO, st.just(b"\xc0")),
)
conditions = st.one_of(
    _raw(inside, st.just(int(dns.rdatatype.ANY)), ANY_CLASS),
    _raw(inside, st.just(int(dns.rdatatype.ANY)), NONE),
    _raw(inside, types, ANY_CLASS),
    _raw(inside, types, NONE),
    _with_data(IN, ZERO),
)
malformed_conditions = st.one_of(
    _with_data(IN, st.just(5)),
    _raw(inside, types, ANY_CLASS, st.just(5)),
    _raw(inside, types, NONE, st.just(5)),
    _raw(st.sampled_from(OUTSIDE), types, NONE),
    _with_data(CH, ZERO),
    _with_data(ANY_CLASS, ZERO),
    _with_data(NONE, ZERO),
)


def _sometimes(
    usual: st.SearchStrategy[Raw], seldom: st.SearchStrategy[Raw], size_max: int
) -> st.SearchStrategy[tuple[Raw, ...]]:
    """Tuples of the usual, and in about one of eight a strange one among them."""
    plain = st.lists(usual, max_size=size_max).map(tuple)
    strange = st.builds(lambda some, odd, at: (*some[:at], odd, *some[at:]), plain, seldom, st.integers(0, size_max))
    return st.integers(0, 7).flatmap(lambda draw: strange if draw == 7 else plain)


zone_sections = st.sampled_from(
    (
        ((ORIGIN, dns.rdatatype.A, IN),),
        ((ORIGIN, dns.rdatatype.SOA, IN), (ORIGIN, dns.rdatatype.SOA, IN)),
        ((OUTSIDE[0], dns.rdatatype.SOA, IN),),
        ((name("a"), dns.rdatatype.SOA, IN),),
    )
)
changes = st.one_of(adds, adds, adds, deletions, deletions, soas)
updates = st.builds(Update, _sometimes(conditions, malformed_conditions, 2), _sometimes(changes, malformed, 6))
blind_updates = st.builds(Update, st.just(()), _sometimes(changes, malformed, 8))
misdirected = st.builds(Update, st.just(()), st.just(()), zone_sections)
queries = st.builds(Query, st.sampled_from(ASKED), st.sampled_from((*TYPES, 1, 5, 6, 255)))
messages = st.one_of(blind_updates, blind_updates, updates, updates, queries, queries, queries, misdirected)
streams = st.lists(messages, min_size=1, max_size=14)
