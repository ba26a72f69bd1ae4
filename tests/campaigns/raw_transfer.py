"""A zone transfer read without the product's decoder: octets from the socket, names written out, nothing interpreted.

It shares no code with what it checks but dnspython's signature on the question.
"""

import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

import dns.message
import dns.name
import dns.tsig

_TIMEOUT_S = 30
_SOA = 6
_POINTER = 0xC0
_NAME, _STRING, _REST = "n", "s", "*"
_FIELDS = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 23, 39), "n"),  # NS MD MF CNAME MB MG MR PTR NSAP-PTR DNAME
    **dict.fromkeys((14, 17), "nn"),  # MINFO RP
    **dict.fromkeys((15, 18, 21, 36), "2n"),  # MX AFSDB RT KX
    6: "nn*",
    26: "2nn",  # PX
    33: "6n",  # SRV
    35: "4sssn",  # NAPTR
}
"""Types whose rdata has names: digits are octets, ``n`` is a name, ``s`` a character-string, ``*`` the rest."""


class RRset(NamedTuple):
    """An owner name in lower case and wire format, and a type by its number."""

    name: bytes
    type: int


class Contents(NamedTuple):
    """The TTLs and the rdata of an RRset; ``folded`` has its names in lower case."""

    ttls: frozenset[int]
    folded: tuple[bytes, ...]
    exact: tuple[bytes, ...]


def raw_transfer(address: tuple[str, int], zone: str, key: dns.tsig.Key) -> Mapping[RRset, Contents]:
    """Transfer a zone and return all that it holds. Raises RuntimeError if the server says no."""
    question = dns.message.make_query(dns.name.from_text(zone), "AXFR")
    question.use_tsig(key)
    octets = question.to_wire()
    found: dict[RRset, tuple[set[int], list[tuple[bytes, bytes]]]] = {}
    soas = 0
    with socket.create_connection(address, timeout=_TIMEOUT_S) as connection:
        connection.sendall(struct.pack("!H", len(octets)) + octets)
        while soas < 2:
            message = _read(connection, struct.unpack("!H", _read(connection, 2))[0])
            _, flags, questions, answers, _, _ = struct.unpack_from("!6H", message)
            if flags & 0xF:
                raise RuntimeError(f"the transfer of {zone} was refused: rcode {flags & 0xF}")
            at = 12
            for _ in range(questions):
                at = _name(message, at)[1] + 4
            for _ in range(answers):
                name, at = _name(message, at)
                rdtype, _, ttl, length = struct.unpack_from("!HHIH", message, at)
                start, at = at + 10, at + 10 + length
                soas += rdtype == _SOA
                if rdtype == _SOA and soas == 2:
                    break
                ttls, rdatas = found.setdefault(RRset(name.lower(), rdtype), (set(), []))
                ttls.add(ttl)
                rdatas.append(_rdata(rdtype, message, start, at))
    return {
        rrset: Contents(frozenset(ttls), *(tuple(each) for each in zip(*sorted(rdatas), strict=True)))
        for rrset, (ttls, rdatas) in found.items()
    }


def _read(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        if not (more := connection.recv(count - len(octets))):
            raise RuntimeError("the server closed the connection within a transfer")
        octets += more
    return octets


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    """Return the name at an offset, written out, and the offset behind it."""
    out, behind = b"", 0
    while length := message[at]:
        if length >= _POINTER:
            behind = behind or at + 2
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
        else:
            out += message[at : at + 1 + length]
            at += 1 + length
    return out + b"\0", behind or at + 1


def _rdata(rdtype: int, message: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """Return rdata with its names written out: in lower case, and as they stand."""
    folded = exact = b""
    for field in _FIELDS.get(rdtype, _REST):
        if field == _NAME:
            name, at = _name(message, at)
            folded, exact = folded + name.lower(), exact + name
            continue
        length = end - at if field == _REST else 1 + message[at] if field == _STRING else int(field)
        folded, exact = folded + message[at : at + length], exact + message[at : at + length]
        at += length
    return folded, exact
