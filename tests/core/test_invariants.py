"""The invariants: each catches the violation that it is for, and lets right behaviour through."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import Entry, PlanState
from dnsguard.core.invariants import (
    Violation,
    accountable,
    cleanup_harmless,
    contained,
    forward,
    healed,
    never_empty,
    nothing_lost,
    origins,
    prefix,
    standing,
    unpublished,
)
from dnsguard.core.names import name_wire
from dnsguard.core.plan import Absence, Change, Wanted, fold, state_at
from dnsguard.core.records import Key, Records

A, B, C = (Key(f"{name}.example.test.", "A") for name in "abc")
ONE, TWO, THREE, ODD = (Records(60, (bytes((192, 0, 2, n)),)) for n in (1, 2, 3, 99))
HISTORY = (
    Change(A, ONE, 1),
    Change(B, ONE, 1),
    Change(A, TWO, 2),
    Change(B, TWO, 3),
    Change(C, ONE, 3),
    Change(A, THREE, 3),
    Change(C, Absence.RETIRED, 4),
    Change(B, Absence.UNCOVERED, 5),
)


def fence(generation: int, progress: Progress | None = None) -> Fence:
    return Fence("0" * 16, generation, "d" * 16, progress)


def caught(violation: Violation | None, number: int) -> bool:
    assert violation is None or violation.number == number
    return violation is not None


@pytest.mark.parametrize("generation", [1, 2, 3, 4])
def test_the_state_at_the_fence_is_right_and_any_other_is_not(generation: int) -> None:
    state = state_at(HISTORY, generation)
    assert prefix(HISTORY, fence(generation), state) is None
    for key in state:
        assert caught(prefix(HISTORY, fence(generation), {**state, key: ODD}), 1)
        assert caught(prefix(HISTORY, fence(generation), {k: v for k, v in state.items() if k != key}), 1)


def test_an_old_plan_over_a_newer_fence_is_caught() -> None:
    assert caught(prefix(HISTORY, fence(3), state_at(HISTORY, 2)), 1)


def test_what_is_retired_is_gone_and_what_is_withdrawn_may_be_anything() -> None:
    assert caught(prefix(HISTORY, fence(4), {A: THREE, B: TWO, C: ONE}), 1)
    for found in ({A: THREE}, {A: THREE, B: ODD}):
        assert prefix(HISTORY, fence(5), found) is None


def test_who_looked_at_some_rrsets_only_judges_those() -> None:
    assert prefix(HISTORY, fence(3), {A: THREE}, {A}) is None
    assert caught(prefix(HISTORY, fence(3), {A: TWO}, {A}), 1)


@given(st.integers(0, 3), st.integers(0, 3))
def test_each_step_of_a_publication_in_parts_is_right(base: int, done: int) -> None:
    changes = fold(change for change in HISTORY if base < change.generation <= 4)
    done = min(done, len(changes) - 1)
    wire = state_at(HISTORY, base)
    for change in changes[:done]:
        wire.pop(change.key, None)
        if isinstance(change.wanted, Records):
            wire[change.key] = change.wanted
    under_way = fence(4, Progress(base, done, len(changes))) if done else fence(base)
    assert base == 0 or prefix(HISTORY, under_way, wire) is None


def test_what_the_fence_counts_as_done_is_at_the_target() -> None:
    under_way = fence(3, Progress(1, 1, 3))
    assert prefix(HISTORY, under_way, {A: THREE, B: ONE}) is None
    assert caught(prefix(HISTORY, under_way, {A: TWO, B: ONE}), 1)
    assert caught(prefix(HISTORY, under_way, {A: ONE, B: ONE}), 1)


def test_which_ones_are_done_depends_on_the_order_that_the_fence_names() -> None:
    mail = Records(60, (b"\0\x0a" + name_wire(B.name),))
    mx = Key(A.name, "MX")
    history = (Change(B, ONE, 1), Change(mx, mail, 3), Change(B, TWO, 3))
    by_name, targets_first = fence(3, Progress(1, 1, 2, 0)), fence(3, Progress(1, 1, 2, 1))
    for wire, allowed in (({B: TWO}, targets_first), ({mx: mail, B: ONE}, by_name)):
        for under_way in (by_name, targets_first):
            broken = prefix(history, under_way, wire)
            assert broken is None if under_way is allowed else caught(broken, 1)
        assert prefix(history, fence(3, Progress(1, 1, 2, 9)), wire) is None


def test_what_an_overtaken_publication_left_is_between_base_and_target() -> None:
    overtaking = fence(4, Progress(1, 1, 3))
    assert prefix(HISTORY, overtaking, {A: THREE, B: TWO, C: ONE}) is None
    assert caught(prefix(HISTORY, overtaking, {A: THREE, B: ODD}), 1)


def test_what_went_out_before_its_plan_was_rejected_may_stand_until_the_publication_is_complete() -> None:
    rejected = (Change(A, ODD, 2),)
    history = tuple(change for change in HISTORY if change.generation != 2)
    assert prefix(history, fence(4, Progress(1, 1, 9)), {A: ODD, B: ONE}, rejected=rejected) is None
    assert caught(prefix(history, fence(4, Progress(1, 1, 9)), {A: ODD, B: ONE}), 1)
    assert caught(prefix(history, fence(4), {A: ODD, B: TWO}, rejected=rejected), 1)
    assert caught(prefix(history, fence(4, Progress(1, 1, 3)), {A: ODD, B: ONE}, rejected=rejected), 1)


def test_parts_of_a_publication_may_be_written_again() -> None:
    assert forward(fence(3, Progress(1, 2, 3)), fence(3, Progress(1, 1, 3)), {}, {}) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (fence(3), fence(2)),
        (fence(3), None),
        (fence(3), fence(3, Progress(1, 2, 3))),
    ],
)
def test_a_fence_that_goes_back_is_caught(before: Fence | None, after: Fence | None) -> None:
    assert caught(forward(before, after, {}, {}), 2)
    assert before is None or forward(before, before, {}, {}) is None
    assert forward(None, before, {}, {}) is None
    if after is not None:
        assert forward(after, before, {}, {}) is None


def test_an_overtaking_publication_goes_forward_though_it_counts_anew() -> None:
    assert forward(fence(3, Progress(1, 2, 3)), fence(4, Progress(1, 1, 9)), {}, {}) is None


def test_an_rrset_that_shows_older_contents_again_is_caught() -> None:
    newer = origins(HISTORY, {A: THREE, B: TWO})
    older = origins(HISTORY, {A: TWO, B: TWO}, newer)
    assert (newer[A], older[A]) == (3, 2)
    assert caught(forward(fence(3), fence(3), newer, older), 2)
    assert forward(fence(2), fence(3), older, newer) is None


def test_contents_that_recur_in_a_newer_plan_are_no_step_back() -> None:
    history = (*HISTORY, Change(A, ONE, 6))
    seen: dict[Key, int] = {}
    for wire, generation in (({A: ONE}, 1), ({A: THREE}, 3), ({A: ONE}, 6)):
        now = origins(history, wire, seen)
        assert now[A] == generation
        assert forward(None, None, seen, now) is None
        seen = now


@pytest.mark.parametrize(
    ("at", "before", "after", "right"),
    [
        (fence(3), {A: TWO}, {A: THREE}, True),
        (fence(3), {A: TWO}, {}, False),
        (None, {A: TWO}, {}, False),
        (fence(4), {C: ONE}, {}, True),
        (fence(3), {C: ONE}, {}, False),
        (fence(4, Progress(3, 1, 2)), {C: ONE}, {}, True),
        (fence(5), {B: TWO}, {}, False),
        (fence(5), {B: ODD}, {}, True),
        (fence(3), {Key("foreign.example.test.", "A"): ONE}, {}, True),
    ],
)
def test_an_rrset_without_records_is_caught_unless_a_plan_retires_it(
    at: Fence | None, before: Mapping[Key, Records], after: Mapping[Key, Records], right: bool
) -> None:
    assert caught(never_empty(HISTORY, at, before, after), 3) is not right


def test_a_retirement_that_the_policy_forbids_is_caught() -> None:
    assert caught(never_empty(HISTORY, fence(4), {C: ONE}, {}, retire=False), 3)


def entry(generation: int, state: PlanState = PlanState.PUBLISHED, why: str | None = None) -> Entry:
    return Entry("example.test.", generation, "alice", "", 1.0, None, "d" * 16, state, 2.0, why, 1)


def test_an_acknowledged_plan_that_is_gone_is_caught() -> None:
    entries = {n: entry(n) for n in (1, 2, 3)}
    assert nothing_lost([1, 2, 3], entries, quiet=True) is None
    assert caught(nothing_lost([4], entries), 4)
    assert nothing_lost([1, 4], {4: entry(4)}, kept_from=1) is None
    assert caught(nothing_lost([2, 4], {4: entry(4)}, kept_from=1), 4)


def test_a_rejection_without_a_reason_is_caught() -> None:
    for state in (PlanState.REJECTED, PlanState.FAULTED):
        assert caught(nothing_lost([1], {1: entry(1, state)}), 4)
        assert nothing_lost([1], {1: entry(1, state, "SERVFAIL")}, quiet=True) is None


@pytest.mark.parametrize("state", [PlanState.ACCEPTED, PlanState.PUBLISHING])
def test_a_plan_that_nobody_settles_is_caught_once_all_is_quiet(state: PlanState) -> None:
    assert nothing_lost([1], {1: entry(1, state)}) is None
    assert caught(nothing_lost([1], {1: entry(1, state)}, quiet=True), 4)


def test_forgetting_what_is_superseded_is_harmless() -> None:
    kept = tuple(change for change in HISTORY if change not in {HISTORY[0], HISTORY[2]})
    assert cleanup_harmless(HISTORY, kept, (3, 4, 5)) is None
    assert caught(cleanup_harmless(HISTORY, kept, (2, 3)), 5)


@pytest.mark.parametrize("forgotten", [change for change in HISTORY if change.generation in {3, 4}])
def test_forgetting_what_is_live_is_caught(forgotten: Change) -> None:
    kept = tuple(change for change in HISTORY if change is not forgotten)
    assert caught(cleanup_harmless(HISTORY, kept, (3, 4, 5)), 5)


def test_a_zone_that_does_not_reach_its_newest_generation_is_caught() -> None:
    assert healed(0, None) is None
    assert healed(4, fence(4)) is None
    for at in (None, fence(3), fence(5), fence(4, Progress(3, 1, 2))):
        assert caught(healed(4, at), 6)


def test_contents_that_no_plan_ever_said_are_caught() -> None:
    entries = {n: entry(n) for n in range(1, 6)}
    assert accountable(HISTORY, entries, {A: THREE, B: ODD, Key("x.example.test.", "A"): ODD}) is None
    assert caught(accountable(HISTORY, entries, {A: ODD}), 7)
    assert accountable(HISTORY, entries, {A: ODD}, {C}) is None


def test_contents_of_which_nobody_knows_by_whom_are_caught() -> None:
    entries = {n: entry(n) for n in range(1, 6)}
    assert caught(accountable(HISTORY, {n: e for n, e in entries.items() if n != 3}, {A: THREE}), 7)
    assert caught(accountable(HISTORY, {**entries, 3: replace(entries[3], actor="")}, {A: THREE}), 7)
    assert caught(accountable(HISTORY, {**entries, 3: replace(entries[3], accepted_at=0)}, {A: THREE}), 7)


@given(st.integers(0, 6))
def test_what_stands_is_the_state_with_retirements(generation: int) -> None:
    wanted: dict[Key, Wanted] = standing(HISTORY, generation)
    assert {key: each for key, each in wanted.items() if isinstance(each, Records)} == state_at(HISTORY, generation)
    assert Absence.UNCOVERED not in wanted.values()


def test_a_name_that_is_held_up_by_another_one_is_caught() -> None:
    history = (Change(A, ONE, 1), Change(B, ONE, 1), Change(B, TWO, 3))
    wire = {A: ONE, B: TWO}
    assert contained(history, wire, (A, B), (), (A.name,)) is None
    assert caught(contained(history, {A: ONE, B: ONE}, (A, B), (), (A.name,)), 8)
    assert contained(history, {A: ONE, B: ONE}, (A,), (), (A.name,)) is None


def test_a_plan_that_waits_for_nothing_is_caught() -> None:
    waiting = (Change(A, TWO, 2), Change(B, TWO, 2))
    assert contained((), {}, (A, B), waiting, (A.name,)) is None
    assert caught(contained((), {}, (A, B), waiting, (C.name,)), 8)


def test_contents_of_a_withdrawn_plan_are_caught_unless_another_plan_wants_the_same() -> None:
    withdrawn = (Change(A, TWO, 2),)
    assert unpublished((Change(A, ONE, 1),), withdrawn, {A: ONE}) is None
    assert caught(unpublished((Change(A, ONE, 1),), withdrawn, {A: TWO}), 4)
    assert unpublished((Change(A, ONE, 1), Change(A, TWO, 3)), withdrawn, {A: TWO}) is None
