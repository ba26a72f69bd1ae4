"""Answers in wire format, read into the values of the core. They have been proven authentic before they come
here; what cannot be read in full is refused as a whole, never read in part.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire

from dnsguard.core.records import Key, Records, make_records

_AT_ONCE = 100_000
_NAMELESS = frozenset({dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.TXT})
"""Types in which every octet stands for itself: the wire form is the canonical one."""


class Unreadable(ValueError):
    """An answer is malformed."""


class Record(NamedTuple):
    """One record of class IN: canonical owner name, type mnemonic, TTL in seconds, canonical rdata."""

    name: str
    type: str
    ttl: int
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to a question."""

    rcode: str
    authoritative: bool
    truncated: bool
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]


def decode_answer(wire: bytes) -> Answer:
    """Read an answer without its TSIG record. Raises Unreadable."""
    try:
        parser = dns.wire.Parser(wire)
        _, flags, questions, *counts = parser.get_struct("!HHHHHH")
        for _ in range(questions):
            parser.get_name(decompress=True)
            parser.get_bytes(4)
        answer, authority, additional = (tuple(_records(parser, count)) for count in counts)
        if parser.remaining():
            raise Unreadable("expected the message to end after its last record, found more")
    except (dns.exception.DNSException, ValueError) as error:
        raise Unreadable(
            f"expected a well-formed answer, found otherwise: {str(error) or type(error).__name__}"
        ) from None
    rcode = dns.rcode.to_text(dns.rcode.Rcode(flags & 0x0F))
    return Answer(rcode, bool(flags & 0x0400), bool(flags & 0x0200), answer, authority, additional)


class Gathering:
    """Single records on their way to be RRsets, in pieces; the lowest TTL counts where they differ."""

    def __init__(self) -> None:
        self._rrsets: dict[Key, tuple[int, list[bytes]]] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Add some records."""
        rrsets = self._rrsets
        for name, rdtype, ttl, rdata in records:
            key = Key(name, rdtype)
            if (known := rrsets.get(key)) is None:
                rrsets[key] = (ttl, [rdata])
            else:
                known[1].append(rdata)
                if ttl < known[0]:
                    rrsets[key] = (ttl, known[1])

    def pieces(self, rrsets_max: int) -> Iterator[dict[Key, Records]]:
        """Yield the RRsets, so many at a time."""
        rest = iter(self._rrsets.items())
        while piece := {key: make_records(ttl, rdatas) for key, (ttl, rdatas) in islice(rest, rrsets_max)}:
            yield piece


def gather(records: Iterable[Record]) -> dict[Key, Records]:
    """Put single records together into RRsets; the lowest TTL counts where they differ."""
    gathering = Gathering()
    gathering.take(records)
    return {key: records for piece in gathering.pieces(_AT_ONCE) for key, records in piece.items()}


def _records(parser: dns.wire.Parser, count: int) -> Iterator[Record]:
    for _ in range(count):
        owner = parser.get_name(decompress=True)
        rdtype, rdclass, ttl, octets = parser.get_struct("!HHIH")
        if rdclass != dns.rdataclass.IN:
            parser.get_bytes(octets)
            continue
        if rdtype in _NAMELESS:
            rdata = parser.get_bytes(octets)
        else:
            with parser.restrict_to(octets):
                rdata = dns.rdata.from_wire_parser(rdclass, rdtype, parser).to_digestable()
        yield Record(owner.to_text().lower(), dns.rdatatype.to_text(rdtype), ttl, rdata)
