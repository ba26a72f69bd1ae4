"""Answers in wire format, read into the values of the core. They have been proven authentic before they come here.
A message whose framing is broken is refused as a whole. What a record says is not judged: rdata is octets, of which
only the names that may be compressed are read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.wire

from dnsguard.core.names import print_name
from dnsguard.core.rdata_names import expand_rdata
from dnsguard.core.records import Key, Records, make_records

_AT_ONCE = 100_000


class Unreadable(ValueError):
    """An answer is malformed."""


class Record(NamedTuple):
    """One record of class IN: canonical owner name, type mnemonic, TTL in seconds, rdata without compression."""

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
    """Read an answer without its TSIG record. Raises Unreadable, which names the last record that could be read."""
    last: Record | None = None
    sections: list[tuple[Record, ...]] = []
    try:
        parser = dns.wire.Parser(wire)
        _, flags, questions, *counts = parser.get_struct("!HHHHHH")
        for _ in range(questions):
            parser.get_name(decompress=True)
            parser.get_bytes(4)
        for count in counts:
            section: list[Record] = []
            for record in _records(parser, count):
                section.append(record)
                last = record
            sections.append(tuple(section))
        if parser.remaining():
            raise Unreadable("expected the message to end after its last record")
    except (dns.exception.DNSException, ValueError) as error:
        where = "before its first record" if last is None else f"after {Key(last.name, last.type)}"
        raise Unreadable(f"the answer is malformed {where}: {str(error) or type(error).__name__}") from None
    rcode = dns.rcode.to_text(dns.rcode.Rcode(flags & 0x0F))
    answer, authority, additional = sections
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
        while piece := {key: make_records(key.type, ttl, rdatas) for key, (ttl, rdatas) in islice(rest, rrsets_max)}:
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
        start = parser.current
        parser.get_bytes(octets)
        if rdclass == dns.rdataclass.IN:
            mnemonic = dns.rdatatype.to_text(rdtype)
            rdata = expand_rdata(mnemonic, parser.wire, start, start + octets)
            yield Record(print_name(owner), mnemonic, ttl, rdata)
