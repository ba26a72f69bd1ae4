"""What becomes of a command line's records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.cli.quoting import quote_argument
from dnsguard.core.records import STRING_TYPES, parse_rdata


@pytest.mark.parametrize(
    ("rdtype", "argument", "record"),
    [
        ("TXT", "v=spf1 -all", '"v=spf1 -all"'),
        ("txt", "v=DKIM1;p=abc", '"v=DKIM1;p=abc"'),
        ("TXT", "(a)", '"(a)"'),
        ("TXT", "", '""'),
        ("TXT", "word", "word"),
        ("TXT", '"a" "b"', '"a" "b"'),
        ("TXT", r"v=DMARC1\; p=none", r"v=DMARC1\; p=none"),
        ("MX", "10 mail.example.test.", "10 mail.example.test."),
        ("TXT", "x" * 300, f'"{"x" * 255}" "{"x" * 45}"'),
    ],
)
def test_the_quotes_that_the_shell_ate_come_back(rdtype: str, argument: str, record: str) -> None:
    assert quote_argument(rdtype, argument) == record


@given(
    st.sampled_from(sorted(STRING_TYPES)), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=600)
)
def test_text_without_quotes_and_backslashes_is_published_to_the_letter(rdtype: str, text: str) -> None:
    text = text.replace('"', "'").replace("\\", "/")
    wire = parse_rdata(rdtype, quote_argument(rdtype, text))
    strings, at = b"", 0
    while at < len(wire):
        strings += wire[at + 1 : at + 1 + wire[at]]
        at += 1 + wire[at]
    assert strings == text.encode()


def test_a_long_text_is_never_cut_within_a_character() -> None:
    pieces = quote_argument("TXT", "ä" * 200).split(" ")
    assert [piece.strip('"') for piece in pieces] == ["ä" * 127, "ä" * 73]
