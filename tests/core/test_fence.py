"""The fence: its text says one thing, and nothing else is taken for a fence."""

import re

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
        of = draw(st.integers(2, 10**9 - 1))
        base, done, order = draw(st.integers(0, generation - 1)), draw(st.integers(1, of - 1)), draw(st.integers(0, 9))
        progress = Progress(base, done, of, order)
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
        f"v=1 h={H} g=2 d={D} base=1 done=1 of=1000000000",
        f"v=1 h={H} g=2 d={D} base=1 done=2 of=1000000002",
        f"v=1 h={H} g=2 d={D} base=1 done=1 of=10000000002",
        f"v=1 h={H} g=2 d={D} base=1 done=1 of=2 order=1",
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


FORM_WITHOUT_ORDER = re.compile(
    r"v=1 h=(?P<history>[0-9a-f]{16}) g=(?P<generation>[1-9][0-9]{0,17}) d=(?P<digest>[0-9a-f]{16})"
    r"(?: base=(?P<base>0|[1-9][0-9]{0,17}) done=(?P<done>[1-9][0-9]{0,9}) of=(?P<of>[1-9][0-9]{0,9}))?"
)
"""What daemons read that know of no order. To them anything else is a record of somebody else's, and halts the zone."""


@given(fences())
def test_a_daemon_that_knows_of_no_order_reads_every_fence_and_never_a_position_in_its_own_order(fence: Fence) -> None:
    read = FORM_WITHOUT_ORDER.fullmatch(str(fence))
    assert read is not None
    assert int(read["generation"]) == fence.generation
    if fence.progress is not None:
        part = fence.progress
        assert int(read["done"]) < int(read["of"])
        assert (int(read["of"]) == part.of) == (part.order == 0)
        assert part.order == 0 or int(read["of"]) >= 10**9  # more RRsets than any publication has


def test_the_order_of_a_publication_is_part_of_its_fence() -> None:
    assert str(Fence(H, 2, D, Progress(1, 300, 900, 1))).endswith(" base=1 done=300 of=1000000900")
    assert parse_fence((rdata(f"v=1 h={H} g=2 d={D} base=1 done=300 of=900"),)).progress == Progress(1, 300, 900, 0)


def test_the_fence_stands_below_the_apex() -> None:
    assert fence_key("example.test.") == Key("_dnsguard.example.test.", "TXT")
