"""RRsets as they are stored, hashed, compared and published.
Rdata is kept as wire octets, with the case of names as it was given, sorted and without duplicates; it is compared in
canonical form, where that case does not count (RFC 4343).
Presentation format is read strictly: whatever could be read in two ways is refused. Octets that are not valid rdata
of their type are opaque: kept, compared and published as they are, and written in the generic form of RFC 3597.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer

from dnsguard.core.names import encode_labels
from dnsguard.core.rdata_names import canonical_rdata, canonical_rdatas, has_names, is_well_formed

TTL_MAX = 2**31 - 1  # RFC 2181 section 8
RDATA_OCTETS_MAX = 65_535
STRING_OCTETS_MAX = 255  # RFC 1035 section 3.3

RDATA_CHARS_MAX = 300_000  # every octet of the longest rdata written as \DDD, and some room

_NOT_READ = (
    dns.exception.DNSException,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What dnspython raises of octets and texts that it cannot read, or not render."""
FAITHFUL_TYPES = frozenset({"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"})
"""Common types whose text always reads as the octets that it was made from: it is not read again each time."""
_POWERDNS_TYPES = {"ALIAS": "TYPE65401", "LUA": "TYPE65402"}
_GENERIC_START = re.compile(r" *\\#(?: |$)")
_LENGTH = re.compile(r"[0-9]{1,5}")
_HEX = re.compile(r"[0-9A-Fa-f]*")
STRING_TYPES = frozenset({"TXT", "SPF", "AVC", "NINFO", "RESINFO", "WALLET"})
"""Types whose rdata is character-strings and nothing else."""
_QUOTED_OR_ESCAPED = re.compile(r'\\.|"(?:[^"\\]|\\.)*"')


class RecordRefused(ValueError):
    """A type, TTL or rdata is not well formed; the message says what was expected and found."""


class _StrictTokenizer(dns.tokenizer.Tokenizer):
    """Reads tokens as dnspython does, but takes letters beyond ASCII only in names and in quoted strings.

    In names they follow the same rules as in owner names; dnspython's own default is looser.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.foreign: dict[int, dns.tokenizer.Token] = {}

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        token = super().get(want_leading, want_comment)
        if token.is_identifier() and not token.value.isascii():
            self.foreign[id(token)] = token
        return token

    def as_name(
        self,
        token: dns.tokenizer.Token,
        origin: dns.name.Name | None = None,
        relativize: bool = False,
        relativize_to: dns.name.Name | None = None,
    ) -> dns.name.Name:
        if token.is_identifier():
            self.foreign.pop(id(token), None)
            token = dns.tokenizer.Token(token.ttype, encode_labels(token.value), token.has_escape)
        return super().as_name(token, origin, relativize, relativize_to)


class Key(NamedTuple):
    """What identifies an RRset in a zone: canonical owner name and type mnemonic."""

    name: str
    type: str

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


@dataclass(frozen=True, slots=True)
class Records:
    """The contents of an RRset: a TTL in seconds and at least one rdata, in wire format without compression.

    ``rdatas`` is what is published: names have the case that they were given. Two contents are equal if their
    ``canonical`` rdata are; `identical` also compares the case. Both are sorted by the canonical form, and are one
    object where nothing differs. Use `make_records` or `stored_records` for types that have names.
    """

    ttl: int
    rdatas: tuple[bytes, ...] = field(compare=False)
    canonical: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.rdatas:
            raise RecordRefused("expected at least one record, found none: an RRset is never empty")
        if not self.canonical:
            object.__setattr__(self, "canonical", self.rdatas)


def make_records(rdtype: str, ttl: int, rdatas: Iterable[bytes]) -> Records:
    """Build contents from rdata in any order, with duplicates folded; the case of names makes no difference."""
    octets = sorted(set(rdatas))
    if not has_names(rdtype):
        return Records(ttl, tuple(octets))
    given: dict[bytes, bytes] = {}
    for rdata in octets:
        given.setdefault(canonical_rdata(rdtype, rdata), rdata)
    return stored_records(rdtype, ttl, tuple(given[rdata] for rdata in sorted(given)))


def stored_records(rdtype: str, ttl: int, rdatas: tuple[bytes, ...]) -> Records:
    """Build contents from the rdata of others: sorted, and without duplicates."""
    return Records(ttl, rdatas, canonical_rdatas(rdtype, rdatas))


def identical(one: object, other: object) -> bool:
    """Tell whether two contents, or absences, are the same to the octet: the case of names is compared, too."""
    if isinstance(one, Records) and isinstance(other, Records):
        return one.ttl == other.ttl and one.rdatas == other.rdatas
    return one == other


@lru_cache(maxsize=512)
def type_code(mnemonic: str) -> int:
    """Return the number of a type mnemonic that `parse_type` accepted."""
    return int(dns.rdatatype.from_text(mnemonic))


@lru_cache(maxsize=512)
def parse_type(text: str) -> str:
    """Return the canonical mnemonic of a data type; meta types and query types are refused (RFC 6895)."""
    try:
        # Upper-casing, as dnspython does it, would make ASCII of some other letters ("\u017frv" would be SRV).
        rdtype = dns.rdatatype.from_text(text if text.isascii() else "")
    except (dns.exception.DNSException, ValueError):
        raise RecordRefused(
            f"expected a record type such as A, MX or TYPE65280, found {text[:40]!r}; {_written_as(text)}"
        ) from None
    if rdtype == 0 or dns.rdatatype.is_metatype(rdtype) or 128 <= int(rdtype) <= 255:
        raise RecordRefused(f"expected a data type, found the meta type {text.upper()!r}")
    return dns.rdatatype.to_text(rdtype)


def _written_as(text: str) -> str:
    number = _POWERDNS_TYPES.get(text.upper())
    if number is None:
        return r"a type without a name here is written TYPE and its number, with records such as '\# 2 abcd' (RFC 3597)"
    return rf"write {number} for this type of PowerDNS, and its records as octets: '\# LENGTH HEX' (RFC 3597)"


def parse_ttl(ttl: int) -> int:
    """Return a TTL in seconds, or refuse what RFC 2181 section 8 does not allow."""
    if not 0 <= ttl <= TTL_MAX:
        raise RecordRefused(f"expected a TTL from 0 to {TTL_MAX} seconds, found {ttl}")
    return ttl


def parse_rdata(rdtype: str, text: str) -> bytes:
    """Read one record's rdata in presentation format (RFC 1035 section 5.1) into wire octets; names keep their case.

    Names inside must be absolute; strings of TXT and its like are quoted, or one word. The generic form (RFC 3597) is
    for types without a format of their own, and for octets that their type's own format cannot show. Raises
    RecordRefused.
    """
    shown = repr(text) if len(text) <= 200 else f"{text[:160]!r}… ({len(text)} characters)"
    if len(text) > RDATA_CHARS_MAX:
        raise RecordRefused(f"expected at most {RDATA_CHARS_MAX} characters of rdata, found {shown}")
    return (_parse_generic if _GENERIC_START.match(text) else _parse_own)(rdtype, text, shown)


def _parse_generic(rdtype: str, text: str, shown: str) -> bytes:
    fields = [field for field in text.split(" ") if field]
    digits = "".join(fields[2:])
    if len(fields) < 2 or not _LENGTH.fullmatch(fields[1]) or not _HEX.fullmatch(digits):
        raise RecordRefused(rf"expected '\# LENGTH HEX' (RFC 3597), found {shown}")
    if 2 * int(fields[1]) != len(digits):
        raise RecordRefused(f"expected {fields[1]} octets in hexadecimal, found {len(digits)} digits: {shown}")
    wire = bytes.fromhex(digits)
    if (own := _own_text(rdtype, wire)) is not None:
        raise RecordRefused(
            f"expected {rdtype} in its own format, found the generic one: {shown} (RFC 3597); write it as {own[:200]!r}"
        )
    return wire


def _parse_own(rdtype: str, text: str, shown: str) -> bytes:
    _refuse_ambiguous(rdtype, text, shown)
    try:
        tokens = _StrictTokenizer(text)
        rdata = dns.rdata.from_text(
            dns.rdataclass.IN,
            dns.rdatatype.from_text(rdtype),
            tokens,
            origin=None,
            relativize=False,
        )
        octets = rdata.to_wire() or b""
    except dns.name.NeedAbsoluteNameOrOrigin:
        raise RecordRefused(f"expected absolute names in {rdtype} rdata, found {shown}; end them with a dot") from None
    except _NOT_READ as error:
        raise RecordRefused(f"expected {rdtype} rdata in presentation format, found {shown}: {error}") from None
    if tokens.foreign:
        raise RecordRefused(f"expected letters beyond ASCII only in names and in quotes, found {shown}")
    if len(octets) > RDATA_OCTETS_MAX:
        raise RecordRefused(f"expected at most {RDATA_OCTETS_MAX} octets of rdata, found {len(octets)}")
    return octets


def _refuse_ambiguous(rdtype: str, text: str, shown: str) -> None:
    """Refuse text of which a zone-file reader would drop, join or split something silently."""
    if not text.strip(" "):
        raise RecordRefused(f"expected {rdtype} rdata, found nothing")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise RecordRefused(f"expected one record on one line without control characters, found {shown}")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise RecordRefused(f"expected valid Unicode, found a lone surrogate in {shown}")
    kinds: list[int] = []
    for token, octets in _tokens(rdtype, text, shown):
        kinds.append(token.ttype)
        if token.ttype == dns.tokenizer.COMMENT:
            raise RecordRefused(
                f"expected no comment, found ';' outside quotes in {shown}; write a text with ';' in quotes"
            )
        if octets > STRING_OCTETS_MAX:
            raise RecordRefused(
                f"a string is too long: expected at most {STRING_OCTETS_MAX} octets in each string of {rdtype}, "
                f'found {octets} in {shown}; write a longer text as several strings: "…" "…"'
            )
    unquoted = _QUOTED_OR_ESCAPED.sub("", text)
    if "(" in unquoted or ")" in unquoted:
        raise RecordRefused(f"expected one line without parentheses outside quotes, found {shown}")
    if rdtype in STRING_TYPES and len(kinds) > 1 and dns.tokenizer.IDENTIFIER in kinds:
        raise RecordRefused(
            f'expected {rdtype} strings in quotes, found {shown}; write "one string" for one, "a" "b" for two'
        )


def _tokens(rdtype: str, text: str, shown: str) -> list[tuple[dns.tokenizer.Token, int]]:
    """Read the tokens of a record with the octets of each, where it is a character-string."""
    found = []
    try:
        tokens = dns.tokenizer.Tokenizer(text)
        while not (token := tokens.get(want_comment=True)).is_eol_or_eof():
            is_string = rdtype in STRING_TYPES and token.ttype != dns.tokenizer.COMMENT
            found.append((token, len(token.unescape_to_bytes().value) if is_string else 0))
    except (dns.exception.DNSException, ValueError) as error:
        raise RecordRefused(f"expected {rdtype} rdata in presentation format, found {shown}: {error}") from None
    return found


def rdata_text(rdtype: str, wire: bytes) -> str:
    """Render wire octets in presentation format, the generic one where the type's own cannot show them.

    `parse_rdata` reads what this returns into the same octets.
    """
    own = _own_text(rdtype, wire)
    return rf"\# {len(wire)} {wire.hex()}".rstrip() if own is None else own


def is_opaque(rdtype: str, text: str) -> bool:
    """Tell whether `rdata_text` fell back to the generic form: the octets are not valid rdata of their type."""
    return _GENERIC_START.match(text) is not None and _has_own_format(rdtype)


def has_opaque(rdtype: str, records: Records) -> bool:
    """Tell whether a record of an RRset is opaque; common types are judged without their text, which is quicker."""
    if rdtype in FAITHFUL_TYPES:
        return not all(is_well_formed(rdtype, octets) for octets in records.rdatas)
    return any(is_opaque(rdtype, text) for text in records_text(rdtype, records))


@lru_cache(maxsize=512)
def _has_own_format(rdtype: str) -> bool:
    known = dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype))
    return known is not dns.rdata.GenericRdata


def _own_text(rdtype: str, wire: bytes) -> str | None:
    """Render octets in their type's own format; None if that format has no text that reads as these octets."""
    if not _has_own_format(rdtype):
        return None
    try:
        rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), wire, 0, len(wire))
        text = rdata.to_text()
        if rdtype in FAITHFUL_TYPES:
            return text if rdata.to_wire() == wire else None
    except _NOT_READ:
        return None
    try:
        return text if parse_rdata(rdtype, text) == wire else None
    except RecordRefused:
        return None


def records_text(rdtype: str, records: Records) -> tuple[str, ...]:
    """Render all rdata of an RRset in presentation format, in canonical order."""
    return tuple(rdata_text(rdtype, wire) for wire in records.rdatas)


def parse_records(rdtype: str, ttl: int, texts: Sequence[str]) -> Records:
    """Read an RRset's TTL and rdata texts into contents. Raises RecordRefused."""
    return make_records(rdtype, parse_ttl(ttl), (parse_rdata(rdtype, text) for text in texts))
