"""Owner names and zone names: one canonical text for each name that DNS can carry, one parser and one printer for it.
The canonical text is absolute, with ASCII letters in lower case and unusual octets as escapes (RFC 1035 section 5.1).
Nothing here guesses: text that could be read in two ways is refused with the way to write it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import dns.exception
import dns.name
import idna

FENCE_LABEL = "_dnsguard"

NAME_CHARS_MAX = 1_020  # 255 octets, each written as \DDD

_IDEOGRAPHIC_DOTS = "\u3002\uff0e\uff61"
_FIRST_LABEL = re.compile(r"^(?:[^.\\]|\\.)*\.")
_PLAIN = re.compile(r"(?:[a-z0-9_*/-]{1,63}\.)+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NameRefused(ValueError):
    """A name is not well formed; the message says what was expected and found."""


def encode_labels(text: str) -> str:
    """Turn U-labels into A-labels by IDNA 2008 without any mapping (RFC 5891 section 4). Raises NameRefused."""
    if len(text) > NAME_CHARS_MAX:
        raise NameRefused(f"expected a domain name, found {_shown(text)}: the name is longer than 255 octets")
    if text.isascii():
        return text
    if "\\" in text:
        raise NameRefused(
            f"expected no backslash in a name with letters beyond ASCII, found {_shown(text)}{_as_octets(text)}"
        )
    if any(dot in text for dot in _IDEOGRAPHIC_DOTS):
        raise NameRefused(f"expected '.' between labels, found another dot in {_shown(text)}; write an ASCII '.'")
    labels = []
    for label in text.split("."):
        if label.isascii():
            labels.append(label)
            continue
        try:
            labels.append(idna.alabel(label).decode("ascii"))
        except (idna.IDNAError, UnicodeError) as error:
            raise NameRefused(
                f"expected labels valid in IDNA 2008 (lower case, no width variants), found {_shown(label)}: "
                f"{error}{_as_octets(text)}"
            ) from None
    return ".".join(labels)


def _as_octets(text: str) -> str:
    """Advise on how to write a name whose labels are UTF-8 octets and no U-labels, as in DNS-SD (RFC 6763)."""
    try:
        octets = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return ""
    written = "".join(chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}" for octet in octets)
    return f"; to use its UTF-8 octets as they are (RFC 6763), write {written}" if len(written) <= 300 else ""


def parse_name(text: str, origin: str | None = None) -> str:
    """Return the canonical absolute form of a name.

    A name that does not end in a dot is relative to ``origin`` (``@`` is the origin itself); without an
    origin it is taken as absolute. Any octet can be written as an escape. Raises NameRefused.
    Sources: RFC 1035 section 5.1, RFC 2181 section 11, RFC 5891.
    """
    if not text:
        raise NameRefused("expected a name, found an empty string; the zone's apex is written '@'")
    if " " in text:
        raise NameRefused(
            f"expected a name without blanks, found {_shown(text)}; a blank in a label is written '\\032'"
            f"{_as_octets(text) if len(text) <= NAME_CHARS_MAX else ''}"
        )
    if (control := _CONTROL.search(text)) is not None:
        raise NameRefused(
            f"expected a name without control characters, found {_shown(text)}; "
            f"in a label this one is written '\\{ord(control[0]):03}'"
        )
    if text == "@" and origin is None:
        raise NameRefused("expected an absolute name, found '@', which means nothing without a zone")
    text = encode_labels(text)
    within = dns.name.root if origin is None else dns.name.from_text(origin)
    try:
        name = dns.name.from_text(text, dns.name.empty)
        if origin is not None and not name.is_absolute() and _ends_in(name, within):
            raise NameRefused(
                f"expected a relative name or one that ends in a dot, found {text!r}; "
                f"write {text + '.'!r} for the absolute name"
            )
        return print_name(name.derelativize(within))
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NameRefused(f"expected a domain name, found {_shown(text)}: {_worded(error)}") from None


def print_name(name: dns.name.Name) -> str:
    """Return the canonical text of an absolute name: the only one that `parse_name` gives for it."""
    return name.to_text().lower()


def name_from_wire(octets: bytes) -> str:
    """Return the canonical text of an uncompressed name in wire format. Raises NameRefused for other octets."""
    try:
        name, used = dns.name.from_wire(octets, 0)
    except dns.exception.DNSException as error:
        raise NameRefused(f"expected a name in wire format, found {octets[:80].hex()}: {error}") from None
    if used != len(octets):
        raise NameRefused(f"expected a name in wire format and nothing else, found {octets[:80].hex()}")
    return print_name(name)


def name_at(octets: bytes, start: int) -> str | None:
    """Return the canonical text of the uncompressed name that starts somewhere in rdata; None if none does."""
    labels, at, end = [], start, len(octets)
    while at < end and (length := octets[at]):
        labels.append(octets[at + 1 : at + 1 + length])
        at += 1 + length
    if at >= end:
        return None
    text = (b".".join(labels) + b".").decode("latin-1").lower()
    if text.count(".") == len(labels) and _PLAIN.fullmatch(text):
        return text
    try:
        return name_from_wire(octets[start : at + 1])
    except NameRefused:
        return None


def _ends_in(name: dns.name.Name, origin: dns.name.Name) -> bool:
    """Tell whether a relative name looks as if its final dot had been forgotten."""
    return len(origin) > 1 and dns.name.Name((*name.labels, b"")).is_subdomain(origin)


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 120 else f"{text[:100]!r}… ({len(text)} characters)"


def _worded(error: Exception) -> str:
    match error:
        case dns.name.LabelTooLong():
            return "a label is longer than 63 octets"
        case dns.name.NameTooLong():
            return "the name is longer than 255 octets"
        case dns.name.EmptyLabel():
            return "a label is empty"
        case dns.name.BadEscape():
            return "a backslash is not followed by a character or by three digits"
    return str(error)


def is_within(name: str, apex: str) -> bool:
    """Tell whether a canonical name is the apex or lies below it."""
    if apex in (".", name):
        return True
    if not name.endswith("." + apex):
        return False
    if "\\" not in name:
        return True
    return dns.name.from_text(name).is_subdomain(dns.name.from_text(apex))


def parent_name(name: str) -> str:
    """Return the name above a canonical name that is not the root."""
    return _FIRST_LABEL.sub("", name, count=1) or "."


def names_above(name: str, apex: str) -> Iterator[str]:
    """Yield the names above a canonical name, the nearest first, up to the apex; none for the apex or outside of it."""
    if not is_within(name, apex):
        return
    while name != apex:
        name = parent_name(name)
        yield name


def fence_name(apex: str) -> str:
    """Return the owner name of the zone's fence record."""
    return f"{FENCE_LABEL}.{apex}" if apex != "." else f"{FENCE_LABEL}."


@lru_cache(maxsize=65536)
def name_wire(name: str) -> bytes:
    """Encode a canonical name in wire format, uncompressed (RFC 1035 section 3.1)."""
    if _PLAIN.fullmatch(name):
        return b"".join(bytes((len(label),)) + label.encode("ascii") for label in name[:-1].split(".")) + b"\0"
    return dns.name.from_text(name).to_wire() or b"\0"
