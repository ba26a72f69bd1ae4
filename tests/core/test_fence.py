"""The fence: its text says one thing, and nothing else is taken for a fence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.fence import GENERATION_MAX, Fence, FenceUnreadable, Progress, fence_key, fence_rdata, parse_fence
from dnsguard.core.records import Key

DIGITS = st.text("0123456789abcdef", min_size=16, max_size=16)
H, D = "0123456789abcdef", "fedcba9876543210"


@st.composite
def fences(draw: st.DrawFn) -> Fence:
    generation = draw(st.integers(1, GENERATION_MAX))
    progress = None
    if draw(st.booleans()):
        of = draw(st.integers(2, 10**9))
        progress = Progress(draw(st.integers(0, generation - 1)), draw(st.integers(1, of - 1)), of)
    return Fence(draw(DIGITS), generation, draw(DIGITS), progress)


def rdata(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


@given(fences())
def test_a_fence_reads_back_as_it_was_written(fence: Fence) -> None:
    assert parse_fence((fence_rdata(fence),)) == fence


@given(fences(), fences())
def test_two_fences_never_share_a_text(one: Fence, other: Fence) -> None:
    assert (fence_rdata(one) == fence_rdata(other)) == (one == other)


@given(fences())
def test_a_fence_is_lower_case_so_that_no_server_confuses_two(fence: Fence) -> None:
    assert str(fence) == str(fence).lower()
    assert str(fence).isascii()


@given(st.lists(st.binary(max_size=90), max_size=2).map(tuple))
def test_no_rdata_raises_anything_but_unreadable(rdatas: tuple[bytes, ...]) -> None:
    with pytest.raises(FenceUnreadable):
        parse_fence(rdatas)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"v=2 h={H} g=1 d={D}",
        f"V=1 h={H} g=1 d={D}",
        f"v=1 h={H.upper()} g=1 d={D}",
        f"v=1 h={H} g=1 d={D.upper()}",
        f"v=1 h={H} g=0 d={D}",
        f"v=1 h={H} g=01 d={D}",
        f"v=1 h={H} g=-1 d={D}",
        f"v=1 h={H} g={GENERATION_MAX + 1} d={D}",
        f"v=1 h={H} g=\u0661 d={D}",
        f"v=1 h={H[1:]} g=1 d={D}",
        f"v=1 h={H} g=1 d={D} ",
        f" v=1 h={H} g=1 d={D}",
        f"v=1  h={H} g=1 d={D}",
        f"v=1 h={H} g=1 d={D}\n",
        f"v=1 g=1 h={H} d={D}",
        f"v=1 h={H} g=2 d={D} base=1",
        f"v=1 h={H} g=2 d={D} base=1 done=0 of=2",
        f"v=1 h={H} g=2 d={D} base=1 done=2 of=2",
        f"v=1 h={H} g=2 d={D} base=2 done=1 of=2",
        f"v=1 h={H} g=2 d={D} base=01 done=1 of=2",
    ],
)
def test_nothing_but_a_fence_is_taken_for_one(text: str) -> None:
    with pytest.raises(FenceUnreadable):
        parse_fence((rdata(text),))


def test_two_records_or_two_strings_are_no_fence() -> None:
    good = fence_rdata(Fence(H, 1, D))
    assert parse_fence((good,)).generation == 1
    for rdatas in ((), (good, good), (good + b"\x01x",), (good[:-1],), (b"",), (b"\0",), (b"\0" + good,)):
        with pytest.raises(FenceUnreadable):
            parse_fence(rdatas)


def test_what_is_complete_on_the_wire_is_the_base() -> None:
    assert Fence(H, 42, D).base == 42
    assert Fence(H, 42, D, Progress(39, 1, 3)).base == 39


def test_the_fence_stands_below_the_apex() -> None:
    assert fence_key("example.test.") == Key("_dnsguard.example.test.", "TXT")
