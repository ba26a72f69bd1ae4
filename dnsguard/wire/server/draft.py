"""A zone as an update would leave it: changes kept beside an immutable version, node by node.

Only touched names are copied, so an update costs what it touches. A draft never writes to the zone that
it was made from: what differs in the end comes out as values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import dns.btree
import dns.btreezone
import dns.name
import dns.node
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype

TypeKey = tuple[dns.rdatatype.RdataType, dns.rdatatype.RdataType]
"""A type, and for signatures the type that they cover (else NONE)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an RRset is afterwards; None where it is gone."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    covers: dns.rdatatype.RdataType
    rdataset: dns.rdataset.Rdataset | None


class Draft:
    """The contents of a zone with changes not yet made."""

    def __init__(self, version: dns.btreezone.ImmutableVersion) -> None:
        """Start from a version, unchanged."""
        self._version = version
        self._nodes: dict[dns.name.Name, dict[TypeKey, dns.rdataset.Rdataset]] = {}
        self._originals: dict[dns.name.Name, dict[TypeKey, dns.rdataset.Rdataset]] = {}

    def rrsets(self, name: dns.name.Name) -> Mapping[TypeKey, dns.rdataset.Rdataset]:
        """The RRsets at a name; empty when the name holds none. Read-only for the caller."""
        node = self._nodes.get(name)
        return self._original(name) if node is None else node

    def get(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rdataset.Rdataset | None:
        """The RRset of a type at a name."""
        return self.rrsets(name).get((rdtype, dns.rdatatype.NONE))

    def exists(self, name: dns.name.Name) -> bool:
        """Whether a name holds records or has a name below it that does; costs what the draft has touched."""
        if self.rrsets(name) or any(node and touched.is_subdomain(name) for touched, node in self._nodes.items()):
            return True
        cursor = cast("dns.btree.BTreeDict[dns.name.Name, dns.node.Node]", self._version.nodes).cursor()
        cursor.seek(name)
        while (element := cursor.next()) is not None and element.key().is_subdomain(name):
            if self.rrsets(element.key()):
                return True
        return False

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        """Add one record, unless an equal one is there, which stays as it is; its TTL becomes that of the whole RRset.

        In a type that has one record only (CNAME, SOA, DNAME) it takes the place of whatever is there. Records that
        differ in the case of names are equal.
        """
        rdataset = self._own(name, (rdata.rdtype, rdata.covers()))
        if rdata not in rdataset:
            if dns.rdatatype.is_singleton(rdata.rdtype):
                rdataset.clear()
            rdataset.add(rdata)
        rdataset.ttl = ttl

    def delete(self, name: dns.name.Name, rdata: dns.rdata.Rdata) -> None:
        """Delete one record, if it is there."""
        key = (rdata.rdtype, rdata.covers())
        current = self.rrsets(name).get(key)
        if current is None or rdata not in current:
            return
        rdataset = self._own(name, key)
        rdataset.discard(rdata)
        if not rdataset:
            del self._nodes[name][key]

    def delete_rrset(self, name: dns.name.Name, key: TypeKey) -> None:
        """Delete a whole RRset, if it is there."""
        if key in self.rrsets(name):
            del self._node(name)[key]

    def changes(self) -> tuple[Change, ...]:
        """Every RRset that differs from the version that the draft was made from; TTLs and the case of names count."""
        return tuple(self._compare())

    def _compare(self) -> Iterator[Change]:
        for name, node in self._nodes.items():
            original = self._original(name)
            for key in original.keys() - node.keys():
                yield Change(name, *key, None)
            for key, rdataset in node.items():
                before = original.get(key)
                if rdataset is not before and (before is None or not _identical(before, rdataset)):
                    yield Change(name, *key, rdataset)

    def _original(self, name: dns.name.Name) -> dict[TypeKey, dns.rdataset.Rdataset]:
        # Kept, because a look into a large zone costs more than all else that is done with a record.
        original = self._originals.get(name)
        if original is None:
            node = self._version.get_node(name)
            original = {(rdataset.rdtype, rdataset.covers): rdataset for rdataset in node} if node else {}
            self._originals[name] = original
        return original

    def _node(self, name: dns.name.Name) -> dict[TypeKey, dns.rdataset.Rdataset]:
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = dict(self._original(name))
        return node

    def _own(self, name: dns.name.Name, key: TypeKey) -> dns.rdataset.Rdataset:
        """An RRset that may be written to: copied once, when it is first touched."""
        node = self._node(name)
        current = node.get(key)
        if current is not None and not isinstance(current, dns.rdataset.ImmutableRdataset):
            return current
        copy = dns.rdataset.Rdataset(dns.rdataclass.IN, *key)
        if current is not None:
            copy.update(current)
            copy.ttl = current.ttl
        node[key] = copy
        return copy


def _identical(before: dns.rdataset.Rdataset, after: dns.rdataset.Rdataset) -> bool:
    return (
        before.ttl == after.ttl
        and len(before) == len(after)
        and {rdata.to_wire() for rdata in before} == {rdata.to_wire() for rdata in after}
    )
