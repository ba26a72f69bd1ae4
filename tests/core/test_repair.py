"""Repairs come at growing intervals, and so often an hour at most."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.repair import WINDOW_S, repair_due_at


def fought_for(seconds: float, per_hour_max: int) -> list[float]:
    """When an RRset is repaired that somebody changes again at once, every time."""
    times: list[float] = []
    now = 1_000_000.0
    end = now + seconds
    while now < end:
        times.append(now)
        now = repair_due_at([at for at in times if at >= now - WINDOW_S], per_hour_max)
    return times


def test_what_was_never_repaired_is_repaired_at_once() -> None:
    assert repair_due_at([], 3) == 0


def test_intervals_grow() -> None:
    assert [late - early for early, late in pairwise(fought_for(86_400, 100))] == [60, 240, 960, 3840, 15360, 61440]


def test_somebody_who_changes_it_again_at_once_is_fought_seven_times_a_day_at_most() -> None:
    assert len(fought_for(86_400, 100)) == 7


@given(st.integers(1, 5))
def test_within_any_hour_there_are_no_more_repairs_than_allowed(per_hour_max: int) -> None:
    times = fought_for(86_400, per_hour_max)
    for at in times:
        assert sum(at <= other < at + 3600 for other in times) <= per_hour_max
