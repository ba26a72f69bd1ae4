"""Names: one canonical text for each, and a refusal for whatever could be read in two ways."""

import time
from contextlib import suppress

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.names import (
    NameRefused,
    encode_labels,
    fence_name,
    is_within,
    name_from_wire,
    name_wire,
    names_above,
    parent_name,
    parse_name,
    print_name,
)

ZONE = "example.test."
LABEL = st.text('abcXYZ019-_*\\."@;() ü。\uff57\x00\ud800', max_size=70)


@given(st.lists(LABEL, max_size=6).map(".".join), st.sampled_from([None, ZONE, "."]))
def test_a_name_is_refused_or_canonical_and_stays_as_it_is(text: str, origin: str | None) -> None:
    try:
        name = parse_name(text, origin)
    except NameRefused:
        return
    assert parse_name(name) == name
    assert parse_name(name, origin) == name
    assert name == name.lower()
    assert name.isascii()
    assert name.endswith(".")
    assert name_wire(name) == dns.name.from_text(name).to_wire()


@st.composite
def wire_names(draw: st.DrawFn) -> dns.name.Name:
    """Return any name that DNS can carry: any octets, labels of 1 to 63, 255 in all."""
    labels: list[bytes] = []
    left = 254
    for _ in range(draw(st.sampled_from((1, 2, 3, 5, 127)))):
        if left < 2:
            break
        size = min(63, left - 1)
        label = draw(st.binary(min_size=1, max_size=size) | st.just(b"*") | st.just(b"x" * size))
        labels.append(label)
        left -= 1 + len(label)
    return dns.name.Name((*labels, b""))


@given(wire_names(), st.sampled_from([None, ZONE, ".", r"a\.b.test."]))
def test_every_name_that_dns_can_carry_is_printed_and_parsed_back_as_the_same(
    name: dns.name.Name, origin: str | None
) -> None:
    printed = print_name(name)
    assert printed.isascii()
    assert printed.isprintable()
    assert " " not in printed
    assert parse_name(printed, origin) == printed
    assert name_wire(printed) == name.to_digestable()
    assert name_from_wire(name.to_wire() or b"") == printed
    assert printed == parse_name(name.to_text(), origin)


@given(wire_names())
def test_two_names_have_one_text_only_if_they_differ_in_the_case_of_ascii_letters(name: dns.name.Name) -> None:
    other = dns.name.Name(tuple(bytes(octet ^ 0x20 for octet in label) for label in name.labels))
    assert (print_name(name) == print_name(other)) == (name == other)


@given(wire_names().filter(lambda name: len(name.to_wire() or b"") <= 240))
def test_a_name_below_a_zone_is_known_by_its_relative_text(name: dns.name.Name) -> None:
    relative = dns.name.Name(name.labels[:-1])
    absolute = relative.derelativize(dns.name.from_text(ZONE))
    if relative.labels[-2:] != (b"example", b"test"):
        assert parse_name(relative.to_text(), ZONE) == print_name(absolute)
    assert is_within(print_name(absolute), ZONE)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Café Printer._ipp._tcp", r"Caf\195\169\032Printer._ipp._tcp"),
        ("Café._ipp._tcp", r"Caf\195\169._ipp._tcp"),
        (r"Caf\195\169é", r"Caf\195\169\195\169"),
        ("a b", r"a\032b"),
    ],
)
def test_the_refusal_of_a_name_in_utf8_says_how_to_write_it(text: str, written: str) -> None:
    with pytest.raises(NameRefused) as caught:
        parse_name(text, ZONE)
    assert str(caught.value).endswith(f"write {written}")
    assert parse_name(written, ZONE)


def test_the_refusal_of_a_control_character_says_how_to_write_it() -> None:
    with pytest.raises(NameRefused, match=r"written '\\009'"):
        parse_name("a\tb", ZONE)


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    with suppress(NameRefused):
        assert parse_name(text, ZONE)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("www", "www.example.test."),
        ("WWW", "www.example.test."),
        ("@", "example.test."),
        ("*", "*.example.test."),
        ("a.b", "a.b.example.test."),
        ("www.example.test.", "www.example.test."),
        ("_sip._tcp", "_sip._tcp.example.test."),
        ("bücher", "xn--bcher-kva.example.test."),
        ("straße", "xn--strae-oqa.example.test."),
        ("XN--BCHER-KVA", "xn--bcher-kva.example.test."),
        ("_a.bücher", "_a.xn--bcher-kva.example.test."),
        (r"\065", "a.example.test."),
        (r"a\.b", r"a\.b.example.test."),
        (r"a\032b", r"a\032b.example.test."),
        ("other.", "other."),
        (r"a\000b", r"a\000b.example.test."),
        (r"Caf\195\169\032Printer._ipp", r"caf\195\169\032printer._ipp.example.test."),
        (r"tab\009x", r"tab\009x.example.test."),
        (r"\127", r"\127.example.test."),
        (r"\@", r"\@.example.test."),
        ("heritage.*.apps", "heritage.*.apps.example.test."),
        ("*.*", "*.*.example.test."),
        (r"example\.test", r"example\.test.example.test."),
        (r"x\.example.test.", r"x\.example.test."),
        (r"a\.", r"a\..example.test."),
    ],
)
def test_each_way_to_write_a_name_gives_its_canonical_form(text: str, name: str) -> None:
    assert parse_name(text, ZONE) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a..b",
        ".a",
        "example.test",
        "www.example.test",
        "WWW.Example.TEST",
        "a b",
        "a ",
        " a",
        "a\tb",
        "a\nb",
        "a\x00b",
        r"a\256b",
        r"a\25",
        "a\\",
        "\uff57\uff57\uff57",
        "a。b",
        "a\uff0eb",
        "a｡b",
        "Bücher",
        "u\u0308",
        "a\u200db",
        "\u202eabc",
        "\u0663",
        "²",
        "\ud800",
        r"a\.ü",
        r"\252.ü",
        "a" * 64,
        "ü" * 64,
        ".".join(["a" * 63] * 4),
    ],
)
def test_a_name_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(NameRefused, match="expected"):
        parse_name(text, ZONE)


def test_an_at_sign_means_nothing_without_a_zone() -> None:
    with pytest.raises(NameRefused, match="without a zone"):
        parse_name("@")


def test_a_label_of_63_octets_and_a_name_of_255_are_taken() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61]) + "."
    assert len(name_wire(parse_name(longest))) == 255


def test_a_name_of_256_octets_is_refused() -> None:
    with pytest.raises(NameRefused, match="255 octets"):
        parse_name(".".join(["a" * 63] * 3 + ["a" * 62]) + ".")


@pytest.mark.parametrize("text", ["a" * 10**6, "a." * 500_000, "ü." * 500_000, "\\." * 500_000, " " * 10**6])
def test_a_huge_text_is_refused_at_once_and_not_repeated(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(NameRefused) as caught:
        parse_name(text)
    assert len(str(caught.value)) < 1_000
    assert time.process_time() - begun < 0.1


def test_letters_are_never_mapped_to_others() -> None:
    for text in ("ﬁ", "\u017f", "\u212a", "İ", "Ⅷ"):
        with pytest.raises(NameRefused):
            encode_labels(text)


@pytest.mark.parametrize(
    ("name", "apex", "within"),
    [
        ("example.test.", "example.test.", True),
        ("a.example.test.", "example.test.", True),
        ("aexample.test.", "example.test.", False),
        ("test.", "example.test.", False),
        (r"a\.example.test.", "example.test.", False),
        (r"\..example.test.", "example.test.", True),
        ("anything.", ".", True),
        (".", ".", True),
    ],
)
def test_a_name_is_within_its_zone_by_labels_not_by_text(name: str, apex: str, within: bool) -> None:
    assert is_within(name, apex) is within


def test_the_fence_has_its_name_in_every_zone() -> None:
    assert fence_name(ZONE) == "_dnsguard.example.test."
    assert fence_name(".") == "_dnsguard."
    assert name_wire(".") == b"\0"


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("a.b.example.", "b.example."),
        ("example.", "."),
        (r"a\.b.example.", "example."),
        (r"a\\.b.", "b."),
        ("*.a.", "a."),
    ],
)
def test_the_parent_of_a_name_is_the_name_without_its_first_label(name: str, parent: str) -> None:
    assert parent_name(name) == parent


def test_the_names_above_a_name_go_up_to_the_apex() -> None:
    assert list(names_above(r"a.b\.c.\\.z.test.", "z.test.")) == [r"b\.c.\\.z.test.", r"\\.z.test.", "z.test."]
    assert list(names_above("z.test.", "z.test.")) == list(names_above("y.test.", "z.test.")) == []
    assert list(names_above("a.test.", ".")) == ["test.", "."]
