"""The display never lets foreign text steer a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.cli.display import duration, visible


@given(st.text())
def test_no_text_can_steer_a_terminal(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert text != shown or text.isprintable()


def test_what_is_not_printable_is_written_out() -> None:
    assert visible("a\x1b[31m\n\u202eb") == r"a\x1b[31m\n\u202eb"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (-1, "0 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h")]
)
def test_a_duration_is_said_in_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words
