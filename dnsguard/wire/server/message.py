"""DNS messages of the embedded server: requests read from the wire, responses written to it.

Reading is done here rather than with `dns.message`, because an update must be judged by what dnspython's
parser drops: the TTL of a record without data, and where a TSIG stands whose key nobody knows. Names and
record data are still parsed by dnspython. Nothing here knows a zone or a key, and nothing does I/O.
"""

import struct
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.renderer
import dns.wire

UDP_SIZE_MAX = 1232
"""Octets of a UDP response at most, and what the server says it takes (the DNS flag day 2020 value)."""
MESSAGE_SIZE_MAX = 65535
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_OPT_SIZE = 11

Owned = tuple[dns.name.Name, dns.rdataset.Rdataset]
"""An RRset: its owner name and its records."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first twelve octets of a message; counts are those of its four sections."""

    id: int
    flags: int
    counts: tuple[int, int, int, int]

    @property
    def opcode(self) -> dns.opcode.Opcode:
        """What the message asks for."""
        return dns.opcode.from_flags(self.flags)


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of the question section (in an UPDATE: the zone section)."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    rdclass: dns.rdataclass.RdataClass


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it stands in a message; `rdata` is None where the class says that there is none to read."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    rdclass: dns.rdataclass.RdataClass
    ttl: int
    rdata: dns.rdata.Rdata | None


@dataclass(frozen=True, slots=True)
class Edns:
    """What the requestor's OPT record says (RFC 6891)."""

    version: int
    payload: int
    dnssec_ok: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """A TSIG record: its owner (the key's name), its data, and the offset where it begins."""

    keyname: dns.name.Name
    tsig: dns.rdtypes.ANY.TSIG.TSIG
    offset: int


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Prerequisites and updates are filled for opcode UPDATE only."""

    wire: bytes
    header: Header
    questions: tuple[Question, ...]
    prerequisites: tuple[Record, ...] = ()
    updates: tuple[Record, ...] = ()
    edns: Edns | None = None
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer, before it is rendered and signed."""

    rcode: dns.rcode.Rcode
    authoritative: bool = False
    answer: tuple[Owned, ...] = ()
    authority: tuple[Owned, ...] = ()
    additional: tuple[Owned, ...] = ()


def read_header(wire: bytes) -> Header | None:
    """Read a message's header; None for what is too short to be one."""
    if len(wire) < _HEADER.size:
        return None
    message_id, flags, *counts = _HEADER.unpack_from(wire)
    return Header(message_id, flags, (counts[0], counts[1], counts[2], counts[3]))


def read_request(header: Header, wire: bytes) -> Request:
    """Parse the rest of a request.

    Raises a `dns.exception.DNSException` for whatever is malformed; the answer to that is FORMERR.
    """
    parser = dns.wire.Parser(wire, _HEADER.size)
    questions = tuple(_read_question(parser) for _ in range(header.counts[0]))
    is_update = header.opcode == dns.opcode.UPDATE
    prerequisites: tuple[Record, ...] = ()
    updates: tuple[Record, ...] = ()
    if is_update and questions:
        zone_class = questions[0].rdclass
        prerequisites = tuple(_read_record(parser, zone_class, empty_none=True) for _ in range(header.counts[1]))
        updates = tuple(_read_record(parser, zone_class, empty_none=False) for _ in range(header.counts[2]))
    else:
        for _ in range(header.counts[1] + header.counts[2]):
            _skip_record(parser)
    edns, signature = _read_additional(parser, header.counts[3])
    if parser.remaining():
        raise dns.exception.FormError("octets after the last record")
    return Request(wire, header, questions, prerequisites, updates, edns, signature)


def _read_question(parser: dns.wire.Parser) -> Question:
    name = parser.get_name(decompress=True)
    rdtype, rdclass = parser.get_struct("!HH")
    return Question(name, dns.rdatatype.RdataType.make(rdtype), dns.rdataclass.RdataClass.make(rdclass))


def _read_record(parser: dns.wire.Parser, zone_class: dns.rdataclass.RdataClass, *, empty_none: bool) -> Record:
    name = parser.get_name(decompress=True)
    type_number, class_number, ttl, length = _RECORD.unpack(parser.get_bytes(_RECORD.size))
    rdtype = dns.rdatatype.RdataType.make(type_number)
    rdclass = dns.rdataclass.RdataClass.make(class_number)
    if rdclass == dns.rdataclass.ANY or (rdclass == dns.rdataclass.NONE and empty_none):
        # RFC 2136 sections 2.4.1 to 2.4.3, 2.5.2 and 2.5.3: there is no data to parse.
        if length:
            raise dns.exception.FormError("data in a record of class ANY or NONE")
        return Record(name, rdtype, rdclass, ttl, None)
    if rdclass not in (zone_class, dns.rdataclass.NONE):
        # Of no class that an update may have; its data means nothing here, and the record is refused in its turn.
        parser.get_bytes(length)
        return Record(name, rdtype, rdclass, ttl, None)
    with parser.restrict_to(length):
        rdata = dns.rdata.from_wire_parser(zone_class, rdtype, parser)
    return Record(name, rdtype, rdclass, ttl, rdata)


def _skip_record(parser: dns.wire.Parser) -> None:
    parser.get_name(decompress=True)
    parser.get_bytes(_RECORD.unpack(parser.get_bytes(_RECORD.size))[3])


def _read_additional(parser: dns.wire.Parser, count: int) -> tuple[Edns | None, Signature | None]:
    edns: Edns | None = None
    signature: Signature | None = None
    for position in range(count):
        offset = parser.current
        name = parser.get_name(decompress=True)
        rdtype, rdclass, ttl, length = _RECORD.unpack(parser.get_bytes(_RECORD.size))
        if rdtype == dns.rdatatype.OPT:
            if edns is not None or name != dns.name.root:
                raise dns.exception.FormError("a second OPT record, or one that is not at the root")
            parser.get_bytes(length)
            edns = Edns((ttl >> 16) & 0xFF, rdclass, bool(ttl & dns.flags.DO))
        elif rdtype == dns.rdatatype.TSIG:
            # RFC 8945 section 5.1: one only, the last record, class ANY and TTL 0.
            if position != count - 1 or rdclass != dns.rdataclass.ANY or ttl != 0:
                raise dns.exception.FormError("a misplaced TSIG record")
            with parser.restrict_to(length):
                tsig = dns.rdata.from_wire_parser(dns.rdataclass.ANY, dns.rdatatype.TSIG, parser)
            if not isinstance(tsig, dns.rdtypes.ANY.TSIG.TSIG):
                raise dns.exception.FormError("a TSIG record without its fields")
            signature = Signature(name, tsig, offset)
        else:
            parser.get_bytes(length)
    return edns, signature


class CompressionTable(dict[Any, int]):
    """Keeps names apart that differ in the case of a letter only: an answer keeps case (RFC 4343 section 4)."""

    def get(self, name: Any, default: Any = None) -> Any:  # noqa: ANN401  as the dict that it stands in for
        """Return the offset of a name."""
        return super().get(name.labels, default)

    def __setitem__(self, name: dns.name.Name, offset: int) -> None:
        """Remember the offset of a name."""
        super().__setitem__(name.labels, offset)


def write_response(
    header: Header,
    response: Response,
    *,
    questions: tuple[Question, ...] = (),
    edns: Edns | None = None,
    size_max: int = MESSAGE_SIZE_MAX,
    reserved: int = 0,
) -> bytes:
    """Render a response; what does not fit sets TC (RFC 2181 section 9: only whole RRsets are left out).

    `reserved` octets of `size_max` are kept free for a TSIG record that the caller appends.
    """
    flags = dns.flags.QR | (header.flags & (0x7800 | dns.flags.RD)) | (response.rcode & 0xF)
    if response.authoritative:
        flags |= dns.flags.AA
    spare = reserved + (_OPT_SIZE if edns else 0)
    renderer = dns.renderer.Renderer(header.id, flags, size_max - spare)
    renderer.compress = CompressionTable()
    try:
        for question in questions:
            renderer.add_question(question.name, question.rdtype, question.rdclass)
        for section, rrsets in (
            (dns.renderer.ANSWER, response.answer),
            (dns.renderer.AUTHORITY, response.authority),
            (dns.renderer.ADDITIONAL, response.additional),
        ):
            for name, rdataset in rrsets:
                renderer.add_rdataset(section, name, rdataset, want_shuffle=False)
    except dns.exception.TooBig:
        renderer.flags |= dns.flags.TC
    renderer.max_size += spare
    if edns:
        ednsflags = (response.rcode >> 4) << 24 | (dns.flags.DO if edns.dnssec_ok else 0)
        renderer.add_edns(0, ednsflags, UDP_SIZE_MAX)
    renderer.write_header()
    return bytes(renderer.get_wire())


def response_size_max(edns: Edns | None, *, stream: bool) -> int:
    """How many octets the requestor and the transport take."""
    if stream:
        return MESSAGE_SIZE_MAX
    return max(512, min(edns.payload, UDP_SIZE_MAX)) if edns else 512
