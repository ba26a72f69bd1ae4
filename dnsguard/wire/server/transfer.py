"""AXFR of the embedded server (RFC 5936): a zone version as a series of unsigned messages.

The version is immutable, so updates that come in between don't show in a transfer under way.
"""

from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.renderer

from dnsguard.wire.server.message import MESSAGE_SIZE_MAX, CompressionTable, Header, Owned, Question
from dnsguard.wire.server.zone import Version, soa_of

FILL_SIZE = 16384
"""Octets after which a message is sent: names can be compressed no further than this."""


def transfer(header: Header, question: Question, version: Version, reserved: int) -> Iterator[bytes]:
    """Render a zone: its SOA, everything else in canonical order, its SOA again.

    `reserved` octets are kept free in each message for the TSIG record that the caller appends.
    """
    renderer = _start(header, question, reserved)
    for name, rdataset in _contents(version):
        try:
            renderer.add_rdataset(dns.renderer.ANSWER, name, rdataset, want_shuffle=False)
        except dns.exception.TooBig:
            yield _finish(renderer)
            renderer = _start(header, question, reserved)
            renderer.add_rdataset(dns.renderer.ANSWER, name, rdataset, want_shuffle=False)
        if renderer.output.tell() > FILL_SIZE:
            yield _finish(renderer)
            renderer = _start(header, question, reserved)
    if renderer.counts[dns.renderer.ANSWER]:
        yield _finish(renderer)


def _contents(version: Version) -> Iterator[Owned]:
    apex = version.origin or dns.name.root
    soa = soa_of(version)
    yield apex, soa
    for name, node in version.items():
        for rdataset in node:
            if rdataset.rdtype != dns.rdatatype.SOA:
                yield from _pieces(name, rdataset)
    yield apex, soa


def _pieces(name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> Iterator[Owned]:
    """Split an RRset that could outgrow a message into its records."""
    if len(rdataset) <= 100 and sum(len(rdata.to_wire() or b"") for rdata in rdataset) < FILL_SIZE:
        yield name, rdataset
        return
    for rdata in rdataset:
        yield name, dns.rdataset.from_rdata(rdataset.ttl, rdata)


def _start(header: Header, question: Question, reserved: int) -> dns.renderer.Renderer:
    flags = dns.flags.QR | dns.flags.AA | (header.flags & dns.flags.RD)
    renderer = dns.renderer.Renderer(header.id, flags, MESSAGE_SIZE_MAX - reserved)
    renderer.compress = CompressionTable()
    renderer.add_question(question.name, question.rdtype, question.rdclass)
    return renderer


def _finish(renderer: dns.renderer.Renderer) -> bytes:
    renderer.write_header()
    return bytes(renderer.get_wire())
