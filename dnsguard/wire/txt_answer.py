"""Reads one TXT RRset from an answer that nobody has authenticated, and nothing else of it.

The work is bounded before it begins: an answer longer than `OCTETS_MAX` is refused unread, every record is skipped by
its length, and only the owner names of TXT records are compared, label by label, with the one that was asked for. No
name is expanded and no object is built for a record. The costliest answer takes a few milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import error as struct_error
from struct import unpack_from

import dns.rcode

from dnsguard.wire.decode import Unreadable

OCTETS_MAX = 4_096
"""A fence and its name take at most 500 octets; the rest leaves room for NS records, glue and a signature."""
POINTERS_MAX = 16
"""Compression pointers followed in one name (RFC 1035 section 4.1.4); servers use one or two."""
_HEADER_OCTETS = 12
_TXT = 16
_POINTER = 0xC0


@dataclass(frozen=True, slots=True)
class TxtAnswer:
    """The TXT RRset at the name that was asked for; ``rdatas`` is sorted, and empty if there is none."""

    rcode: str
    authoritative: bool
    truncated: bool
    rdatas: tuple[bytes, ...]


def read_txt_answer(wire: bytes, name: bytes, rdclass: int = 1) -> TxtAnswer:
    """Read the TXT records at a name, in wire format and lower case, from an answer without its TSIG record.

    Raises Unreadable for an answer that is too long or malformed.
    """
    refuse_long_answer(len(wire))
    try:
        return _read(wire, name, rdclass)
    except (IndexError, struct_error):
        raise Unreadable("the answer is malformed; expected a well-formed DNS message") from None


def refuse_long_answer(octets: int) -> None:
    """Refuse an answer by its length alone, before it is received. Raises Unreadable."""
    if octets > OCTETS_MAX:
        raise Unreadable(f"the answer has {octets} octets; expected at most {OCTETS_MAX} for one TXT RRset")


def _read(wire: bytes, name: bytes, rdclass: int) -> TxtAnswer:
    flags, questions, answers, authorities, additionals = unpack_from("!HHHHH", wire, 2)
    at = _HEADER_OCTETS
    for _ in range(questions):
        at = _after_name(wire, at) + 4
    found = set()
    for number in range(answers + authorities + additionals):
        owner, fixed = at, _after_name(wire, at)
        rdtype, found_class, _, octets = unpack_from("!HHIH", wire, fixed)
        at = fixed + 10 + octets
        if at > len(wire):
            raise IndexError
        if number < answers and (rdtype, found_class) == (_TXT, rdclass) and _is_name(wire, owner, name):
            found.add(wire[fixed + 10 : at])
    if at != len(wire):
        raise IndexError
    rcode = dns.rcode.to_text(dns.rcode.Rcode(flags & 0x0F))
    return TxtAnswer(rcode, bool(flags & 0x0400), bool(flags & 0x0200), tuple(sorted(found)))


def _after_name(wire: bytes, at: int) -> int:
    """Return where a name ends, without following its compression pointer."""
    while length := wire[at]:
        if length >= _POINTER:
            return at + 2
        at += length + 1
    return at + 1


def _is_name(wire: bytes, at: int, name: bytes) -> bool:
    """Tell whether the name at an offset is the one that was asked for; it ends at the first label that differs."""
    compared, end, pointers = 0, at, 0
    while True:
        length = wire[at]
        if length >= _POINTER:
            target = unpack_from("!H", wire, at)[0] & 0x3FFF
            pointers += 1
            if target >= end or pointers > POINTERS_MAX:
                raise IndexError  # a pointer goes backwards only, or a name could be without an end
            at = end = target
        else:
            upto = compared + length + 1
            if wire[at : at + length + 1].lower() != name[compared:upto]:
                return False
            if not length:
                return upto == len(name)
            at, compared = at + length + 1, upto


def texts_of(rdata: bytes) -> Iterator[bytes]:
    """Yield the character strings of a TXT record (RFC 1035 section 3.3.14); a string that is cut short ends it."""
    at = 0
    while at < len(rdata):
        yield rdata[at + 1 : at + 1 + rdata[at]]
        at += rdata[at] + 1
