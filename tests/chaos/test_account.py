"""A run counts only if all was there that should be: what is missing is said, and what cannot be here is no excuse."""

from dataclasses import replace

import pytest

from tests.chaos.account import Account, Conditions
from tests.chaos.history import PRIMARY, Answered, Anything, Look
from tests.chaos.kinds import CLOCK, FULL, KINDS, LOST, impossible
from tests.chaos.story import stories

ZONE = "account.chaos.test."
CONDITIONS = Conditions(
    primary="bind",
    mode="guarded",
    enclosed=True,
    seed=1,
    began=10.0,
    stormed=20.0,
    impossible={},
    without=(),
    fired=dict.fromkeys(KINDS, 1),
    idle={},
    refused_writes=1,
    held_rcodes={},
    unanswered=(),
    turned_away=1,
    unread=0,
    words=(),
)


def account(
    conditions: Conditions = CONDITIONS, *, plans: int = 200, looks: int = 1000, all_told: bool = True
) -> Account:
    lines: list[Anything] = [
        Answered(ZONE, plan, 11.0, 12.0, 200, plan, "published", propagated=all_told) for plan in range(1, plans + 1)
    ]
    lines += [Look(ZONE, PRIMARY, 0, 12.0, 12.1, f"a.{ZONE} A", None)] * looks
    return Account(conditions, stories(lines), ())


def test_a_run_with_all_that_it_should_have_counts() -> None:
    assert account().missing() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_without_an_effect_of_some_kind_of_fault_does_not_count(kind: str) -> None:
    conditions = replace(CONDITIONS, fired={**CONDITIONS.fired, kind: 0}, idle={kind: 3})
    assert account(conditions).missing() == [f"no fault of the kind '{kind}' had an effect"]
    assert account(replace(conditions, without=(kind,))).missing() == []


@pytest.mark.parametrize("kind", [LOST, FULL, CLOCK])
def test_what_is_impossible_here_is_said_and_keeps_a_run_from_counting_unless_it_was_left_out(kind: str) -> None:
    why = {each: why for each, why in impossible(enclosed=False, clocked=False).items() if each == kind}
    conditions = replace(CONDITIONS, fired={**CONDITIONS.fired, kind: 0}, impossible=why, turned_away=kind != FULL)
    missing = account(conditions).missing()
    assert [kind in said and "impossible here" in said for said in missing] == [True]
    assert f"impossible here: {why[kind]}" in account(conditions).table()
    assert account(replace(conditions, without=(kind,))).missing() == []


@pytest.mark.parametrize(
    ("short", "said"),
    [
        (account(plans=199), "accepted plans a second"),
        (account(looks=999), "observations a second"),
        (account(all_told=False), "no plan was told to have propagated"),
        (account(replace(CONDITIONS, refused_writes=0)), "no fenced write was refused"),
        (account(replace(CONDITIONS, turned_away=0)), "nobody was turned away"),
        (account(replace(CONDITIONS, unanswered=["plan 3: 503"])), "no answer in the end"),
        (account(replace(CONDITIONS, unread=2)), "of 2 plans nobody could read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_run_lacks_is_said(short: Account, said: str) -> None:
    assert [said in missing for missing in short.missing()] == [True]


def test_a_plan_that_is_answered_twice_is_accepted_once() -> None:
    lines: list[Anything] = [Answered(ZONE, 1, 11.0, 12.0, 202, 1, "accepted")] * 2
    assert Account(CONDITIONS, stories(lines), ()).figures()["plans accepted"] == 1
