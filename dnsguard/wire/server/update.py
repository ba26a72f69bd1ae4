"""RFC 2136, sections 3.1 to 3.4: what a zone makes of an UPDATE message.

A pure function from a message and an immutable zone to a verdict: the response code, and every RRset that
would differ. All or nothing: a verdict other than NOERROR has no changes. Who may update a zone is the
server's question (section 3.3), asked between the zone section and the prerequisites.
Where the RFC leaves a choice, this does as BIND 9.18: a new record's TTL counts for its whole RRset; DS at the apex
and NS or DNAME at a wildcard are ignored; DS without a delegation is taken away; an update that leaves an apex NS
inside the zone without an address is refused; a serial of zero is skipped. Unlike BIND, prerequisites are checked
before the update section is scanned, as the RFC says.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import dns.name
import dns.node
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.SOA
import dns.serial

from dnsguard.wire.server.draft import Change, Draft
from dnsguard.wire.server.message import Question, Record, Request
from dnsguard.wire.server.zone import Version

_ANY = dns.rdatatype.ANY
_DS_KEY = (dns.rdatatype.DS, dns.rdatatype.NONE)
_SIGNER_TYPES = (dns.rdatatype.NSEC, dns.rdatatype.NSEC3, dns.rdatatype.RRSIG)
_OBSOLETE_TYPES = (dns.rdatatype.MD, dns.rdatatype.MF)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to an UPDATE, and what it changes (nothing unless the answer is NOERROR)."""

    rcode: dns.rcode.Rcode
    changes: tuple[Change, ...] = ()


class _Refused(Exception):
    """An update that is answered with another code than NOERROR; caught where the verdict is made."""

    def __init__(self, rcode: dns.rcode.Rcode) -> None:
        super().__init__(rcode.name)
        self.rcode = rcode


def zone_of(request: Request) -> Question | None:
    """The zone section's one entry (section 3.1.1); None for a section that is malformed: FORMERR."""
    if len(request.questions) != 1 or request.questions[0].rdtype != dns.rdatatype.SOA:
        return None
    return request.questions[0]


def judge(version: Version, request: Request) -> Verdict:
    """Check a message's prerequisites, scan its updates, and work them out on the zone."""
    origin = version.origin or dns.name.root
    draft = Draft(version)
    try:
        _check_prerequisites(draft, origin, request.prerequisites)
        fault = scan_fault(origin, request.updates)
        if fault is not None:
            return Verdict(fault)
        serial_given = _apply(draft, origin, request.updates)
        changes = draft.changes()
        if not changes:
            return Verdict(dns.rcode.NOERROR)
        _check_servers(draft, origin)
    except _Refused as refused:
        return Verdict(refused.rcode)
    if not serial_given:
        _raise_serial(draft, origin)
    _drop_orphaned_ds(draft, changes)
    return Verdict(dns.rcode.NOERROR, draft.changes())


def _check_prerequisites(draft: Draft, origin: dns.name.Name, records: Iterable[Record]) -> None:
    """Section 3.2.5, in the order of its pseudocode."""
    expected: dict[tuple[dns.name.Name, dns.rdatatype.RdataType, dns.rdatatype.RdataType], set[dns.rdata.Rdata]]
    expected = {}
    for record in records:
        if record.ttl != 0:
            raise _Refused(dns.rcode.FORMERR)
        if not record.name.is_subdomain(origin):
            raise _Refused(dns.rcode.NOTZONE)
        if record.rdclass == dns.rdataclass.ANY:
            if not _exists(draft, record):
                raise _Refused(dns.rcode.NXDOMAIN if record.rdtype == _ANY else dns.rcode.NXRRSET)
        elif record.rdclass == dns.rdataclass.NONE:
            if _exists(draft, record):
                raise _Refused(dns.rcode.YXDOMAIN if record.rdtype == _ANY else dns.rcode.YXRRSET)
        elif record.rdclass == dns.rdataclass.IN and record.rdata is not None:
            key = (record.name, record.rdtype, record.rdata.covers())
            expected.setdefault(key, set()).add(record.rdata)
        else:
            raise _Refused(dns.rcode.FORMERR)
    for (name, rdtype, covers), rdatas in expected.items():
        found = draft.rrsets(name).get((rdtype, covers))
        if found is None or set(found) != rdatas:
            raise _Refused(dns.rcode.NXRRSET)


def _exists(draft: Draft, record: Record) -> bool:
    rrsets = draft.rrsets(record.name)
    if record.rdtype == _ANY:
        return bool(rrsets)
    return any(rdtype == record.rdtype for rdtype, _ in rrsets)


def scan_fault(origin: dns.name.Name, records: Iterable[Record]) -> dns.rcode.Rcode | None:
    """Section 3.4.1: how a message with a misplaced or malformed update is refused, before any is made."""
    for record in records:
        if not record.name.is_subdomain(origin):
            return dns.rcode.NOTZONE
        meta = dns.rdatatype.is_metatype(record.rdtype)
        if record.rdclass == dns.rdataclass.IN:
            malformed = meta or record.rdtype == dns.rdatatype.TYPE0
        elif record.rdclass == dns.rdataclass.ANY:
            malformed = record.ttl != 0 or (meta and record.rdtype != _ANY)
        elif record.rdclass == dns.rdataclass.NONE:
            malformed = record.ttl != 0 or meta or record.rdtype == dns.rdatatype.TYPE0
        else:
            malformed = True
        if malformed:
            return dns.rcode.FORMERR
        if record.rdtype in _SIGNER_TYPES and (record.rdtype, record.name) != (dns.rdatatype.RRSIG, origin):
            return dns.rcode.REFUSED
    return None


def _apply(draft: Draft, origin: dns.name.Name, records: Iterable[Record]) -> bool:
    """Section 3.4.2: the updates in their order; True when one of them set the serial itself."""
    serial_given = False
    for record in records:
        at_apex = record.name == origin
        if record.rdclass == dns.rdataclass.IN and record.rdata is not None:
            if _may_add(draft, origin, record):
                serial_given = serial_given or record.rdtype == dns.rdatatype.SOA
                draft.add(record.name, record.ttl, record.rdata)
        elif record.rdclass == dns.rdataclass.ANY:
            for key in tuple(draft.rrsets(record.name)):
                kept = at_apex and key[0] in (dns.rdatatype.SOA, dns.rdatatype.NS)
                if not kept and record.rdtype in (_ANY, key[0]):
                    draft.delete_rrset(record.name, key)
        elif record.rdata is not None and not (at_apex and _is_last(draft, record)):
            draft.delete(record.name, record.rdata)
    return serial_given


def _is_last(draft: Draft, record: Record) -> bool:
    """Whether deleting a record would take the apex its SOA or its last NS (section 3.4.2.4)."""
    if record.rdtype == dns.rdatatype.SOA:
        return True
    if record.rdtype != dns.rdatatype.NS:
        return False
    servers = draft.get(record.name, dns.rdatatype.NS)
    return servers is not None and len(servers) == 1


def _may_add(draft: Draft, origin: dns.name.Name, record: Record) -> bool:
    """Whether an added record counts, or is passed over in silence (section 3.4.2.2)."""
    rdtype = record.rdtype
    if rdtype in _OBSOLETE_TYPES or (rdtype == dns.rdatatype.DS and record.name == origin):
        return False
    if rdtype in (dns.rdatatype.NS, dns.rdatatype.DNAME) and record.name.is_wild():
        return False
    kind = dns.node.NodeKind.classify(rdtype, dns.rdatatype.NONE)
    kinds = {dns.node.NodeKind.classify(*key) for key in draft.rrsets(record.name)}
    if kind == dns.node.NodeKind.CNAME and dns.node.NodeKind.REGULAR in kinds:
        return False
    if kind == dns.node.NodeKind.REGULAR and dns.node.NodeKind.CNAME in kinds:
        return False
    if rdtype != dns.rdatatype.SOA:
        return True
    current = draft.get(record.name, dns.rdatatype.SOA)
    # Serials 2^31 apart are neither greater nor less (RFC 1982 section 3.2): such a SOA is passed over too.
    return current is not None and _serial(record.rdata) > _serial(current[0])


def _serial(soa: dns.rdata.Rdata | None) -> dns.serial.Serial:
    if not isinstance(soa, dns.rdtypes.ANY.SOA.SOA):
        raise TypeError("expected SOA data")
    return dns.serial.Serial(soa.serial)


def _check_servers(draft: Draft, origin: dns.name.Name) -> None:
    """Refuse what would leave an apex NS inside the zone without an address (BIND's integrity check)."""
    for server in draft.get(origin, dns.rdatatype.NS) or ():
        if not isinstance(server, dns.rdtypes.ANY.NS.NS) or not server.target.is_subdomain(origin):
            continue
        if _is_delegated(draft, origin, server.target):
            continue
        types = {rdtype for rdtype, _ in draft.rrsets(_answering(draft, origin, server.target))}
        if not types & {dns.rdatatype.A, dns.rdatatype.AAAA}:
            raise _Refused(dns.rcode.REFUSED)


def _is_delegated(draft: Draft, origin: dns.name.Name, name: dns.name.Name) -> bool:
    while name != origin:
        if draft.get(name, dns.rdatatype.NS) is not None:
            return True
        name = name.parent()
    return False


def _answering(draft: Draft, origin: dns.name.Name, name: dns.name.Name) -> dns.name.Name:
    """The name whose records answer for a name: itself, or the wildcard at its closest encloser (RFC 4592)."""
    if draft.exists(name):
        return name
    while name != origin and not draft.exists(name):
        name = name.parent()
    return dns.name.Name((b"*", *name.labels))


def _raise_serial(draft: Draft, origin: dns.name.Name) -> None:
    current = draft.get(origin, dns.rdatatype.SOA)
    if current is None:
        raise LookupError(f"expected a SOA record at {origin}")
    serial = _serial(current[0]).value + 1
    # RFC 1982 arithmetic, and past zero: some secondaries take a serial of zero for none at all.
    draft.add(origin, current.ttl, current[0].replace(serial=serial & 0xFFFFFFFF or 1))


def _drop_orphaned_ds(draft: Draft, changes: Iterable[Change]) -> None:
    """Take DS away where no delegation is left or was ever made: it would say that a child zone is signed."""
    for change in changes:
        if change.rdtype in (dns.rdatatype.DS, dns.rdatatype.NS) and draft.get(change.name, dns.rdatatype.NS) is None:
            draft.delete_rrset(change.name, _DS_KEY)
