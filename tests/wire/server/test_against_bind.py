"""The embedded server does as BIND does: the same streams of updates and queries, the same answers and contents.

How many streams is a matter of time: DNSGUARD_STREAMS raises their number for a campaign, with
DNSGUARD_TESTS_RANDOM=1 for others than the last time. What is compared:
every response code, for queries also AA, the answer, and the SOA of a negative answer; and after each stream
every octet of the zone in canonical form, the serial included.

Not drawn, because the two differ on purpose: DNAME (stored here, but not followed), more than 100 records in an
RRset (BIND's limit), NSEC3 (SERVFAIL there, REFUSED here), TTLs above 2^31-1, and serials 2^31 apart (undefined;
BIND's journal fails on them). Switched off in BIND, because they are its policy and not the protocol: the checks of
host names and of MX targets, and the zero TTL of the SOA that says that there is no SOA.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import HealthCheck, given, settings

from dnsguard.wire.server import EmbeddedServer, initial_contents
from dnsguard.wire.server.message import read_header, read_request
from dnsguard.wire.server.update import scan_fault
from tests.servers.bind import Bind
from tests.wire.server import streams
from tests.wire.server.conversation import Conversation, Shown
from tests.wire.server.streams import ANY_CLASS, IN, KEY, NONE, ORIGIN, Query, Raw, Update

STREAMS = int(os.environ.get("DNSGUARD_STREAMS", "200"))
ZONES = {ORIGIN: [KEY.name]}
LAX = "check-names primary ignore; check-integrity no; zero-no-soa-ttl no;"
SOA_KEY = (ORIGIN.to_digestable(), int(dns.rdatatype.SOA))


@dataclass(frozen=True)
class Pair:
    """Both servers, and the event loop that they are talked to in."""

    runner: asyncio.Runner
    embedded: EmbeddedServer
    bind: Bind


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("bind")
    keys = {KEY.name: KEY}
    with asyncio.Runner() as runner:
        bind = runner.run(Bind.start(folder, zones=ZONES, keys=keys, extra_options=LAX))
        embedded = runner.run(EmbeddedServer.start(zones=ZONES, keys=keys))
        yield Pair(runner, embedded, bind)
        runner.run(embedded.stop())
        runner.run(bind.stop())


def serial_of(shown: Shown) -> int:
    """The serial in a zone's SOA."""
    (soa,) = [data for owner, rdtype, _, data in shown if (owner, rdtype) == SOA_KEY]
    return int.from_bytes(soa[-20:-16])


def listing(shown: Shown) -> list[str]:
    """A zone's records as one reads them, for the message of a failed comparison."""
    return [
        f"{dns.name.from_wire(owner, 0)[0].relativize(ORIGIN)} {ttl} {dns.rdatatype.RdataType.to_text(rdtype)} "
        f"{dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), data, 0, len(data))}"
        for owner, rdtype, ttl, data in sorted(shown)
    ]


def expected_rcode(wire: bytes, embedded: dns.rcode.Rcode) -> dns.rcode.Rcode:
    """BIND's code, given ours: BIND scans the update section before the prerequisites, RFC 2136 after them."""
    header = read_header(wire)
    assert header is not None
    if embedded in (dns.rcode.FORMERR, dns.rcode.NOTAUTH) and not is_prerequisite_fault(wire):
        return embedded
    fault = scan_fault(ORIGIN, read_request(header, wire).updates)
    return embedded if fault is None else fault


def is_prerequisite_fault(wire: bytes) -> bool:
    """Whether a refused message got as far as its prerequisites: it parses, and is for our zone."""
    header = read_header(wire)
    assert header is not None
    try:
        questions = read_request(header, wire).questions
    except dns.exception.DNSException:
        return False
    return len(questions) == 1 and questions[0].name == ORIGIN and questions[0].rdtype == dns.rdatatype.SOA


def summary(wire: bytes) -> tuple[object, ...]:
    """What must be equal in the answers to a query."""
    answer = dns.message.from_wire(wire, one_rr_per_rrset=True)
    # BIND adds the apex NS to positive answers, as it may; a delegation's NS and a negative answer's SOA count.
    authority = [rrset for rrset in answer.authority if (rrset.name, rrset.rdtype) != (ORIGIN, dns.rdatatype.NS)]
    return (
        answer.rcode(),
        bool(answer.flags & dns.flags.AA),
        canonical(answer.answer),
        canonical(authority),
    )


def canonical(section: list[dns.rrset.RRset]) -> Shown:
    """A section's records as a set, names without regard to case."""
    return frozenset(
        (rrset.name.to_digestable(), rrset.rdtype, rrset.ttl, one.to_digestable()) for rrset in section for one in rrset
    )


def reset(shown: Shown) -> Update:
    """The update that makes a zone what it was in the beginning, but for its serial."""
    initial = [rrset for rrset in initial_contents(ORIGIN) if rrset.rdataset is not None]
    kept = {(rrset.name.to_digestable(), int(rrset.rdtype)) for rrset in initial}
    updates: list[Raw] = []
    for rrset in initial:
        if rrset.rdataset is not None and rrset.rdtype != dns.rdatatype.SOA:
            updates.append(Raw(rrset.name, dns.rdatatype.CNAME, ANY_CLASS, 0, b""))
            updates.extend(Raw(rrset.name, rrset.rdtype, IN, 300, one.to_wire() or b"") for one in rrset.rdataset)
    wanted = {(record.name.to_digestable(), record.rdtype, record.rdata) for record in updates}
    for owner, rdtype, _, data in sorted(shown):
        name = dns.name.from_wire(owner, 0)[0]
        if (owner, rdtype) not in kept:
            updates.append(Raw(name, rdtype, ANY_CLASS, 0, b""))
        elif (owner, rdtype) != SOA_KEY and (owner, rdtype, data) not in wanted:
            updates.append(Raw(name, rdtype, NONE, 0, data))
    soa = initial[0].rdataset
    assert soa is not None
    fields = soa[0].replace(serial=(serial_of(shown) + 1) % 2**32 or 1).to_wire() or b""
    updates.append(Raw(ORIGIN, dns.rdatatype.SOA, IN, 300, fields))
    return Update((), tuple(updates))


async def compare(pair: Pair, stream: list[Update | Query]) -> None:
    """Send a stream to both servers and compare what they say and what they hold."""
    async with (
        await Conversation.open(pair.embedded.address) as embedded,
        await Conversation.open(pair.bind.address) as bind,
    ):
        shown = await embedded.transfer()
        for number, message in enumerate(stream):
            wire = message.to_wire(serial_of(shown))
            ours, theirs = await embedded.ask(wire), await bind.ask(wire)
            if isinstance(message, Query):
                assert summary(ours) == summary(theirs), f"message {number}: {message}, {listing(shown)}"
                continue
            rcode = dns.rcode.from_flags(int.from_bytes(ours[2:4]), 0)
            bind_rcode = dns.rcode.from_flags(int.from_bytes(theirs[2:4]), 0)
            assert bind_rcode.name == expected_rcode(wire, rcode).name, f"message {number}: {message}, {rcode!r}"
            shown = await embedded.transfer()
        other = await bind.transfer()
        assert shown == other, f"only here: {listing(shown - other)}, only in BIND: {listing(other - shown)}"


async def begin_again(pair: Pair) -> None:
    """Make both zones what they were in the beginning."""
    async with (
        await Conversation.open(pair.embedded.address) as embedded,
        await Conversation.open(pair.bind.address) as bind,
    ):
        for server in (embedded, bind):
            shown = await server.transfer()
            answer = await server.ask(reset(shown).to_wire(serial_of(shown)))
            assert answer[3] & 0xF == dns.rcode.NOERROR
        mine, other = await embedded.transfer(), await bind.transfer()
        for serial, server in ((serial_of(mine), bind), (serial_of(other), embedded)):
            # A stream that failed may have left the serials apart: the one behind is brought up.
            soa = initial_contents(ORIGIN)[0].rdataset
            assert soa is not None
            fields = soa[0].replace(serial=serial).to_wire() or b""
            await server.ask(Update((), (Raw(ORIGIN, dns.rdatatype.SOA, IN, 300, fields),)).to_wire(serial))
        assert await embedded.transfer() == await bind.transfer()


@settings(
    max_examples=STREAMS,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stream=streams.streams)
def test_it_answers_and_holds_what_bind_does(pair: Pair, stream: list[Update | Query]) -> None:
    try:
        pair.runner.run(compare(pair, stream))
    finally:
        pair.runner.run(begin_again(pair))
