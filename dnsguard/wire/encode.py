"""UPDATE messages and questions in wire format (RFC 2136, RFC 1035), built by hand because it is ten times
faster than building objects first. The message id is left 0 and the signature to `tsig`. Nothing here sends
anything, and no prerequisite is ever dropped silently.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import pack, pack_into

from dnsguard.core.message import (
    AddRecords,
    DeleteRRset,
    Message,
    NameInUse,
    NameNotInUse,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
)
from dnsguard.core.names import is_within, name_wire
from dnsguard.core.records import type_code

MESSAGE_OCTETS_MAX = 65_535
"""What the length prefix of a message over TCP can say (RFC 1035 section 4.2.2)."""
AXFR = 252

_UPDATE_FLAGS = 5 << 11
_HEADER_OCTETS = 12
_POINTER = 0xC000
_POINTED_MAX = 0x3FFF
_APEX = (_POINTER | _HEADER_OCTETS).to_bytes(2, "big")
_SOA_IN = pack("!HH", 6, 1)
_IN_CLASS, _NONE_CLASS, _ANY_CLASS = 1, 254, 255


class MessageTooLarge(ValueError):
    """A message takes more octets than DNS over TCP can carry."""

    def __init__(self, octets: int) -> None:
        super().__init__(f"expected at most {MESSAGE_OCTETS_MAX} octets in a message, found {octets}")


class PrerequisiteEmpty(ValueError):
    """A prerequisite names no rdata: it would be left out, and with it a belief that must travel."""


def encode_question(name: str, rdtype: int) -> bytes:
    """Build a question in class IN; recursion is not desired."""
    return pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + name_wire(name) + pack("!HH", rdtype, 1)


def encode_update(message: Message) -> bytes:
    """Build an UPDATE (RFC 2136 section 2). Raises PrerequisiteEmpty."""
    out = bytearray(_HEADER_OCTETS)
    out += name_wire(message.zone) + _SOA_IN
    owner = _owners(message.zone, out)
    prerequisites = sum(_put_prerequisite(out, owner, prerequisite) for prerequisite in message.prerequisites)
    updates = 0
    for update in message.updates:
        key = update.key
        if isinstance(update, DeleteRRset):
            out += owner(key.name)
            out += _bare(key.type, _ANY_CLASS)
            updates += 1
        elif isinstance(update, AddRecords):
            records = update.records
            updates += _put_each(out, owner, key.name, _head(key.type, _IN_CLASS, records.ttl), records.rdatas)
        else:
            updates += _put_each(out, owner, key.name, _head(key.type, _NONE_CLASS, 0), update.rdatas)
    if len(out) > MESSAGE_OCTETS_MAX:
        raise MessageTooLarge(len(out))
    pack_into("!HHHHHH", out, 0, 0, _UPDATE_FLAGS, 1, prerequisites, updates, 0)
    return bytes(out)


@lru_cache(maxsize=512)
def _head(rdtype: str, rdclass: int, ttl: int) -> bytes:
    """Encode type, class and TTL."""
    return pack("!HHI", type_code(rdtype), rdclass, ttl)


@lru_cache(maxsize=512)
def _bare(rdtype: str, rdclass: int) -> bytes:
    """Encode type, class, a TTL of 0 and no rdata."""
    return _head(rdtype, rdclass, 0) + b"\0\0"


def _put_prerequisite(
    out: bytearray,
    owner: Callable[[str], bytes],
    prerequisite: RRsetIs | RRsetExists | RRsetAbsent | NameInUse | NameNotInUse,
) -> int:
    """Append a prerequisite (RFC 2136 section 2.4); return how many records it takes."""
    match prerequisite:
        case RRsetIs(key, rdatas):
            if not rdatas:
                raise PrerequisiteEmpty(f"expected rdata in the prerequisite on {key}, found none; say RRsetAbsent")
            return _put_each(out, owner, key.name, _head(key.type, _IN_CLASS, 0), rdatas)
        case RRsetExists(key):
            out += owner(key.name)
            out += _bare(key.type, _ANY_CLASS)
        case RRsetAbsent(key):
            out += owner(key.name)
            out += _bare(key.type, _NONE_CLASS)
        case NameInUse(name):
            out += owner(name)
            out += _bare("ANY", _ANY_CLASS)
        case NameNotInUse(name):
            out += owner(name)
            out += _bare("ANY", _NONE_CLASS)
    return 1


def _put_each(out: bytearray, owner: Callable[[str], bytes], name: str, fixed: bytes, rdatas: tuple[bytes, ...]) -> int:
    """Append one record for each rdata, with ``fixed`` as its type, class and TTL."""
    for rdata in rdatas:
        out += owner(name)
        out += fixed
        out += len(rdata).to_bytes(2, "big")
        out += rdata
    return len(rdatas)


def _owners(zone: str, out: bytearray) -> Callable[[str], bytes]:
    """Return a function that encodes an owner name which is appended to ``out`` next.

    Names are compressed against those before them and their parents (RFC 1035 section 4.1.4).
    """
    known = {".": b"\0"}
    if zone != ".":
        known[zone] = _APEX
    apex_octets = len(name_wire(zone))

    def owner(name: str) -> bytes:
        wire = known.get(name)
        if wire is not None:
            return wire
        label, _, parent = name.partition(".")
        tail = known.get(parent)
        if tail is not None and "\\" not in label:
            wire = bytes((len(label),)) + label.encode("ascii") + tail
        else:
            wire = name_wire(name)
            if zone != "." and is_within(name, zone):
                wire = wire[:-apex_octets] + _APEX
        at = len(out)
        known[name] = (_POINTER | at).to_bytes(2, "big") if at <= _POINTED_MAX else wire
        return wire

    return owner
