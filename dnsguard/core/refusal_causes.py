"""Why a primary refused a message: what name servers are known to refuse, checked against what the message carried.
Pure. Nothing is published to find out. How each rule was found, server by server, is in docs/name-servers.md.

| rule | on | answer |
|---|---|---|
| the target of an MX in the zone has no address, or is an alias | BIND | REFUSED |
| the target of an apex NS in the zone has no address, or is an alias | BIND | REFUSED |
| the owner of A, AAAA, MX or WKS is no host name (check-names) | BIND | REFUSED |
| the target of MX, NS, SRV, AFSDB, RT or SVCB is no host name (check-names) | BIND | REFUSED |
| CDS or CDNSKEY at the apex without their DNSKEY; NXT or SIG | BIND | REFUSED |
| a DNAME above existing names, or a name below a DNAME | Knot | REFUSED |
| more than 100 records in an RRset, or more than 100 types at a name | BIND | SERVFAIL |
| a DNSKEY at the apex that cannot sign | BIND | SERVFAIL |
| a NAPTR whose regular expression is wrong | BIND | FORMERR |
| a type that the server does not know | PowerDNS | FORMERR |
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dns.exception
import dns.name

from dnsguard.core.message import NameInUse, NameNotInUse, Prerequisite, RRsetAbsent, RRsetExists, RRsetIs
from dnsguard.core.names import is_within
from dnsguard.core.plan import Absence, Change
from dnsguard.core.records import Key, Records, rdata_text
from dnsguard.core.refusal import Suspect

PREREQUISITE_RCODES = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})
SUSPECTS_MAX = 20
"""So many are named; the plan itself shows the others."""
NAMES_READ_MAX = 400
RECORDS_MAX = TYPES_MAX = 100

_TARGET_AT = {"MX": 2, "AFSDB": 2, "RT": 2, "SVCB": 2, "SRV": 6, "NS": 0}
"""Where the target's name begins in the rdata of types whose targets are host names."""
_HOST_TYPES = frozenset({"A", "AAAA", "MX", "WKS"})
_HOST_LABEL = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_NOT_EVERYWHERE = re.compile(
    r"AMTRELAY|AVC|BRID|DSYNC|GPOS|HHIT|HIP|ISDN|NINFO|NSAP|NSAP-PTR|NULL|PX|RESINFO|RT|WALLET|WKS|X25|TYPE\d+"
)
"""Types that BIND and Knot store, and PowerDNS 4.7 does not know."""
_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Attempt:
    """Facts on a refused message: what it carried, and what was read at the names that it depends on.

    ``changes`` is all that the message carried; of those, ``blamed`` is the generation that is rejected.
    """

    zone: str
    rcode: str
    changes: tuple[Change, ...]
    blamed: int
    prerequisites: tuple[Prerequisite, ...]
    wire: Mapping[Key, Records]
    read: frozenset[str]

    @property
    def after(self) -> dict[Key, Records]:
        """What would stand at the names that were read, and at those of the changes, if the message were applied."""
        found = dict(self.wire)
        for change in self.changes:
            if change.wanted is Absence.RETIRED:
                found.pop(change.key, None)
            elif isinstance(change.wanted, Records):
                found[change.key] = change.wanted
        return found


def names_to_read(
    zone: str, changes: Sequence[Change], prerequisites: Sequence[Prerequisite], rcode: str
) -> tuple[str, ...]:
    """Return the names whose contents decide why a message was refused, up to a bound; none if no name does."""
    if rcode in PREREQUISITE_RCODES:
        return tuple(dict.fromkeys(map(_name_of, prerequisites)))[:NAMES_READ_MAX]
    if rcode != "REFUSED":
        return ()
    found: dict[str, None] = {}
    for change in changes:
        for target in _address_targets(zone, change):
            above = _above(target, zone)
            found |= dict.fromkeys((target, *above, *(f"*.{name}" for name in above)))
    for change in changes:
        if isinstance(change.wanted, Records):
            found |= dict.fromkeys(_above(change.key.name, zone))
    return tuple(found)[:NAMES_READ_MAX]


def suspects_of(attempt: Attempt) -> tuple[Suspect, ...]:
    """Return the RRsets that a message was probably refused for, the likeliest first.

    If something of it is known to be refused so, only that is returned.
    """
    return _certain(attempt) or _others(attempt)


def explained(attempt: Attempt, detail: str) -> str:
    """Say for people why a message was refused; ``detail`` is what the rcode alone may mean."""
    known = _certain(attempt)
    said = f"the primary answered {attempt.rcode}" + (f" ({detail})" if detail and not known else "")
    suspects = known or _others(attempt)
    if not suspects:
        return said
    shown = "; ".join(str(suspect) for suspect in suspects[:3])
    more = f"; and {len(suspects) - 3} more" if len(suspects) > 3 else ""
    return f"{said}, {'probably because of' if known else 'suspects:'} {shown}{more}"


def _blamed(attempt: Attempt) -> list[Change]:
    blamed = [change for change in attempt.changes if change.generation == attempt.blamed]
    return [change for change in blamed if isinstance(change.wanted, Records)] or blamed


def _certain(attempt: Attempt) -> tuple[Suspect, ...]:
    """Return what servers are known to refuse with just this rcode."""
    if attempt.rcode in PREREQUISITE_RCODES:
        return tuple(_unmet(attempt))[:SUSPECTS_MAX]
    causes = [cause for change in _blamed(attempt) for cause in _causes(attempt, change)]
    return tuple(Suspect(cause.key, cause.reason) for cause in causes if cause.rcode == attempt.rcode)[:SUSPECTS_MAX]


def _others(attempt: Attempt) -> tuple[Suspect, ...]:
    """Return all that the message had of the blamed generation: what is refused otherwise first, then what is rare."""
    if attempt.rcode in PREREQUISITE_RCODES:
        return ()
    blamed = _blamed(attempt)
    causes = [cause for change in blamed for cause in _causes(attempt, change)]
    unlikely = {cause.key: Suspect(cause.key, cause.reason) for cause in reversed(causes)}
    count = len(blamed)
    said = "the only RRset in the refused message" if count == 1 else f"one of {count} RRsets in the refused message"
    others = [Suspect(change.key, said) for change in sorted(blamed, key=_weight) if change.key not in unlikely]
    return (*unlikely.values(), *others)[:SUSPECTS_MAX]


@dataclass(frozen=True, slots=True)
class _Cause:
    """Something that a server is known to refuse, and with which rcode."""

    key: Key
    reason: str
    rcode: str


def _causes(attempt: Attempt, change: Change) -> Iterator[_Cause]:
    """Yield what is known against one RRset."""
    key, records = change.key, change.wanted
    if not isinstance(records, Records):
        return
    after = attempt.after
    for target in _address_targets(attempt.zone, change):
        if (why := _without_address(attempt, after, target)) is not None:
            yield _Cause(key, f"its target {target} {why}", "REFUSED")
    owner = key.name.removeprefix("*.")
    if key.type in _HOST_TYPES and not _is_host_name(owner):
        yield _Cause(key, f"{owner} is no host name (letters, digits and hyphens), as check-names wants", "REFUSED")
    for target in _targets(key.type, records):
        if not _is_host_name(target):
            why = f"its target {target} is no host name (letters, digits and hyphens), as check-names wants"
            yield _Cause(key, why, "REFUSED")
    if key.name == attempt.zone and key.type in {"CDS", "CDNSKEY"}:
        yield _Cause(key, "BIND takes it only together with the DNSKEY that it is made from", "REFUSED")
    if key.type in {"NXT", "SIG"}:
        yield _Cause(key, f"{key.type} is obsolete, and not every server takes it", "REFUSED")
        yield _Cause(key, f"{key.type} is obsolete, and not every server takes it", "FORMERR")
    above = next((name for name in _above(key.name, attempt.zone) if Key(name, "DNAME") in after), None)
    if above is not None:
        yield _Cause(key, f"it stands below the DNAME at {above}", "REFUSED")
    if key.type == "DNAME":
        yield _Cause(key, "Knot takes no DNAME above names that exist", "REFUSED")
    if len(records.rdatas) > RECORDS_MAX:
        why = f"it has {len(records.rdatas)} records, and BIND takes {RECORDS_MAX} (max-records-per-type)"
        yield _Cause(key, why, "SERVFAIL")
    types = Counter(name for name, _ in after)[key.name]
    if types > TYPES_MAX:
        yield _Cause(key, f"its name has {types} types, and BIND takes {TYPES_MAX} (max-types-per-name)", "SERVFAIL")
    if key == (attempt.zone, "DNSKEY"):
        yield _Cause(key, "the zone cannot be signed with it", "SERVFAIL")
    if key.type == "NAPTR" and (wrong := next((r for r in records.rdatas if not _is_good_naptr(r)), None)) is not None:
        yield _Cause(key, f"the expression is wrong in {_shown(key.type, wrong)}", "FORMERR")
    if _NOT_EVERYWHERE.fullmatch(key.type):
        yield _Cause(key, f"not every server takes {key.type} (PowerDNS takes only those that it knows)", "FORMERR")


def _without_address(attempt: Attempt, after: Mapping[Key, Records], target: str) -> str | None:
    """Say why a name in the zone gives no address, None if it gives one, or nobody has looked."""
    types = {rdtype for name, rdtype in after if name == target}
    if "CNAME" in types:
        return "is an alias (CNAME)"
    if types & {"A", "AAAA"}:
        return None
    above = _above(target, attempt.zone)
    if any(Key(name, "NS") in after for name in (target, *above) if name != attempt.zone):
        return None
    if target not in attempt.read:
        return None
    if not types:
        for name in above:
            if any(Key(f"*.{name}", rdtype) in after for rdtype in ("A", "AAAA")):
                return None
            if any(found == name for found, _ in after):
                break
    return "has no A or AAAA record in the zone"


def _unmet(attempt: Attempt) -> Iterator[Suspect]:
    """Yield the prerequisites that do not hold by what was read, with what was expected and what stands there."""
    names = {name for name, _ in attempt.wire}
    for prerequisite in attempt.prerequisites:
        if _name_of(prerequisite) not in attempt.read:
            continue
        match prerequisite:
            case RRsetIs(key, rdatas):
                found = attempt.wire.get(key)
                if found is None or set(found.rdatas) != set(rdatas):
                    yield Suspect(key, f"expected {_listed(key, rdatas)} on the server, found {_listed(key, found)}")
            case RRsetExists(key) if key not in attempt.wire:
                yield Suspect(key, "expected it on the server, found nothing")
            case RRsetAbsent(key) if key in attempt.wire:
                found = attempt.wire[key]
                yield Suspect(key, f"expected nothing on the server, found {_listed(key, found)}")
            case NameInUse(name) if name not in names:
                yield Suspect(Key(name, "ANY"), "expected records at this name on the server, found none")
            case NameNotInUse(name) if name in names:
                held = ", ".join(sorted(rdtype for found_at, rdtype in attempt.wire if found_at == name))
                yield Suspect(Key(name, "ANY"), f"expected nothing at this name on the server, found {held}")
            case _:
                pass


def _listed(key: Key, held: Records | Sequence[bytes] | None) -> str:
    rdatas = held.rdatas if isinstance(held, Records) else held
    if not rdatas:
        return "nothing"
    more = f" and {len(rdatas) - 1} more" if len(rdatas) > 1 else ""
    return _shown(key.type, rdatas[0]) + more


def _shown(rdtype: str, rdata: bytes) -> str:
    text = rdata_text(rdtype, rdata)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _weight(change: Change) -> tuple[int, int, Key]:
    """Order RRsets of which nothing is known: rarer types first, then those with more records."""
    count = len(change.wanted.rdatas) if isinstance(change.wanted, Records) else 0
    return (change.key.type in {"A", "AAAA", "TXT", "CNAME"}, -count, change.key)


def _name_of(prerequisite: Prerequisite) -> str:
    match prerequisite:
        case NameInUse(name) | NameNotInUse(name):
            return name
        case RRsetIs(key) | RRsetExists(key) | RRsetAbsent(key):
            return key.name


def _above(name: str, zone: str) -> tuple[str, ...]:
    """Return the names above a name of the zone, the nearest first, up to the apex."""
    found = []
    at, apex = dns.name.from_text(name), dns.name.from_text(zone)
    while at != apex and at.is_subdomain(apex):
        at = at.parent()
        found.append(at.to_text())
    return tuple(found)


def _targets(rdtype: str, records: Records) -> tuple[str, ...]:
    """Return the host names that records point at; left out are the root, which says "none", and what has no name."""
    found: dict[str, None] = {}
    for rdata in records.rdatas if rdtype in _TARGET_AT else ():
        try:
            name, _ = dns.name.from_wire(rdata, _TARGET_AT[rdtype])
        except (dns.exception.DNSException, IndexError):
            continue
        if name != dns.name.root:
            found[name.to_text().lower()] = None
    return tuple(found)


def _address_targets(zone: str, change: Change) -> tuple[str, ...]:
    """Return the names in the zone that must have an address: the targets of MX, and of the apex NS."""
    if not isinstance(change.wanted, Records) or not (change.key.type == "MX" or change.key == (zone, "NS")):
        return ()
    return tuple(target for target in _targets(change.key.type, change.wanted) if is_within(target, zone))


def _is_host_name(name: str) -> bool:
    labels = dns.name.from_text(name).labels[:-1]
    return all(_HOST_LABEL.fullmatch(label) for label in labels)


def _is_good_naptr(rdata: bytes) -> bool:
    """Tell whether the expression of a NAPTR has its three parts, and the groups that it refers to (RFC 3402)."""
    at, fields = 4, []
    for _ in range(3):
        octets = rdata[at] if at < len(rdata) else 0
        fields.append(rdata[at + 1 : at + 1 + octets])
        at += 1 + octets
    expression = fields[2]
    if not expression:
        return True
    parts = expression[1:].split(expression[:1])
    if len(parts) != 3:
        return False
    groups = len(re.findall(rb"(?<!\\)\(", parts[0]))
    used = [int(number) for number in re.findall(rb"\\([0-9])", parts[1])]
    return all(1 <= number <= groups for number in used)
