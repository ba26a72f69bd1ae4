"""A zone built at once from all of its RRsets, as at the start of the server.

Writing RRset by RRset into a `dns.btreezone.Zone` looks each name up four times; here names are sorted first and
then only appended. What comes out is the same zone, delegations and glue marked as dnspython marks them.
"""

from collections.abc import Iterable

import dns.btree
import dns.btreezone
import dns.name
import dns.rdataclass
import dns.rdatatype

from dnsguard.wire.server.draft import Change


def build(origin: dns.name.Name, rrsets: Iterable[Change]) -> dns.btreezone.Zone:
    """Make a zone with these RRsets, each of which is named once; those at the origin must be among them."""
    nodes: dict[dns.name.Name, dns.btreezone.Node] = {}
    for rrset in rrsets:
        if rrset.rdataset is not None:
            node = nodes.get(rrset.name)
            if node is None:
                node = nodes[rrset.name] = dns.btreezone.Node()
            node.rdatasets.append(rrset.rdataset)
    zone = dns.btreezone.Zone(origin, relativize=False)
    with zone.writer(replacement=True) as writer:
        version = writer.version
        if not isinstance(version, dns.btreezone.WritableVersion):
            raise TypeError(f"expected a writable version of {origin}, found {type(version).__name__}")
        tree: dns.btree.BTreeDict[dns.name.Name, dns.btreezone.Node] = dns.btree.BTreeDict(in_order=True)
        cut: dns.name.Name | None = None
        for name in sorted(nodes, key=_canonical_order):
            node = nodes[name]
            if name == origin:
                node.flags = dns.btreezone.NodeFlags.ORIGIN
            elif cut is not None and name.is_subdomain(cut):
                node.flags = dns.btreezone.NodeFlags.GLUE
            elif node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.NS) is not None:
                node.flags = dns.btreezone.NodeFlags.DELEGATION
                version.delegations.add(name)
                cut = name
            tree[name] = dns.btreezone.ImmutableNode(node)
        version.nodes = tree
        # What is not marked as changed is not looked at again when the transaction ends, but it ends only with one.
        version.changed.add(origin)
    return zone


def _canonical_order(name: dns.name.Name) -> tuple[bytes, ...]:
    """A key that sorts names as RFC 4034 section 6.1 says, without comparing them as names."""
    return tuple(label.lower() for label in reversed(name.labels))
