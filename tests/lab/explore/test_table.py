"""The table of what each stage of guards lets through: a slice of it is filled here, the rest by the command."""

import pytest

from dnsguard.core.guards import GUARDED, UNGUARDED
from dnsguard.lab.explore.exploring import Exploration, explore
from dnsguard.lab.explore.setting import Setting
from dnsguard.lab.explore.table import fill
from dnsguard.lab.explore.variants import VARIANTS, GuardUnknown, Variant, guard_names, without
from dnsguard.lab.explore.watch import HARMLESS

LOST = [variant for variant in VARIANTS if variant.empty and variant.stale and variant.wedged]


def setting(variant: Variant) -> Setting:
    return Setting(variant.guards, enactors=2, plans=3, keep=1, read_back=False)


@pytest.mark.parametrize("enactors", [2, 3])
@pytest.mark.parametrize("variant", LOST, ids=lambda variant: f"{variant.check}, {variant.cleanup}")
def test_at_the_size_of_the_table_what_is_lost_is_found(variant: Variant, enactors: int) -> None:
    row = fill(variant, Setting(enactors=enactors, plans=5, endpoints=1, keep=2, read_back=False))
    assert (row.empty, row.stale, row.wedged) == (True, True, True)
    assert row.as_expected


@pytest.mark.parametrize("variant", LOST, ids=lambda variant: f"{variant.check}, {variant.cleanup}")
def test_what_is_checked_apart_from_the_write_or_the_deletion_lets_everything_through(variant: Variant) -> None:
    row = fill(variant, setting(variant))
    assert (row.empty, row.stale, row.wedged) == (True, True, True)


@pytest.mark.parametrize("variant", VARIANTS[3:], ids=lambda variant: f"{variant.check}, {variant.cleanup}")
def test_what_a_stage_does_not_let_through_is_a_search_that_was_exhausted_without_it(variant: Variant) -> None:
    row = fill(variant, Setting(enactors=2, plans=4, keep=2, read_back=False))
    assert row.exhausted
    assert row.as_expected


def test_a_search_that_ends_too_early_says_no_no() -> None:
    row = fill(VARIANTS[-1], setting(VARIANTS[-1]), seconds_max=0.05)
    assert (row.empty, row.stale, row.wedged) == (None, None, None)
    assert not row.as_expected


def test_the_rows_are_the_stages_from_none_to_all_and_differ_in_guards_only() -> None:
    assert VARIANTS[0].guards == UNGUARDED
    assert VARIANTS[-1].guards == GUARDED
    assert len({variant.guards for variant in VARIANTS}) == len(VARIANTS) == 7


def test_a_guard_is_left_out_by_its_name() -> None:
    less = without(GUARDED, "fence_as_seen")
    assert set(guard_names(GUARDED)) - set(guard_names(less)) == {"fence_as_seen"}
    with pytest.raises(GuardUnknown, match="found 'nothing'"):
        without(GUARDED, "nothing")


def test_by_age_alone_even_one_enactor_loses_its_rollback_target_without_any_race() -> None:
    findings = explore(Exploration(guards="unguarded", enactors=1, plans=4))
    assert findings.exhausted
    assert findings.violations.keys() == {HARMLESS}
    assert explore(Exploration(enactors=1, plans=4)).violations == {}
