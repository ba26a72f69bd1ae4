"""Strict JSON: one meaning or none."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.api.strict_json import JsonRefused, loads, nests_deeper

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Surrogates cannot be in a text that is UTF-8.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_json_is_read_as_python_reads_it(value: object) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert loads(text.encode(), 32) == json.loads(text)


def _depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(_depth, value), default=0)
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
    return 0


@given(VALUES, st.integers(0, 6))
def test_the_nesting_is_counted_exactly(value: object, most: int) -> None:
    assert nests_deeper(json.dumps(value), most) == (_depth(value) > most)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "a double can hold"),
        (b"[0.%s]" % (b"1" * 100), "a double can hold"),
        (b'{"a": 1, "b": 2, "a": 1}', "'a' twice"),
        (b'[{"x": {"a": 1, "a": 1}}]', "'a' twice"),
        (b'{"a": 1,}', "line 1, column"),
        (b"[1,\n2", "line 2, column 2"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'"a\x00b"', "control character"),
        (b'"a\nb"', "control character"),
        (b"01", "Extra data"),
        (b"1 2", "Extra data"),
        (b"// no\n1", "line 1"),
        (b"\xff\xfe1\x00", "octet 0"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xc0\x80"', "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (rb'["\ud800"]', "lone surrogate"),
        (rb'{"\uDFFF": 1}', "lone surrogate"),
        (rb'[{"a": ["\ud83d x"]}]', "lone surrogate"),
        (b"1" * 5_000, "20 digits"),
        (b"-" + b"9" * 21, "20 digits"),
        (b"[" * 9 + b"]" * 9, "8 deep"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "8 deep"),
        (b"[" * 1_000_000, "8 deep"),
        (b'{"a":[' * 500_000, "8 deep"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused_with_a_reason(body: bytes, sentence: str) -> None:
    with pytest.raises(JsonRefused, match="expected") as refused:
        loads(body, 8)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 300


def test_nesting_is_refused_before_a_reader_can_recurse() -> None:
    deep = sys.getrecursionlimit() * 10
    with pytest.raises(JsonRefused):
        loads(b"[" * deep + b"]" * deep, 32)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert loads(b'["[[[[[[[[", "\\"[[[[[[[", "\\\\", "[[[["]', 2) == ["[[[[[[[[", '"[[[[[[[', "\\", "[[[["]


def test_surrogate_pairs_are_one_character() -> None:
    assert loads(rb'"\ud83d\ude00"', 1) == "\U0001f600"


def test_integers_stay_integers_and_floats_floats() -> None:
    assert [type(value) for value in loads(b"[1, 1.0, 1e2, true, -0]", 1)] == [int, float, float, bool, int]  # type: ignore[attr-defined]
