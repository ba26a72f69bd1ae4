"""What a plan changes of what is accepted, and when it changes nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.history import Replaced, Submission
from dnsguard.core.invariants import unchanged_kept
from dnsguard.core.plan import Absence, Change, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, parse_records
from dnsguard.core.submission import Standing, Submitted
from dnsguard.core.unchanged import judged, replaced, unchanged_at

ZONE = "example.test."
WWW, MAIL, NEW = Key(f"www.{ZONE}", "A"), Key(f"mail.{ZONE}", "A"), Key(f"new.{ZONE}", "A")
ONE, OTHER = parse_records("A", 300, ["192.0.2.1"]), parse_records("A", 300, ["192.0.2.2"])
STANDING = {WWW: Standing(ONE, 3, "ada", True), MAIL: Standing(Absence.RETIRED, 5, "ada", True)}
SAME: dict[Key, Wanted] = {WWW: ONE, MAIL: Absence.RETIRED}


def facts(rrsets: dict[Key, Wanted], standing: dict[Key, Standing] | None = None, **how: bool | int) -> Submitted:
    plan = make_plan(ZONE, rrsets, **how)  # type: ignore[arg-type]
    return Submitted(plan, Policy(), 9, STANDING if standing is None else standing, {NEW: OTHER})


def at(found: Submitted, **how: object) -> int | None:
    return unchanged_at(found, Submission(found.plan, "ada", 1.0, **how))  # type: ignore[arg-type]


def test_a_plan_that_wants_what_is_accepted_rests_on_the_newest_generation_of_it() -> None:
    assert at(facts(SAME)) == 5
    assert at(facts({WWW: ONE})) == 3


@pytest.mark.parametrize(
    "rrsets",
    [
        {WWW: OTHER},
        {WWW: replace(ONE, ttl=301)},
        {WWW: Absence.RETIRED},
        {MAIL: ONE},
        {WWW: ONE, NEW: ONE},
        {NEW: Absence.RETIRED},
    ],
)
def test_other_contents_another_ttl_or_one_rrset_more_is_a_change(rrsets: dict[Key, Wanted]) -> None:
    assert at(facts(rrsets)) is None


def test_a_plan_that_asks_for_a_generation_gets_one() -> None:
    assert at(facts(SAME), republish=True) is None
    assert at(facts(SAME, stated=12)) is None


def test_taking_over_what_is_not_published_yet_is_a_change_and_taking_it_over_again_is_none() -> None:
    pending = {WWW: Standing(ONE, 3, "ada", adopted=False)}
    assert at(facts({WWW: ONE}, pending, adopt=True)) is None
    assert at(facts({WWW: ONE}, pending, as_found=True)) is None
    assert at(facts({WWW: ONE}, adopt=True)) == at(facts({WWW: ONE}, as_found=True)) == 3
    assert at(facts({WWW: ONE}, pending)) == 3


def test_an_open_finding_makes_it_a_change_until_a_newer_plan_covers_the_rrset() -> None:
    assert at(facts(SAME), open_findings=((WWW, 3),)) is None
    assert at(facts(SAME), open_findings=((WWW, 8),)) is None
    assert at(facts(SAME), open_findings=((WWW, 2), (NEW, 9))) == 5


def test_a_plan_says_what_it_replaces_with_the_generation_that_it_had() -> None:
    found = replaced(facts({WWW: OTHER, MAIL: Absence.RETIRED, NEW: ONE}, adopt=True))
    assert found == (Replaced(NEW, OTHER, ONE, None), Replaced(WWW, ONE, OTHER, 3))


def test_a_dry_run_says_unchanged_only_of_a_plan_that_would_be_accepted() -> None:
    found = facts(SAME)
    submission = Submission(found.plan, "ada", 1.0)
    assert (judged(found, submission, ()).unchanged_at, judged(found, submission, ()).differences) == (5, ())
    changed = facts({WWW: OTHER})
    assert judged(changed, Submission(changed.plan, "ada", 1.0), ()).unchanged_at is None


WANTED = st.sampled_from([ONE, OTHER, Absence.RETIRED])
KEYS = st.sampled_from([WWW, MAIL, NEW])


@given(
    st.dictionaries(KEYS, WANTED, min_size=1),
    st.dictionaries(KEYS, st.builds(Standing, WANTED, st.integers(1, 9), st.just("ada"), st.just(True))),
)
def test_exactly_a_plan_of_what_is_accepted_is_unchanged_and_replaces_nothing(
    rrsets: dict[Key, Wanted], standing: dict[Key, Standing]
) -> None:
    found = facts(rrsets, standing)
    generation = at(found)
    covered = all(key in standing for key in rrsets)
    same = covered and all(standing[key].wanted == wanted for key, wanted in rrsets.items())
    assert (generation is not None) == same
    assert not (same and replaced(found))
    if generation is not None:
        history = [Change(key, each.wanted, each.generation) for key, each in standing.items()]
        assert unchanged_kept(history, generation, found.plan) is None


def test_an_answer_unchanged_that_the_history_does_not_bear_out_is_found() -> None:
    plan = make_plan(ZONE, {WWW: ONE})
    history = [Change(WWW, ONE, 3), Change(WWW, OTHER, 4)]
    assert unchanged_kept(history, 3, plan) is None
    broken = unchanged_kept(history, 4, plan)
    assert broken is not None
    assert (broken.number, "answered with unchanged" in broken.detail) == (4, True)
