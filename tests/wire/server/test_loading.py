"""A zone built at once is the zone that updates would have made."""

import dns.btreezone
import dns.name
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.wire.server import initial_contents
from dnsguard.wire.server.draft import Change
from dnsguard.wire.server.loading import build
from dnsguard.wire.server.zone import Version, snapshot
from tests.wire.server import streams
from tests.wire.server.parts import ORIGIN, name

OWNERS = ("a", "B", "x.a", "y.x.a", "*", "sub", "www.sub", "ns.sub", "deep.sub", "a.deep.sub", "ent.c", "\\000.a")


def rrset(owner: str, rdtype: str) -> Change:
    text = {"A": "192.0.2.1", "NS": "ns1.example.net.", "TXT": "x"}[rdtype]
    rdataset = dns.rdataset.from_text("IN", rdtype, 60, text)
    return Change(name(owner), dns.rdatatype.from_text(rdtype), dns.rdatatype.NONE, rdataset)


def shown(version: Version) -> list[tuple[dns.name.Name, int, list[str]]]:
    return [
        (owner, int(node.flags), sorted(rdataset.to_text() for rdataset in node)) for owner, node in version.items()
    ]


@settings(deadline=None)
@given(drawn=st.lists(st.tuples(st.sampled_from(OWNERS), st.sampled_from(("A", "NS", "NS", "TXT"))), unique=True))
def test_it_is_the_zone_that_single_writes_make(drawn: list[tuple[str, str]]) -> None:
    rrsets = [*initial_contents(ORIGIN), *(rrset(*one) for one in drawn)]
    at_once = snapshot(build(ORIGIN, rrsets))
    zone = dns.btreezone.Zone(ORIGIN, relativize=False)
    for one in rrsets:
        with zone.writer() as writer:
            writer.replace(one.name, one.rdataset)
    single = snapshot(zone)
    assert shown(at_once) == shown(single)
    assert list(at_once.delegations) == list(single.delegations)
    for asked in streams.ASKED:
        if asked.is_subdomain(ORIGIN):
            assert at_once.bounds(asked) == single.bounds(asked)


def test_a_built_zone_can_be_written_to() -> None:
    zone = build(ORIGIN, initial_contents(ORIGIN))
    before = snapshot(zone)
    with zone.writer() as writer:
        writer.replace(name("a"), rrset("a", "A").rdataset)
    assert snapshot(zone).get_node(name("a")) is not None
    assert before.get_node(name("a")) is None
