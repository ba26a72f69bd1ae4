"""Plans and histories: folding, states and digests follow their laws."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.plan import (
    Absence,
    Before,
    Change,
    Plan,
    Wanted,
    chain_digest,
    fold,
    make_plan,
    plan_digest,
    sort_key,
    state_at,
)
from dnsguard.core.records import Key, Records

ZONE = "example.test."
KEYS = st.builds(
    Key, st.sampled_from([ZONE, "a.example.test.", "b.example.test."]), st.sampled_from(["A", "TXT", "CNAME"])
)
WANTED: st.SearchStrategy[Wanted] = st.one_of(
    st.sampled_from(list(Absence)),
    st.builds(
        Records,
        st.integers(0, 9),
        st.sets(st.binary(min_size=1, max_size=2), min_size=1, max_size=3).map(sorted).map(tuple),
    ),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    plans = draw(st.lists(st.dictionaries(KEYS, WANTED, min_size=1, max_size=4), max_size=8))
    before = draw(st.sampled_from(list(Before)))
    return [
        Change(key, wanted, generation, before, draw(st.booleans()))
        for generation, plan in enumerate(plans, 1)
        for key, wanted in plan.items()
    ]


@given(histories())
def test_folding_twice_is_folding_once(history: list[Change]) -> None:
    assert fold(fold(history)) == fold(history)


@given(histories(), st.integers(0, 8))
def test_a_backlog_may_be_folded_piece_by_piece(history: list[Change], at: int) -> None:
    older = [change for change in history if change.generation <= at]
    newer = [change for change in history if change.generation > at]
    assert fold([*fold(older), *newer]) == fold(history)


@given(histories(), st.randoms(use_true_random=False))
def test_folding_does_not_depend_on_the_order_of_reading(history: list[Change], random: object) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a Random
    assert fold(shuffled) == fold(history)


@given(histories(), st.integers(0, 8))
def test_the_state_is_the_replay_of_the_plans(history: list[Change], generation: int) -> None:
    state: dict[Key, Records] = {}
    for change in history:
        if change.generation <= generation:
            state.pop(change.key, None)
            if isinstance(change.wanted, Records):
                state[change.key] = change.wanted
    assert state_at(history, generation) == state


@given(histories())
def test_folded_changes_come_name_by_name_with_the_cname_last(history: list[Change]) -> None:
    folded = fold(history)
    assert [sort_key(change.key) for change in folded] == sorted(sort_key(change.key) for change in folded)
    assert len({change.key for change in folded}) == len(folded)
    for one, other in pairwise(folded):
        assert one.key.name != other.key.name or one.key.type != "CNAME"


A = Key("a.example.test.", "A")
ONE, TWO, THREE = (Records(60, (bytes((192, 0, 2, n)),)) for n in (1, 2, 3))


def test_a_leave_to_adopt_is_not_lost_in_folding() -> None:
    plans = [Change(A, ONE, 1, Before.UNMANAGED, adopt=True), Change(A, TWO, 2, Before.UNMANAGED)]
    assert fold(plans) == (Change(A, TWO, 2, Before.UNMANAGED, adopt=True, earlier=(ONE,)),)


def test_a_withdrawn_plan_takes_its_leave_to_adopt_along() -> None:
    plans = [
        Change(A, ONE, 1, Before.UNMANAGED, adopt=True),
        Change(A, Absence.UNCOVERED, 2, Before.UNMANAGED),
        Change(A, TWO, 3, Before.UNMANAGED),
    ]
    assert not fold(plans)[0].adopt


def test_what_a_half_way_publication_may_have_written_is_remembered_where_nothing_is_managed() -> None:
    plans = [Change(A, wanted, n, Before.UNMANAGED) for n, wanted in enumerate((ONE, TWO, THREE), 1)]
    assert fold(plans)[0].earlier == (ONE, TWO)
    assert fold([replace(change, before=Before.HELD) for change in plans])[0].earlier == ()


@given(st.dictionaries(KEYS, WANTED, max_size=5))
def test_a_plan_is_the_same_whatever_the_order_it_was_written_in(rrsets: dict[Key, Wanted]) -> None:
    backwards = dict(reversed(list(rrsets.items())))
    assert make_plan(ZONE, rrsets) == make_plan(ZONE, backwards)
    assert plan_digest(make_plan(ZONE, rrsets)) == plan_digest(make_plan(ZONE, backwards))


@given(st.dictionaries(KEYS, WANTED, max_size=4), st.dictionaries(KEYS, WANTED, max_size=4))
def test_plans_that_want_something_else_have_other_digests(one: dict[Key, Wanted], other: dict[Key, Wanted]) -> None:
    same = plan_digest(make_plan(ZONE, one)) == plan_digest(make_plan(ZONE, other))
    assert same == (one == other)


@pytest.mark.parametrize(
    "other",
    [
        Plan(ZONE, ((A, TWO),)),
        Plan(ZONE, ((A, replace(ONE, ttl=61)),)),
        Plan(ZONE, ((A, Records(60, (*ONE.rdatas, *TWO.rdatas))),)),
        Plan(ZONE, ((A, Absence.RETIRED),)),
        Plan(ZONE, ((A, Absence.UNCOVERED),)),
        Plan(ZONE, ((Key(A.name, "AAAA"), ONE),)),
        Plan(ZONE, ((Key("b.example.test.", "A"), ONE),)),
        Plan("test.", ((A, ONE),)),
        Plan(ZONE, ((A, ONE),), adopt=True),
        Plan(ZONE, ()),
    ],
)
def test_whatever_a_plan_wants_is_in_its_digest(other: Plan) -> None:
    assert plan_digest(other) != plan_digest(Plan(ZONE, ((A, ONE),)))


def test_rdata_cannot_be_cut_otherwise_and_give_the_same_digest() -> None:
    one, other = Records(0, (b"a", b"bc")), Records(0, (b"ab", b"c"))
    assert plan_digest(Plan(ZONE, ((A, one),))) != plan_digest(Plan(ZONE, ((A, other),)))


def test_a_plan_of_more_records_than_any_message_holds_still_has_a_digest() -> None:
    many = Records(0, tuple(n.to_bytes(4, "big") for n in range(70_000)))
    assert len(plan_digest(Plan(ZONE, ((A, many),)))) == 32


def test_a_chain_differs_when_anything_in_it_does() -> None:
    links = {
        chain_digest(previous, generation, plan)
        for previous in ("", "0" * 16, "1" * 16)
        for generation in (1, 2, 12)
        for plan in (b"a" * 32, b"b" * 32)
    }
    assert len(links) == 18
    assert all(len(link) == 16 and link == link.lower() for link in links)
