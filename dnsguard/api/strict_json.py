"""JSON as RFC 8259 and RFC 7493 want it, decoded straight into typed values: every text has one meaning or is refused.

A scan that keeps nothing comes first. It bounds nesting and the number of values before the first of them takes memory,
and finds what a decoder lets pass silently: duplicate keys, lone surrogates, numbers that lose digits.
"""

import json
import math
import re
from codecs import utf_8_decode
from typing import Any, TypeVar

import msgspec

INTEGER_DIGITS_MAX = 20
NUMBER_CHARACTERS_MAX = 64
OBJECT_KEYS_MAX = 100
"""Keys of one object: they are kept while it is scanned."""

_T = TypeVar("_T")
_SLICE_OCTETS = 2**16
# Possessive quantifiers: a string of megabytes leaves nothing behind to go back to.
_TOKEN = re.compile(
    rb'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+")(?P<colon>[ \t\r\n]*+:)?+'
    rb'|(?P<number>-?[0-9][0-9.eE+\-]*+)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<literal>[a-zA-Z]++)|(?P<torn>")',
    re.DOTALL,
)
_LITERALS = frozenset({b"true", b"false", b"null"})
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_AT_BYTE = re.compile(r"(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<byte>[0-9]+)\)", re.DOTALL)


class JsonRefused(ValueError):
    """The text is not JSON of the strict kind; the message says what was expected, what was found, and where."""


def decode(body: bytes | bytearray, kind: type[_T], depth_max: int, values_max: int) -> _T:
    """Decode a JSON text into a type. Raises JsonRefused, or msgspec.ValidationError if it does not fit the type.

    Arrays and objects nest ``depth_max`` deep at most, and there are at most ``values_max`` values in all of them.
    """
    scan(body, depth_max, values_max)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        raise JsonRefused(_sentence(body, str(error))) from None


def loads(body: bytes | bytearray, depth_max: int, values_max: int) -> object:
    """Return the value that a JSON text stands for: dict, list, str, int, float, bool or None. Raises JsonRefused."""
    value: Any = decode(body, object, depth_max, values_max)
    return value


def scan(body: bytes | bytearray, depth_max: int, values_max: int) -> int:
    """Return how many values a JSON text has. Raises JsonRefused for what a decoder would not refuse by itself.

    Syntax is left to the decoder, which must come after this. Memory: the keys of objects that are open.
    """
    if not body or body.isspace():
        raise JsonRefused("expected JSON, found an empty body")
    if body.startswith(b"\xef\xbb\xbf"):
        raise JsonRefused("expected JSON without a byte order mark, found one")
    _refuse_other_encodings(body)
    count = 0
    opened: list[set[bytes] | None] = []
    for token in _TOKEN.finditer(body):
        kind = token.lastgroup
        if kind == "colon":
            if opened and (keys := opened[-1]) is not None:
                _take_key(token[1], keys)
            continue
        if kind == "close":
            if opened:
                opened.pop()
            continue
        count += 1
        if count > values_max:
            raise JsonRefused(f"expected at most {values_max} values in arrays and objects, found more; split the body")
        if kind == "string":
            if b"\\" in token[1]:
                _refuse_lone_surrogates(token[1])
        elif kind == "number":
            _refuse_lossy_number(token[0])
        elif kind == "open":
            if len(opened) == depth_max:
                raise JsonRefused(f"expected arrays and objects at most {depth_max} deep, found a deeper nesting")
            opened.append(set() if token[0] == b"{" else None)
        elif kind == "literal":
            if token[0] not in _LITERALS:
                shown = token[0][:40].decode("ascii")
                raise JsonRefused(f"expected JSON, found {shown} at {_position(body, token.start())}")
        elif kind == "torn":
            raise JsonRefused(f"expected JSON, found a string without an end at {_position(body, token.start())}")
    return count


def _refuse_other_encodings(body: bytes | bytearray) -> None:
    """Check the encoding in slices: as a whole, one character beyond the BMP makes four octets of every octet."""
    at = 0
    if body.isascii():
        return
    while at < len(body):
        piece = body[at : at + _SLICE_OCTETS]
        try:
            at += utf_8_decode(piece, "strict", at + len(piece) == len(body))[1]
        except UnicodeDecodeError as error:
            at += error.start
            raise JsonRefused(f"expected JSON in UTF-8, found an invalid sequence at octet {at}") from None


def _take_key(token: bytes, keys: set[bytes]) -> None:
    key = token[1:-1]
    if b"\\" in key:
        _refuse_lone_surrogates(token)
        key = _unescaped(token).encode()
    if key in keys:
        shown = key[:80].decode(errors="replace")
        raise JsonRefused(f"expected each key once in an object, found {shown!r} twice")
    if len(keys) == OBJECT_KEYS_MAX:
        raise JsonRefused(f"expected at most {OBJECT_KEYS_MAX} keys in an object, found more")
    keys.add(key)


def _unescaped(token: bytes) -> str:
    try:
        text: str = json.loads(token)
    except json.JSONDecodeError:
        raise JsonRefused(f"expected JSON, found a string with a wrong escape: {token[:80]!r}") from None
    return text


def _refuse_lone_surrogates(token: bytes) -> None:
    if _SURROGATE_ESCAPE.search(token) is None:
        return
    if any("\ud800" <= char <= "\udfff" for char in _unescaped(token)):
        shown = token[:80].decode("ascii", "backslashreplace")
        raise JsonRefused(f"expected valid Unicode, found a lone surrogate in {shown}")


def _refuse_lossy_number(text: bytes) -> None:
    digits = text.removeprefix(b"-")
    if digits.isdigit():  # an integer; its size is bounded before anything is made of it
        if len(digits) > INTEGER_DIGITS_MAX:
            shown = text[:20].decode("ascii")
            raise JsonRefused(
                f"expected integers of at most {INTEGER_DIGITS_MAX} digits, found {len(digits)}: {shown}…"
            )
        return
    try:
        finite = len(text) <= NUMBER_CHARACTERS_MAX and math.isfinite(float(text))
    except ValueError:
        return  # no number at all, which the decoder says with its place
    if not finite:
        raise JsonRefused(f"expected numbers that a double can hold, found {text[:40].decode('ascii')}")


def _sentence(body: bytes | bytearray, said: str) -> str:
    if (place := _AT_BYTE.fullmatch(said)) is None:
        return "expected JSON, found the end of the body before the end of a value"
    return f"expected JSON, found a fault at {_position(body, int(place['byte']))}: {place['what']}"


def _position(body: bytes | bytearray, at: int) -> str:
    line, column = body.count(b"\n", 0, at) + 1, at - body.rfind(b"\n", 0, at)
    return f"line {line}, column {column}"
