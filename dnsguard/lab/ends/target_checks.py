"""What BIND checks of a zone before it takes an UPDATE: MX and apex NS records must point at addresses.
Only what an update adds is checked, except for the apex NS RRset, which is checked with every update.
"""

from collections.abc import Iterator, Mapping

from dnsguard.core.names import is_within, name_at, names_above
from dnsguard.core.records import Key, Records


def dangling(zone: str, before: Mapping[Key, Records], after: Mapping[Key, Records]) -> Key | None:
    """Return an RRset for which BIND refuses the update that changes a zone like this; None if it takes it."""
    for key, records in after.items():
        if key.type == "MX" and records != (known := before.get(key)):
            old = known.canonical if known is not None and known.ttl == records.ttl else ()
            targets = [name_at(rdata, 2) for rdata in records.canonical if rdata not in old]
        elif key == (zone, "NS"):
            targets = [name_at(rdata, 0) for rdata in records.canonical]
        else:
            continue
        if any(name is not None and is_within(name, zone) and not _is_usable(zone, after, name) for name in targets):
            return key
    return None


def _is_usable(zone: str, contents: Mapping[Key, Records], name: str) -> bool:
    above = [each for each in names_above(name, zone) if each != zone]
    if any(Key(each, "NS") in contents for each in (*above, *((name,) if name != zone else ()))):
        return True
    if any(Key(each, "DNAME") in contents for each in above):
        return False
    if any(key.name == name or key.name.endswith(f".{name}") for key in contents):
        return _has_address(contents, name)
    return any(_has_address(contents, wildcard) for wildcard in _wildcards(zone, contents, above))


def _wildcards(zone: str, contents: Mapping[Key, Records], above: list[str]) -> Iterator[str]:
    """Yield the wildcard at the closest encloser (RFC 4592 section 3.3.1)."""
    for each in (*above, zone):
        if each == zone or any(key.name == each or key.name.endswith(f".{each}") for key in contents):
            yield f"*.{each}"
            return


def _has_address(contents: Mapping[Key, Records], name: str) -> bool:
    return Key(name, "A") in contents or Key(name, "AAAA") in contents
