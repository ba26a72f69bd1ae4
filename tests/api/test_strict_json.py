"""Strict JSON: one meaning or none."""

import json
import sys
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.api.documents import PlanWanted
from dnsguard.api.strict_json import OBJECT_KEYS_MAX, JsonRefused, decode, loads, scan

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


VALUES_MAX = 1_000


@given(VALUES)
def test_what_is_json_is_read_as_python_reads_it(value: object) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert loads(text.encode(), 32, VALUES_MAX) == json.loads(text)


def _depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(_depth, value), default=0)
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
    return 0


def _count(value: object) -> int:
    match value:
        case list():
            return 1 + sum(map(_count, value))
        case dict():
            return 1 + sum(map(_count, value.values()))
    return 1


@given(VALUES, st.integers(0, 6))
def test_the_nesting_is_counted_exactly(value: object, most: int) -> None:
    text = json.dumps(value).encode()
    if _depth(value) > most:
        with pytest.raises(JsonRefused, match="deep"):
            scan(text, most, VALUES_MAX)
    else:
        scan(text, most, VALUES_MAX)


@given(VALUES, st.booleans())
def test_the_values_are_counted_exactly(value: object, is_indented: bool) -> None:
    text = json.dumps(value, indent=1 if is_indented else None, ensure_ascii=is_indented).encode()
    count = _count(value)
    assert scan(text, 32, count) == count
    with pytest.raises(JsonRefused, match=f"at most {count - 1} values"):
        scan(text, 32, count - 1)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), min_size=1, max_size=5), st.data())
def test_a_key_twice_is_found_however_it_is_written(value: dict[str, int], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(value)))
    pairs = [*value.items(), (again, 7)]
    escaped = data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    texts = [
        "".join(f"\\u{ord(char):04x}" for char in key)
        if is_escaped and all(ord(char) < 0xD800 for char in key)
        else json.dumps(key, ensure_ascii=False)[1:-1]
        for (key, _), is_escaped in zip(pairs, escaped, strict=True)
    ]
    text = ", ".join(f'"{key}" : {number}' for key, (_, number) in zip(texts, pairs, strict=True))
    body = f"[{{{text}}}]".encode(errors="surrogatepass")
    with pytest.raises(JsonRefused, match=r"twice|UTF-8"):
        loads(body, 8, VALUES_MAX)


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\u0d8 \n1-e.tn', max_size=40).map(str.encode))
def test_any_octets_are_read_as_python_reads_them_or_refused(body: bytes) -> None:
    try:
        value = loads(body, 8, VALUES_MAX)
    except JsonRefused:
        return
    assert json.dumps(value) == json.dumps(json.loads(body))


def _read(body: bytes) -> PlanWanted:
    scan(body, 32, 20_000)
    return decode(body, PlanWanted)


@pytest.mark.parametrize(
    "unit",
    [b"[],", b'"a",', b"{},", b'{"a":1},', b'{"a":{},"b":{}},', b"0.1,", b'"",', b"null,", b'"\\u00e9",', b"[[]],"],
)
def test_a_body_that_is_small_on_the_wire_takes_little_memory(unit: bytes) -> None:
    head = b'{"rrsets":[{"name":"a","type":"A","ttl":1,"records":[' if unit == b'"a",' else b'{"rrsets":['
    body = head + (unit * (2**20 // len(unit))).rstrip(b",") + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises((JsonRefused, msgspec.ValidationError)):
            _read(body)
        assert tracemalloc.get_traced_memory()[1] < 2**18
    finally:
        tracemalloc.stop()


def test_the_keys_of_an_object_are_bounded_too() -> None:
    keys = ",".join(f'"{index}":1' for index in range(OBJECT_KEYS_MAX + 1))
    with pytest.raises(JsonRefused, match="keys in an object"):
        loads(f"{{{keys}}}".encode(), 8, VALUES_MAX)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 2**20,
        b'["a"' + b" " * 2**21,
        b'{"a"' + b" " * 2**21,
        b'"' * 2**20,
        b" " * 2**22 + b"@",
        b"," * 2**22,
    ],
)
def test_a_torn_text_takes_no_longer_than_its_length(body: bytes) -> None:
    with pytest.raises(JsonRefused):
        loads(body, 8, 2**21)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "line 1, column 2"),
        (b"[1e999]", "a double can hold"),
        (b"[0.%s]" % (b"1" * 100), "a double can hold"),
        (b'{"a": 1, "b": 2, "a": 1}', "'a' twice"),
        (b'[{"x": {"a": 1, "a": 1}}]', "'a' twice"),
        (b'{"a": 1,}', "line 1, column"),
        (b"[1,\n2", "the end of the body"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'"a\x00b"', "line 1, column 3"),
        (b'"a\nb"', "line 1, column 3"),
        (b"01", "line 1, column 2"),
        (b"1 2", "line 1, column 4: trailing characters"),
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
        loads(body, 8, VALUES_MAX)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 300


def test_nesting_is_refused_before_a_reader_can_recurse() -> None:
    deep = sys.getrecursionlimit() * 10
    with pytest.raises(JsonRefused):
        loads(b"[" * deep + b"]" * deep, 32, VALUES_MAX)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert loads(b'["[[[[[[[[", "\\"[[[[[[[", "\\\\", "[[[["]', 2, VALUES_MAX) == ["[[[[[[[[", '"[[[[[[[', "\\", "[[[["]


def test_surrogate_pairs_are_one_character() -> None:
    assert loads(rb'"\ud83d\ude00"', 1, VALUES_MAX) == "\U0001f600"


def test_integers_stay_integers_and_floats_floats() -> None:
    assert [type(value) for value in loads(b"[1, 1.0, 1e2, true, -0]", 1, VALUES_MAX)] == [int, float, float, bool, int]  # type: ignore[attr-defined]
