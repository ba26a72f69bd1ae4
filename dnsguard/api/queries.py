"""The query's parameters, each read strictly into a value. What cannot be read is 400, with the way to write it."""

import re

from dnsguard.api.documents import GENERATION_MAX
from dnsguard.api.problems import malformed
from dnsguard.api.visit import Visit
from dnsguard.core.names import NameRefused, parse_name
from dnsguard.core.records import Key, RecordRefused, parse_type

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def number(visit: Visit, name: str) -> int | None:
    """Return a parameter that is a whole number from 0 to 2**63-1; None if it is absent."""
    text = visit.request.query.get(name)
    return None if text is None else parse_number(text, name)


def parse_number(text: str, name: str) -> int:
    """Read a whole number from 0 to 2**63-1."""
    if _NUMBER.fullmatch(text) is None or int(text) > GENERATION_MAX:
        raise malformed(f"expected a whole number for {name}, such as 41; found {text[:40]!r}")
    return int(text)


def limit(visit: Visit) -> int:
    """Return how many entries a page may have."""
    most = visit.room.limits.page_max
    asked = number(visit, "limit")
    if asked is None:
        return min(100, most)
    if not 1 <= asked <= most:
        raise malformed(f"expected limit from 1 to {most}, found {asked}")
    return asked


def flag(visit: Visit, name: str) -> bool:
    """Return a parameter that is true or false; absent is false."""
    text = visit.request.query.get(name, "false")
    if text not in {"true", "false"}:
        raise malformed(f"expected {name}=true or {name}=false, found {text[:40]!r}")
    return text == "true"


def owner_name(visit: Visit) -> str | None:
    """Return the name to filter by, relative to the zone or absolute."""
    text = visit.request.query.get("name")
    return None if text is None else _name(text, visit.zone)


def record_type(visit: Visit) -> str | None:
    """Return the type to filter by."""
    text = visit.request.query.get("type")
    return None if text is None else _type(text)


def after(visit: Visit) -> Key | None:
    """Return the RRset after which a page begins, written as "NAME TYPE"."""
    text = visit.request.query.get("after")
    if text is None:
        return None
    name, _, rdtype = text.rpartition(" ")
    return Key(_name(name, visit.zone), _type(rdtype))


def _name(text: str, zone: str) -> str:
    try:
        return parse_name(text, zone)
    except NameRefused as error:
        raise malformed(str(error)) from None


def _type(text: str) -> str:
    try:
        return parse_type(text)
    except RecordRefused as error:
        raise malformed(str(error)) from None
