"""The list of guards: every rule that exists is asked, and taking one out takes out that one only."""

import inspect
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import pytest

from dnsguard import core
from dnsguard.core import enactment, layout
from dnsguard.core.enactment import Enacted, Reach
from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED, SubmitGuard
from dnsguard.core.plan import Absence, Change, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.publication_order import ORDERS
from dnsguard.core.records import Key, Records
from dnsguard.core.submission import Submitted
from dnsguard.core.sweep import Listed, Node
from dnsguard.core.written import Seen, Written

ZONE = "example.test."
A, CNAME = Key("a.example.test.", "A"), Key("a.example.test.", "CNAME")
ONE = Records(60, (b"\xc0\0\2\1",))
RULES = (
    *GUARDED.submit,
    *GUARDED.enact,
    *GUARDED.change,
    *GUARDED.write,
    *GUARDED.spare,
    *GUARDED.delete,
    *GUARDED.prune,
)
OCTOBERS = (layout.rollback_target_exists, enactment.fence_unmoved, enactment.bound_by_age_published)
"""Rules of the October system and of its first mend: they exist to be shown, and `GUARDED` has neither."""
EVERY = (*RULES, *OCTOBERS)
BAD = Submitted(make_plan(ZONE, {A: ONE, CNAME: ONE}, stated=1), Policy(ttl_s_min=61), 41, {}, {})


def test_every_rule_that_is_written_is_asked() -> None:
    facts = [[Submitted], [Enacted], [Written], [Reach], [Listed, Node], [Seen, Seen]]
    rules = {
        rule
        for module in (import_module(f"dnsguard.core.{each.name}") for each in iter_modules(core.__path__))
        for _, rule in inspect.getmembers(module, inspect.isfunction)
        if rule.__module__ == module.__name__
        and [each.annotation for each in inspect.signature(rule).parameters.values()] in facts
    }
    public = {rule.__name__ for rule in rules if not rule.__name__.startswith("_")}
    facts_only = {"created_by", "aliases_wanted", "replaced", "standing_before"}
    assert public - facts_only == {rule.__name__ for rule in EVERY}
    orders = [rule for version, rule in ORDERS.items() if version]
    assert list(GUARDED.order) == orders
    assert len(set(EVERY)) == len(EVERY)
    assert not set(OCTOBERS) & set(RULES)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.__name__)
def test_every_rule_says_what_it_is_for(rule: object) -> None:
    said = inspect.getdoc(rule)
    assert said
    assert "Without this" in said or "none of ours" in said or rule is enactment.bound_by_age


def test_the_first_refusal_is_the_answer() -> None:
    refusal = GUARDED.refuse_submission(BAD)
    assert refusal is not None
    assert refusal.guard == "ttl_in_bounds"


def test_a_dry_run_hears_every_guard() -> None:
    verdicts = dict(GUARDED.judge_submission(BAD))
    assert list(verdicts) == [guard.__name__ for guard in GUARDED.submit]
    assert {name for name, refusal in verdicts.items() if refusal} == {
        "ttl_in_bounds",
        "generation_forward",
        "cname_alone",
    }


@pytest.mark.parametrize("guard", GUARDED.submit, ids=lambda guard: guard.__name__)
def test_a_guard_that_is_taken_out_is_not_asked_and_all_others_are(guard: SubmitGuard) -> None:
    less = replace(GUARDED, submit=tuple(each for each in GUARDED.submit if each is not guard))
    assert [name for name, _ in less.judge_submission(BAD)] == [
        each.__name__ for each in GUARDED.submit if each is not guard
    ]


def test_a_publication_and_a_change_are_refused_by_their_own_guards() -> None:
    facts = Enacted(ZONE, "0" * 16, 41, 0, Fence("f" * 16, 1, "d" * 16), None)
    refusal = GUARDED.refuse_enactment(facts)
    assert refusal is not None
    assert refusal.guard == "fence_of_this_history"
    assert GUARDED.refuse_enactment(replace(facts, fence=None)) is None
    written = Written(ZONE, Seen((), None), (Change(A, ONE, 42),), {CNAME: ONE}, frozenset({A.name}))
    refusal = GUARDED.refuse_change(written)
    assert refusal is not None
    assert refusal.guard == "cname_alone"
    assert GUARDED.refuse_change(replace(written, changes=(Change(A, Absence.RETIRED, 42),), wire={})) is None


def test_the_history_is_pruned_up_to_the_lowest_bound() -> None:
    fence = Fence("0" * 16, 40, "d" * 16)
    reach = Reach("0" * 16, 41, 40, fence, Policy(history_generations_min=5))
    assert GUARDED.prune_upto(reach) == 36
    assert GUARDED.prune_upto(replace(reach, fence=replace(fence, generation=9))) == 9
    assert GUARDED.prune_upto(replace(reach, fence=None)) == 0
