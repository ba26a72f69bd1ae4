"""UPDATE messages and questions in wire format (RFC 2136, RFC 1035), built by hand because it is ten times
faster than building objects first. The message id is left 0 and the signature to `tsig`. Nothing here sends
anything, and no prerequisite is ever dropped silently.
"""

from collections.abc import Callable
from struct import pack, pack_into

from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
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
ANY = 255
AXFR = 252

_UPDATE_FLAGS = 5 << 11
_HEADER_OCTETS = 12
_POINTER = 0xC000
_POINTED_MAX = 0x3FFF
_APEX = (_POINTER | _HEADER_OCTETS).to_bytes(2, "big")
_SOA_IN = pack("!HH", 6, 1)
_ANY_ANY = pack("!HHIH", ANY, 255, 0, 0)
_ANY_NONE = pack("!HHIH", ANY, 254, 0, 0)


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
        match update:
            case DeleteRRset(key):
                out += owner(key.name)
                out += pack("!HHIH", type_code(key.type), 255, 0, 0)
                updates += 1
            case AddRecords(key, records):
                updates += _put_each(
                    out, owner, key.name, pack("!HHI", type_code(key.type), 1, records.ttl), records.rdatas
                )
            case DeleteRecords(key, rdatas):
                updates += _put_each(out, owner, key.name, pack("!HHI", type_code(key.type), 254, 0), rdatas)
    if len(out) > MESSAGE_OCTETS_MAX:
        raise MessageTooLarge(len(out))
    pack_into("!HHHHHH", out, 0, 0, _UPDATE_FLAGS, 1, prerequisites, updates, 0)
    return bytes(out)


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
            return _put_each(out, owner, key.name, pack("!HHI", type_code(key.type), 1, 0), rdatas)
        case RRsetExists(key):
            out += owner(key.name)
            out += pack("!HHIH", type_code(key.type), 255, 0, 0)
        case RRsetAbsent(key):
            out += owner(key.name)
            out += pack("!HHIH", type_code(key.type), 254, 0, 0)
        case NameInUse(name):
            out += owner(name)
            out += _ANY_ANY
        case NameNotInUse(name):
            out += owner(name)
            out += _ANY_NONE
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
