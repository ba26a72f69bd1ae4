"""What name servers do beside what an update says, while they answer NOERROR: records that go with others, and records
that are never stored. Pure. How this was found, server by server, is in docs/name-servers.md.

| update | effect | on |
|---|---|---|
| NS of a delegation removed | the DS RRset at its name goes, too | BIND |
| DS added where no NS RRset stands | ignored | BIND |
| NS, DS or DNAME added at a wildcard | ignored | BIND |
| DS added at the apex | ignored | BIND |
| CNAME added beside other data, or other data beside a CNAME | ignored | BIND, Knot |
| SOA or last NS of the apex removed | ignored | all |
| MD, MF or TYPE65534 added | ignored | BIND |
"""

from collections.abc import Iterable, Mapping

from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records

_COMPANIONS = {"NS": "DS", "DS": "NS"}
_NEVER_AT_WILDCARDS = frozenset({"NS", "DS", "DNAME"})
IGNORED_TYPES = frozenset({"MD", "MF", "TYPE65534"})
"""Types that BIND never stores by an update: obsolete ones, and its own note of how far its signing is."""


def companion(key: Key) -> Key | None:
    """Return the RRset at the same name that an RRset stands or falls with: the NS of a DS, the DS of an NS."""
    return Key(key.name, _COMPANIONS[key.type]) if key.type in _COMPANIONS else None


def companions(keys: Iterable[Key]) -> frozenset[Key]:
    """Return what stands or falls with some RRsets and is not among them."""
    given = frozenset(keys)
    return frozenset(other for key in given if (other := companion(key)) is not None) - given


def companions_in_question(changes: Mapping[Key, Wanted]) -> frozenset[Key]:
    """Return the RRsets that decide whether changes leave a DS without NS, and of which the changes say nothing.

    Those are the NS beside a DS that is set, and the DS beside an NS that is retired.
    """
    asked = set()
    for key, wanted in changes.items():
        needs = (key.type == "DS" and isinstance(wanted, Records)) or (key.type == "NS" and wanted is Absence.RETIRED)
        other = companion(key)
        if needs and other is not None and changes.get(other, Absence.UNCOVERED) is Absence.UNCOVERED:
            asked.add(other)
    return frozenset(asked)


def orphaned_ds(changes: Mapping[Key, Wanted], beside: Iterable[Key]) -> tuple[Key, ...]:
    """Return the DS RRsets that changes leave without the NS beside them.

    ``beside`` has what stands at the names of the changes; of what is among them the changes decide.
    """
    standing = {key for key in beside if changes.get(key, Absence.UNCOVERED) is Absence.UNCOVERED}
    standing |= {key for key, wanted in changes.items() if isinstance(wanted, Records)}
    found = []
    for name in sorted({key.name for key in changes}):
        ds, ns = Key(name, "DS"), Key(name, "NS")
        caused = isinstance(changes.get(ds), Records) or changes.get(ns) is Absence.RETIRED
        if caused and ds in standing and ns not in standing:
            found.append(ds)
    return tuple(found)


def never_stored(zone: str, key: Key) -> str | None:
    """Say why a server does not store an RRset that is added, None if nothing is known against it."""
    if key.type in IGNORED_TYPES:
        return f"servers do not store {key.type}"
    if key.name.startswith("*.") and key.type in _NEVER_AT_WILDCARDS:
        return f"a wildcard cannot have {key.type} records (RFC 4592 section 4)"
    if key == (zone, "DS"):
        return "the DS records of a zone belong to its parent zone (RFC 4035 section 2.4)"
    return None
