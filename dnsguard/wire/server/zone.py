"""What the embedded server answers to a query: lookups by RFC 1034 section 4.3.2 in immutable zones.

Wildcards follow RFC 4592, negative answers RFC 2308, alias chains RFC 6604. Nothing here changes a zone,
and nothing is answered from outside the zones given: no recursion, no cache. DNAME records are stored and
shown, but not followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dns.btreezone
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.SOA

from dnsguard.wire.server.message import Owned, Response

LOOKUPS_MAX = 12
"""Names looked up for one answer along a chain of aliases (BIND's default: eleven restarts)."""

Version = dns.btreezone.ImmutableVersion
Zones = Mapping[dns.name.Name, Version]
_BESIDE_ALIASES = (dns.rdatatype.ANY, dns.rdatatype.KEY, dns.rdatatype.NSEC)
"""What is asked of a name with a CNAME itself, not of the name that it points to (RFC 3007, RFC 4035 section 2.5)."""
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)


@dataclass(slots=True)
class _Sections:
    answer: list[Owned] = field(default_factory=list)
    authority: list[Owned] = field(default_factory=list)
    additional: list[Owned] = field(default_factory=list)
    authoritative: bool = True

    def response(self, rcode: dns.rcode.Rcode) -> Response:
        return Response(rcode, self.authoritative, tuple(self.answer), tuple(self.authority), tuple(self.additional))


def snapshot(zone: dns.btreezone.Zone) -> Version:
    """Pin the zone's newest committed version, which never changes afterwards."""
    with zone.reader() as reader:
        version = reader.version
    if not isinstance(version, Version):
        raise TypeError(f"expected an immutable version of {zone.origin}, found {type(version).__name__}")
    return version


def enclosing(zones: Zones, name: dns.name.Name) -> dns.name.Name | None:
    """The origin of the zone nearest above or at the name; None when none of the zones has it."""
    candidate = name
    while candidate not in zones:
        if candidate == dns.name.root:
            return None
        candidate = candidate.parent()
    return candidate


def node_at(version: Version, name: dns.name.Name) -> dns.node.Node | None:
    """What answers for a name: its own node, a wildcard's, an empty one, or None for a name that isn't there.

    RFC 4592: a name between existing names exists without data, and only the wildcard at the closest
    encloser counts.
    """
    node = version.get_node(name)
    if node is not None:
        return node
    encloser = version.bounds(name).closest_encloser
    if encloser == name:
        return dns.node.Node()
    wildcard = dns.name.Name((b"*", *encloser.labels))
    node = version.get_node(wildcard)
    if node is None and version.bounds(wildcard).closest_encloser == wildcard:
        return dns.node.Node()
    return node


def resolve(zones: Zones, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Response:
    """Answer one question of class IN; SERVFAIL for a chain of aliases that is too long, or a loop."""
    origin = _origin_for(zones, name, rdtype)
    if origin is None:
        return Response(dns.rcode.REFUSED)
    sections = _Sections()
    for _ in range(LOOKUPS_MAX):
        version = zones[origin]
        cut, below = version.delegations.get_delegation(name)
        if cut is not None and (below or rdtype != dns.rdatatype.DS):
            _refer(version, cut, sections)
            return sections.response(dns.rcode.NOERROR)
        node = node_at(version, name)
        if node is None:
            sections.authority.append(_negative_soa(version))
            return sections.response(dns.rcode.NXDOMAIN)
        found = [rdataset for rdataset in node if rdtype in (dns.rdatatype.ANY, rdataset.rdtype)]
        alias = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME)
        if found or alias is None or rdtype in _BESIDE_ALIASES:
            sections.answer.extend((name, rdataset) for rdataset in found)
            if not found:
                sections.authority.append(_negative_soa(version))
            return sections.response(dns.rcode.NOERROR)
        if (name, alias) not in sections.answer:
            sections.answer.append((name, alias))
        name = _target(alias)
        origin = _origin_for(zones, name, rdtype)
        if origin is None:
            return sections.response(dns.rcode.NOERROR)
    return sections.response(dns.rcode.SERVFAIL)


def _target(alias: dns.rdataset.Rdataset) -> dns.name.Name:
    cname = alias[0]
    if not isinstance(cname, dns.rdtypes.ANY.CNAME.CNAME):
        raise TypeError("expected CNAME data")
    return cname.target


def _origin_for(zones: Zones, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.name.Name | None:
    if rdtype == dns.rdatatype.DS and name in zones and name != dns.name.root:
        # RFC 4035 section 3.1.4.1: the parent answers for DS, if this server has it too.
        parent = enclosing(zones, name.parent())
        if parent is not None:
            return parent
    return enclosing(zones, name)


def _refer(version: Version, cut: dns.name.Name, sections: _Sections) -> None:
    """Add the delegation at the cut, with the addresses that stand below it."""
    node = version.get_node(cut)
    servers = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.NS) if node else None
    if servers is None:
        return
    sections.authoritative = bool(sections.answer)
    sections.authority.append((cut, servers))
    for server in servers:
        if not isinstance(server, dns.rdtypes.ANY.NS.NS) or not server.target.is_subdomain(cut):
            continue
        glue = version.get_node(server.target)
        for rdtype in _ADDRESSES:
            addresses = glue.get_rdataset(dns.rdataclass.IN, rdtype) if glue else None
            if addresses is not None:
                sections.additional.append((server.target, addresses))


def soa_of(version: Version) -> dns.rdataset.Rdataset:
    """The SOA RRset at a zone's apex, which is always there."""
    if version.origin is None:
        raise LookupError("expected a zone with an origin")
    found = version.get_rdataset(version.origin, dns.rdatatype.SOA, dns.rdatatype.NONE)
    if found is None:
        raise LookupError(f"expected a SOA record at {version.origin}")
    return found


def _negative_soa(version: Version) -> Owned:
    # RFC 2308 section 3: the TTL of a negative answer is the smaller of the SOA's own and its minimum.
    rdataset = soa_of(version)
    soa = rdataset[0]
    minimum = soa.minimum if isinstance(soa, dns.rdtypes.ANY.SOA.SOA) else 0
    return version.origin or dns.name.root, dns.rdataset.from_rdata(min(rdataset.ttl, minimum), soa)
