"""JSON as RFC 8259 and RFC 7493 want it, from octets to Python values: every text has one meaning or is refused.
Nothing that Python's own reader lets pass silently gets through: NaN, duplicate keys, lone surrogates, floods.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

INTEGER_DIGITS_MAX = 20
NUMBER_CHARACTERS_MAX = 64

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SLICE = 2**16
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonRefused(ValueError):
    """The text is not JSON of the strict kind; the message says what was expected, what was found, and where."""


def loads(body: bytes, depth_max: int) -> object:
    """Return the value that a JSON text stands for: dict, list, str, int, float, bool or None.

    Integers have at most 20 digits; arrays and objects nest ``depth_max`` deep at most. Raises JsonRefused.
    """
    if not body.strip():
        raise JsonRefused("expected JSON, found an empty body")
    if body.startswith(b"\xef\xbb\xbf"):
        raise JsonRefused("expected JSON without a byte order mark, found one")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonRefused(f"expected JSON in UTF-8, found an invalid sequence at octet {error.start}") from None
    if nests_deeper(text, depth_max):
        raise JsonRefused(f"expected arrays and objects at most {depth_max} deep, found a deeper nesting")
    decoder = json.JSONDecoder(
        object_pairs_hook=_unique,
        parse_int=_integer,
        parse_float=_number,
        parse_constant=_constant,
    )
    try:
        value: object = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise JsonRefused(
            f"expected JSON, found a fault at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value


def nests_deeper(text: str, depth_max: int) -> bool:
    r"""Tell whether arrays and objects nest deeper than a bound, as far as the text's first syntax fault.

    A reader that recurses must not be the one to find out. Strings are dropped first: with ``\\`` and ``\"``
    gone, every second piece between quotation marks is inside one.
    """
    if text.count("[") + text.count("{") <= depth_max:
        return False
    outside = "".join(text.replace(r"\\", "").replace(r"\"", "").split('"')[::2])
    brackets = outside.encode("utf-8").translate(None, _NOT_BRACKETS)
    depth = 0
    # In slices, because other threads wait for the interpreter as long as one call into C lasts.
    for start in range(0, len(brackets), _SLICE):
        depths = list(accumulate(map(_STEPS.__getitem__, brackets[start : start + _SLICE]), initial=depth))
        if max(depths) > depth_max:
            return True
        depth = depths[-1]
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonRefused(f"expected each key once in an object, found {key[:80]!r} twice")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    if len(text) > INTEGER_DIGITS_MAX:
        raise JsonRefused(f"expected integers of at most {INTEGER_DIGITS_MAX} digits, found {len(text)}: {text[:20]}…")
    return int(text)


def _number(text: str) -> float:
    number = float(text) if len(text) <= NUMBER_CHARACTERS_MAX else math.inf
    if not math.isfinite(number):
        raise JsonRefused(f"expected numbers that a double can hold, found {text[:40]}")
    return number


def _constant(text: str) -> NoReturn:
    raise JsonRefused(f"expected JSON, found {text}, which is not a JSON value")


def _refuse_lone_surrogates(value: object) -> None:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if any("\ud800" <= char <= "\udfff" for char in text):
                shown = text[:80].encode("ascii", "backslashreplace").decode("ascii")
                raise JsonRefused(f'expected valid Unicode, found a lone surrogate in "{shown}"')
            case list() as items:
                waiting += items
            case dict() as members:
                waiting += members.keys()
                waiting += members.values()
