"""What the tests of the embedded server share: a zone with known contents, and messages made short."""

import dns.btreezone
import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.update

from dnsguard.wire.server import initial_contents
from dnsguard.wire.server.message import Request, read_header, read_request
from dnsguard.wire.server.zone import Version, snapshot

ORIGIN = dns.name.from_text("example.test.")
KEY = dns.tsig.Key("updater.", b"a secret for tests only")
KEYS = {KEY.name: KEY}
ZONES = {ORIGIN: [KEY.name]}


def name(text: str) -> dns.name.Name:
    """A name, relative to the zone unless it ends in a dot."""
    return dns.name.from_text(text, ORIGIN)


def version(*records: str, origin: dns.name.Name = ORIGIN) -> Version:
    """A new zone with more records, each "name ttl type data"."""
    zone = dns.btreezone.Zone(origin, relativize=False)
    with zone.writer() as writer:
        for rrset in initial_contents(origin):
            writer.replace(rrset.name, rrset.rdataset)
        for record in records:
            owner, ttl, rdtype, text = record.split(" ", 3)
            rdata = dns.rdata.from_text("IN", rdtype, text, origin, relativize=False)
            writer.add(dns.name.from_text(owner, origin), int(ttl), rdata)
    return snapshot(zone)


def request(wire: bytes) -> Request:
    """A message as the server reads it."""
    header = read_header(wire)
    assert header is not None
    return read_request(header, wire)


def update() -> dns.update.UpdateMessage:
    """An UPDATE for the zone, unsigned."""
    return dns.update.UpdateMessage(ORIGIN)


def signed_update(key: dns.tsig.Key = KEY) -> dns.update.UpdateMessage:
    """An UPDATE for the zone that will be signed when it is rendered."""
    return dns.update.UpdateMessage(ORIGIN, keyring=key)


def query(owner: str, rdtype: str, *, edns: bool = False, key: dns.tsig.Key | None = None) -> dns.message.QueryMessage:
    """A query, signed when a key is given."""
    message = dns.message.make_query(name(owner), rdtype, use_edns=0 if edns else None)
    if key is not None:
        message.use_tsig(key)
    return message
