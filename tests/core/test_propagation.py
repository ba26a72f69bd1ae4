"""How name servers stand is judged by what they serve, what they served before, and what the history says of it."""

from dataclasses import replace

import pytest

from dnsguard.core.fence import Fence, Progress, fence_rdata
from dnsguard.core.history import Zone
from dnsguard.core.message import Unreachable
from dnsguard.core.propagation import Served, Standing, Tracked, judge, propagated
from dnsguard.core.written import Seen

HISTORY = "0123456789abcdef"
ZONE = Zone("example.test.", HISTORY, 9, 8, 0, None, None, None, None, 0, None)
DIGEST = "0" * 16
NEW = Served("ns1")


def fence(generation: int, progress: Progress | None = None) -> Fence:
    return Fence(HISTORY, generation, DIGEST, progress)


def seen(at: Fence | None) -> Seen:
    return Seen((), None) if at is None else Seen((fence_rdata(at),), at)


def tracked(*ours: Fence, after: dict[int, float] | None = None, served: dict[str, int] | None = None) -> Tracked:
    return Tracked(ZONE, frozenset(ours), after or {}, served or {})


def look(before: Served, at: Fence, asked_at: float = 100.0, *, after: dict[int, float] | None = None) -> Served:
    return judge(before, seen(at), tracked(at, after=after), asked_at=asked_at, lag_s_max=30.0)


def test_who_serves_what_is_published_is_current_since_then() -> None:
    first = look(NEW, fence(8))
    assert (first.standing, first.generation, first.behind, first.since) == (Standing.CURRENT, 8, 0, 100.0)
    again = look(first, fence(8), 200.0)
    assert (again.since, again.asked_at) == (100.0, 200.0)


def test_a_publication_under_way_does_not_count_as_its_target() -> None:
    found = look(NEW, fence(8, Progress(6, 1, 3)), after={6: 90.0})
    assert (found.standing, found.generation, found.behind) == (Standing.BEHIND, 6, 2)


def test_who_is_behind_for_long_lags() -> None:
    after = {5: 90.0}
    found = look(NEW, fence(5), after=after)
    assert (found.standing, found.behind, found.behind_since) == (Standing.BEHIND, 3, 90.0)
    assert look(found, fence(5), 121.0, after=after).standing is Standing.LAGGING


def test_who_serves_less_than_before_goes_backwards_until_it_serves_as_much_again() -> None:
    found = look(look(NEW, fence(7)), fence(5))
    assert (found.standing, found.generation, found.highest) == (Standing.BACKWARDS, 5, 7)
    assert "generation 7" in found.detail
    assert look(found, fence(6)).standing is Standing.BACKWARDS
    assert look(found, fence(8)).standing is Standing.CURRENT
    gone = judge(found, seen(None), tracked(), asked_at=100.0, lag_s_max=30.0)
    assert (gone.standing, gone.generation) == (Standing.BACKWARDS, 0)


def test_going_backwards_is_seen_over_a_restart_too() -> None:
    found = judge(NEW, seen(fence(5)), tracked(fence(5), served={"ns1": 8}), asked_at=1.0, lag_s_max=30.0)
    assert (found.standing, found.highest) == (Standing.BACKWARDS, 8)
    other = judge(NEW, seen(fence(5)), tracked(fence(5), served={"ns2": 8}), asked_at=1.0, lag_s_max=30.0)
    assert other.standing is Standing.BEHIND


def test_the_silent_keep_what_was_known_of_them() -> None:
    before = look(NEW, fence(8))
    found = judge(before, Unreachable("no answer"), tracked(after={}), asked_at=101.0, lag_s_max=30.0)
    assert (found.standing, found.generation, found.detail, found.since) == (Standing.SILENT, 8, "no answer", 101.0)


@pytest.mark.parametrize(
    "shown",
    [
        Seen((b"\x05hello",), None),
        seen(Fence("f" * 16, 8, DIGEST)),
        seen(Fence(HISTORY, 8, "1" * 16)),
    ],
    ids=["unreadable", "another history", "another chain"],
)
def test_what_was_not_written_from_this_history_is_foreign_and_counts_for_nothing(shown: Seen) -> None:
    found = judge(look(NEW, fence(8)), shown, tracked(fence(8)), asked_at=101.0, lag_s_max=30.0)
    assert (found.standing, found.generation, found.highest) == (Standing.FOREIGN, None, 8)
    assert HISTORY in found.detail
    assert propagated([found], 8) is None


def test_a_plan_has_propagated_when_the_slowest_serves_it() -> None:
    at = [replace(NEW, standing=Standing.CURRENT, generation=generation) for generation in (8, 6, 9)]
    assert propagated(at, 8) == 6
    assert propagated(at[::2], 8) == 8
    assert propagated([], 8) == 8


@pytest.mark.parametrize("standing", [Standing.SILENT, Standing.FOREIGN, Standing.UNASKED])
def test_nothing_propagates_while_one_gives_no_usable_answer(standing: Standing) -> None:
    at = [replace(NEW, standing=Standing.CURRENT, generation=8), replace(NEW, standing=standing, generation=8)]
    assert propagated(at, 8) is None
