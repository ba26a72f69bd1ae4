"""JSON as RFC 8259 and RFC 7493 want it, decoded straight into typed values: every text has one meaning or is refused.

A scan that keeps nothing comes first. It bounds nesting and the number of values before the first of them takes memory,
and finds what a decoder lets pass silently: duplicate keys, lone surrogates, numbers that lose digits.
"""

import json
import math
import re
from codecs import utf_8_decode
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

INTEGER_DIGITS_MAX = 20
NUMBER_CHARACTERS_MAX = 64
OBJECT_KEYS_MAX = 100
"""Keys of one object: they are kept while it is scanned."""

_T = TypeVar("_T")
_SLICE_OCTETS = 2**16
_CHECKPOINT_VALUES = 4096
# Possessive quantifiers: a string of megabytes leaves nothing behind to go back to. Something matches at every place,
# so that no search goes over the same octets again.
_TOKEN = re.compile(
    rb"[ \t\r\n,]*+(?:"
    rb'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+")(?P<colon>[ \t\r\n]*+:)?+'
    rb'|(?P<number>-?[0-9][0-9.eE+\-]*+)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<literal>[a-zA-Z]++)|(?P<torn>")'
    rb"|(?P<other>.)|(?P<end>\Z))",
    re.DOTALL,
)
_LITERALS = frozenset({b"true", b"false", b"null"})
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_AT_BYTE = re.compile(r"(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<byte>[0-9]+)\)", re.DOTALL)


class JsonRefused(ValueError):
    """The text is not JSON of the strict kind; the message says what was expected, what was found, and where."""


def decode(body: bytes | bytearray, kind: type[_T]) -> _T:
    """Decode a JSON text that was scanned into a type.

    Raises JsonRefused, or msgspec.ValidationError if it does not fit the type.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        raise JsonRefused(_sentence(body, str(error))) from None


def loads(body: bytes | bytearray, depth_max: int, values_max: int) -> object:
    """Return the value that a JSON text stands for: dict, list, str, int, float, bool or None. Raises JsonRefused."""
    scan(body, depth_max, values_max)
    value: Any = decode(body, object)
    return value


def scan(
    body: bytes | bytearray, depth_max: int, values_max: int, checkpoint: Callable[[], None] = lambda: None
) -> int:
    """Return how many values a JSON text has. Raises JsonRefused for what a decoder would not refuse by itself.

    Arrays and objects nest ``depth_max`` deep at most, and there are at most ``values_max`` values in all of them.
    Syntax is left to the decoder, which must come after this. Memory: the keys of objects that are open.
    ``checkpoint`` is called every few thousand values, and may raise to end this.
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
                _take_key(token["string"], keys)
            continue
        if kind == "close":
            if opened:
                opened.pop()
            continue
        if kind == "end":
            break
        if kind == "other":
            raise JsonRefused(f"expected JSON, found a fault at {_position(body, token.start(kind))}")
        count += 1
        if count % _CHECKPOINT_VALUES == 0:
            checkpoint()
        if count > values_max:
            raise JsonRefused(f"expected at most {values_max} values in arrays and objects, found more; split the body")
        if kind == "string":
            if b"\\" in token["string"]:
                _refuse_lone_surrogates(token["string"])
        elif kind == "number":
            _refuse_lossy_number(token[kind])
        elif kind == "open":
            if len(opened) == depth_max:
                raise JsonRefused(f"expected arrays and objects at most {depth_max} deep, found a deeper nesting")
            opened.append(set() if token[kind] == b"{" else None)
        elif kind == "literal":
            if token[kind] not in _LITERALS:
                shown = token[kind][:40].decode("ascii")
                raise JsonRefused(f"expected JSON, found {shown} at {_position(body, token.start(kind))}")
        elif kind == "torn":
            raise JsonRefused(f"expected JSON, found a string without an end at {_position(body, token.start(kind))}")
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
