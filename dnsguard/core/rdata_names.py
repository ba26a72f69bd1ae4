"""Where domain names stand in rdata, for the types whose names may be compressed or compared without their case.
No other type needs to be understood to be compared: its octets are its canonical form (RFC 3597, RFC 4034).
"""

from collections.abc import Mapping
from types import MappingProxyType

LAYOUTS: Mapping[str, str] = MappingProxyType(
    {
        "AFSDB": "2n",
        "CNAME": "n",
        "DNAME": "n",
        "KX": "2n",
        "MB": "n",
        "MD": "n",
        "MF": "n",
        "MG": "n",
        "MINFO": "nn",
        "MR": "n",
        "MX": "2n",
        "NAPTR": "4sssn",
        "NS": "n",
        "NSAP-PTR": "n",
        "NXT": "n*",
        "PTR": "n",
        "PX": "2nn",
        "RP": "nn",
        "RRSIG": "99n*",
        "RT": "2n",
        "SIG": "99n*",
        "SOA": "nn992",
        "SRV": "6n",
    }
)
"""The fields of a type, in order: a digit stands for so many octets, ``s`` for a character-string, ``n`` for a name,
``*`` for the rest. Senders may compress these names (RFC 1035, RFC 3597 section 4), and their case does not count
(RFC 4034 section 6.2, RFC 6840 section 5.1)."""

_NAME_OCTETS_MAX = 255
_LABEL_OCTETS_MAX = 63
_POINTER = 0xC0


class _Malformed(Exception):
    """The octets do not have the layout."""


def has_names(rdtype: str) -> bool:
    """Tell whether rdata of a type has names whose case does not count."""
    return rdtype in LAYOUTS


def is_well_formed(rdtype: str, octets: bytes) -> bool:
    """Tell whether rdata of A, AAAA, TXT or a type with names has its type's fields and nothing else."""
    match rdtype:
        case "A":
            return len(octets) == 4
        case "AAAA":
            return len(octets) == 16
        case "TXT":
            return _is_strings(octets)
    try:
        return _fields(LAYOUTS[rdtype], octets, 0, len(octets), fold_case=False) == octets
    except (_Malformed, IndexError):
        return False


def _is_strings(octets: bytes) -> bool:
    at = 0
    while at < len(octets):
        at += 1 + octets[at]
    return 0 < at == len(octets)


def expand_rdata(rdtype: str, message: bytes, start: int, end: int) -> bytes:
    """Return the rdata at message[start:end] with its names decompressed, and with their case.

    Rdata that does not have its type's layout is returned as it is.
    """
    layout = LAYOUTS.get(rdtype)
    if layout is None:
        return message[start:end]
    try:
        return _fields(layout, message, start, end, fold_case=False)
    except (_Malformed, IndexError):
        return message[start:end]


def canonical_rdata(rdtype: str, octets: bytes) -> bytes:
    """Return rdata without compression in canonical form, its names in lower case: what name servers compare by.

    It is the same object where nothing changes. Rdata that does not have its type's layout is compared as it is.
    """
    if octets.lower() == octets or (layout := LAYOUTS.get(rdtype)) is None:
        return octets
    try:
        folded = _fields(layout, octets, 0, len(octets), fold_case=True)
    except (_Malformed, IndexError):
        return octets
    return folded if len(folded) == len(octets) else octets


def canonical_rdatas(rdtype: str, rdatas: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return each rdata in canonical form: the same tuple where all are in that form already."""
    if rdtype not in LAYOUTS:
        return rdatas
    canonical = tuple(canonical_rdata(rdtype, rdata) for rdata in rdatas)
    return rdatas if canonical == rdatas else canonical


def _fields(layout: str, message: bytes, at: int, end: int, *, fold_case: bool) -> bytes:
    out = bytearray()
    for field in layout:
        if field == "n":
            name, at = _name(message, at, end)
            out += name.lower() if fold_case else name
            continue
        octets = end - at if field == "*" else 1 + message[at] if field == "s" else int(field)
        out += message[at : at + octets]
        at += octets
    if at != end:
        raise _Malformed
    return bytes(out)


def _name(message: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the name at an offset, decompressed, and the offset after it.

    A pointer leads to an earlier place than the name, or the pointer, that it continues: so it comes to an end.
    """
    out = bytearray()
    after: int | None = None
    earliest = at
    while True:
        if after is None and at >= end:
            raise _Malformed
        octets = message[at]
        if octets >= _POINTER:
            if after is None:
                after = at + 2
            at = (octets - _POINTER) << 8 | message[at + 1]
            if at >= earliest:
                raise _Malformed
            earliest = at
            continue
        if octets > _LABEL_OCTETS_MAX:
            raise _Malformed
        label = message[at : at + 1 + octets]
        at += 1 + octets
        out += label
        if len(out) > _NAME_OCTETS_MAX or len(label) != 1 + octets:
            raise _Malformed
        if not octets:
            break
    after = at if after is None else after
    if after > end:
        raise _Malformed
    return bytes(out), after
