"""RRsets in one canonical form: the form that is stored, hashed, compared and published.
Rdata is kept as wire octets in DNSSEC canonical form (RFC 4034 section 6.2), sorted and without duplicates.
Presentation format is read strictly: whatever could be read in two ways is refused.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer

from dnsguard.core.names import encode_labels

TTL_MAX = 2**31 - 1  # RFC 2181 section 8
RDATA_OCTETS_MAX = 65_535

RDATA_CHARS_MAX = 300_000  # every octet of the longest rdata written as \DDD, and some room

_STRINGS_ONLY = frozenset({"TXT", "SPF", "AVC", "NINFO", "RESINFO", "WALLET"})
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
    """The contents of an RRset: a TTL in seconds and at least one rdata (canonical wire octets, sorted)."""

    ttl: int
    rdatas: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not self.rdatas:
            raise RecordRefused("expected at least one record, found none: an RRset is never empty")


def make_records(ttl: int, rdatas: Iterable[bytes]) -> Records:
    """Build contents from rdata in any order, with duplicates folded."""
    return Records(ttl, tuple(sorted(set(rdatas))))


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
        raise RecordRefused(f"expected a record type such as A, MX or TYPE65280, found {text[:40]!r}") from None
    if rdtype == 0 or dns.rdatatype.is_metatype(rdtype) or 128 <= int(rdtype) <= 255:
        raise RecordRefused(f"expected a data type, found the meta type {text.upper()!r}")
    return dns.rdatatype.to_text(rdtype)


def parse_ttl(ttl: int) -> int:
    """Return a TTL in seconds, or refuse what RFC 2181 section 8 does not allow."""
    if not 0 <= ttl <= TTL_MAX:
        raise RecordRefused(f"expected a TTL from 0 to {TTL_MAX} seconds, found {ttl}")
    return ttl


def parse_rdata(rdtype: str, text: str) -> bytes:
    """Read one record's rdata in presentation format (RFC 1035 section 5.1) into canonical wire octets.

    Names inside must be absolute; strings of TXT and its like are quoted, or one word. Raises RecordRefused.
    """
    shown = repr(text) if len(text) <= 200 else f"{text[:160]!r}… ({len(text)} characters)"
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
        wire = rdata.to_digestable()
    except dns.name.NeedAbsoluteNameOrOrigin:
        raise RecordRefused(f"expected absolute names in {rdtype} rdata, found {shown}; end them with a dot") from None
    except (
        dns.exception.DNSException,
        ValueError,
        OverflowError,
        ArithmeticError,
        LookupError,
        TypeError,
        struct.error,
    ) as error:
        raise RecordRefused(f"expected {rdtype} rdata in presentation format, found {shown}: {error}") from None
    if tokens.foreign:
        raise RecordRefused(f"expected letters beyond ASCII only in names and in quotes, found {shown}")
    if len(wire) > RDATA_OCTETS_MAX:
        raise RecordRefused(f"expected at most {RDATA_OCTETS_MAX} octets of rdata, found {len(wire)}")
    return wire


def _refuse_ambiguous(rdtype: str, text: str, shown: str) -> None:
    """Refuse text of which a zone-file reader would drop, join or split something silently."""
    if len(text) > RDATA_CHARS_MAX:
        raise RecordRefused(f"expected at most {RDATA_CHARS_MAX} characters of rdata, found {shown}")
    if not text.strip(" "):
        raise RecordRefused(f"expected {rdtype} rdata, found nothing")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise RecordRefused(f"expected one record on one line without control characters, found {shown}")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise RecordRefused(f"expected valid Unicode, found a lone surrogate in {shown}")
    kinds: list[int] = []
    try:
        tokens = dns.tokenizer.Tokenizer(text)
        while not (token := tokens.get(want_comment=True)).is_eol_or_eof():
            kinds.append(token.ttype)
            if token.ttype == dns.tokenizer.COMMENT:
                raise RecordRefused(f"expected no comment (';' outside quotes), found {shown}")
            if len(kinds) == 1 and token.is_identifier() and token.value == r"\#" and _has_own_format(rdtype):
                raise RecordRefused(f"expected {rdtype} in its own format, found the generic one: {shown} (RFC 3597)")
    except (dns.exception.DNSException, ValueError) as error:
        raise RecordRefused(f"expected {rdtype} rdata in presentation format, found {shown}: {error}") from None
    unquoted = _QUOTED_OR_ESCAPED.sub("", text)
    if "(" in unquoted or ")" in unquoted:
        raise RecordRefused(f"expected one line without parentheses outside quotes, found {shown}")
    if rdtype in _STRINGS_ONLY and len(kinds) > 1 and dns.tokenizer.IDENTIFIER in kinds:
        raise RecordRefused(
            f'expected {rdtype} strings in quotes, found {shown}; write "one string" for one, "a" "b" for two'
        )


def _has_own_format(rdtype: str) -> bool:
    known = dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype))
    return known is not dns.rdata.GenericRdata


def rdata_text(rdtype: str, wire: bytes) -> str:
    """Render canonical wire octets in presentation format."""
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), wire, 0, len(wire))
    return rdata.to_text()


def records_text(rdtype: str, records: Records) -> tuple[str, ...]:
    """Render all rdata of an RRset in presentation format, in canonical order."""
    return tuple(rdata_text(rdtype, wire) for wire in records.rdatas)


def parse_records(rdtype: str, ttl: int, texts: Sequence[str]) -> Records:
    """Read an RRset's TTL and rdata texts into canonical contents. Raises RecordRefused."""
    return make_records(parse_ttl(ttl), (parse_rdata(rdtype, text) for text in texts))
