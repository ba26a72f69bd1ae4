"""UPDATE messages as values (RFC 2136): what must hold, what then changes, and how a server answers.
Deciding what to send happens with these; only `wire` turns them into octets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsguard.core.names import name_wire
from dnsguard.core.records import Key, Records

RCODES_ABOUT_CONTENTS = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN", "FORMERR", "SERVFAIL"})
"""Answers to prerequisites that may be about one name or RRset among several; others are about the zone or the key."""
_RR_HEADER_OCTETS = 10  # type, class, TTL, rdata length


@dataclass(frozen=True, slots=True)
class RRsetIs:
    """The RRset exists and holds exactly these rdata; TTLs are not compared (RFC 2136 section 2.4.2)."""

    key: Key
    rdatas: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RRsetExists:
    """The RRset exists, whatever it holds (RFC 2136 section 2.4.1)."""

    key: Key


@dataclass(frozen=True, slots=True)
class RRsetAbsent:
    """The RRset does not exist (RFC 2136 section 2.4.3)."""

    key: Key


@dataclass(frozen=True, slots=True)
class NameInUse:
    """At least one RRset exists at the name (RFC 2136 section 2.4.4)."""

    name: str


@dataclass(frozen=True, slots=True)
class NameNotInUse:
    """No RRset exists at the name (RFC 2136 section 2.4.5)."""

    name: str


Prerequisite = RRsetIs | RRsetExists | RRsetAbsent | NameInUse | NameNotInUse


@dataclass(frozen=True, slots=True)
class AddRecords:
    """Add records to an RRset (RFC 2136 section 2.5.1)."""

    key: Key
    records: Records


@dataclass(frozen=True, slots=True)
class DeleteRRset:
    """Delete an RRset (RFC 2136 section 2.5.2)."""

    key: Key


@dataclass(frozen=True, slots=True)
class DeleteRecords:
    """Delete single records from an RRset (RFC 2136 section 2.5.4)."""

    key: Key
    rdatas: tuple[bytes, ...]


Update = AddRecords | DeleteRRset | DeleteRecords


@dataclass(frozen=True, slots=True)
class Message:
    """One UPDATE: the server applies all updates in order if all prerequisites hold, else nothing."""

    zone: str
    prerequisites: tuple[Prerequisite, ...]
    updates: tuple[Update, ...]


def octets_of(part: Prerequisite | Update) -> int:
    """Bound from above what a part takes in wire format, uncompressed."""
    match part:
        case NameInUse(name) | NameNotInUse(name):
            return len(name_wire(name)) + _RR_HEADER_OCTETS
        case RRsetIs(key, rdatas) | DeleteRecords(key, rdatas):
            return sum(len(name_wire(key.name)) + _RR_HEADER_OCTETS + len(rdata) for rdata in rdatas)
        case AddRecords(key, records):
            return sum(len(name_wire(key.name)) + _RR_HEADER_OCTETS + len(rdata) for rdata in records.rdatas)
        case RRsetExists(key) | RRsetAbsent(key) | DeleteRRset(key):
            return len(name_wire(key.name)) + _RR_HEADER_OCTETS


@dataclass(frozen=True, slots=True)
class Applied:
    """The server took all of the message."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server took nothing of the message; ``rcode`` is its word, such as NXRRSET or SERVFAIL."""

    rcode: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell yet whether the message was taken; only observing settles it.

    ``rcode`` is the word of an answer that nobody signed, empty if there was none: BIND answers malformed rdata
    with an unsigned FORMERR. It proves nothing; it only says where to look.
    """

    reason: str
    rcode: str = ""


Outcome = Applied | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The server gave no usable answer to a question; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class NamesRead:
    """What exists at some names. ``unread`` has the names that could not be read, each with the reason for people."""

    rrsets: Mapping[Key, Records]
    unread: Mapping[str, str] = field(default_factory=dict)
