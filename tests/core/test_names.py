"""Names: one canonical text for each, and a refusal for whatever could be read in two ways."""

import time
from contextlib import suppress

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.names import NameRefused, encode_labels, fence_name, is_within, name_wire, parse_name

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
        r"a\000b",
        r"a\255b",
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
        "a.*",
        "*.*",
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
