"""What the search of the specification shows: the incident's table, that the guarded protocol keeps its promises in
every state of a small world, and that without any one of its guards it does not.
"""

from collections import defaultdict
from dataclasses import replace

import pytest

from tests.model.search import (
    ALWAYS,
    NODES,
    ORDERS,
    ROWS,
    TABLE,
    WITHDRAWN,
    WRITES,
    alone,
    empty,
    healed,
    prefix,
    rollback_lost,
    row,
    search,
    stale,
    verdict,
    wedged,
)
from tests.model.spec import steps
from tests.model.world import FRESH, Bound, Check, Place, Rules, Setup, State, Sweep

PARTS = replace(WRITES, crashes=1, late=1, rejections=0)
TWO_ORDERS = replace(ORDERS, plans=2, cleanup=False)
REJECTED = replace(WRITES, covers=((0, 1), (0, 1)), crashes=0, late=1, rejections=1, cleanup=False)


@pytest.mark.parametrize("enactors", [2, 3])
@pytest.mark.parametrize("number", range(len(ROWS)), ids=[said for said, _, _ in ROWS])
def test_the_incidents_table_is_as_an_independent_check_gave_it(number: int, enactors: int) -> None:
    found = search(row(number, enactors), (empty, stale, wedged))
    print(found)
    assert verdict(found) == ROWS[number][2]
    assert found.exhausted or all(verdict(found))


def test_the_shortest_way_to_an_empty_and_wedged_name_has_eleven_steps() -> None:
    found = search(row(0, 2), (empty, stale, wedged))
    assert found.stories["wedged"] == found.stories["empty"]
    assert found.stories["empty"] == (
        "latest is 2",
        "E0 picks 2 check passes",
        "latest is 3",
        "latest is 4",
        "E0 builds 2",
        "E1 picks 4 check passes",
        "E1 builds 4",
        "E1 flips 1 to 4",
        "E0 flips 4 to 2",
        "E1 cleans 1",
        "E1 cleans 2",
    )


def test_wedged_means_that_no_flip_can_ever_follow() -> None:
    setup = row(0, 2)
    states: list[State] = []
    search(setup, (empty,), every=states)
    before: dict[State, set[State]] = defaultdict(set)
    flips: list[State] = []
    for state in states:
        for _, after in steps(setup, state):
            before[alike(after)].add(alike(state))
            if after.wire != state.wire:
                flips.append(alike(state))
    can_flip = set(flips)
    while flips:
        for state in before[flips.pop()] - can_flip:
            can_flip.add(state)
            flips.append(state)
    assert any(wedged(setup, state, state) for state in states)
    for state in states:
        if wedged(setup, state, state):
            assert alike(state) not in can_flip
        elif len(state.plans) < setup.plans:
            assert alike(state) in can_flip, "nothing forbids that the next plan is installed"


def alike(state: State) -> State:
    return state._replace(enactors=tuple(sorted(state.enactors, key=hash)))


def test_clean_up_by_age_loses_the_rollback_of_a_single_enactor_without_any_race() -> None:
    setup = replace(TABLE, enactors=1, rules=Rules(sweep=Sweep.AGE))
    found = search(setup, (rollback_lost,))
    print("\n".join(found.stories["rollback_lost"]))
    assert found.stories["rollback_lost"][-1] == "E0 cleans 1"
    assert search(replace(setup, rules=Rules()), (rollback_lost,)).stories == {}


@pytest.mark.parametrize(
    "setup",
    [
        PARTS,
        TWO_ORDERS,
        replace(REJECTED, plans=2),
        replace(NODES, late=0),
        replace(NODES, crashes=0),
        replace(WITHDRAWN, crashes=1),
        replace(WITHDRAWN, rejections=1),
        replace(WITHDRAWN, versioned=True),
    ],
    ids=[
        "in several messages",
        "in two orders",
        "with a rejected plan",
        "in nodes, crashing",
        "in nodes, with late messages",
        "withdrawn, crashing",
        "withdrawn, with a rejected plan",
        "withdrawn, in nodes",
    ],
)
def test_guarded_keeps_every_promise_and_each_enactor_alone_heals_the_zone(setup: Setup) -> None:
    found = search(setup, heals=True)
    print(found)
    assert found.exhausted
    assert found.stories == {}


@pytest.mark.parametrize(
    ("setup", "rules", "broken"),
    [
        (PARTS, Rules(check=Check.START), "stale"),
        (NODES, Rules(check=Check.START), "stale"),
        (PARTS, Rules(observed=False), "heals"),
        (replace(NODES, strangers=1), Rules(target_exists=False), "empty"),
        (NODES, Rules(sweep=Sweep.AGE), "empty"),
        (NODES, Rules(sweep=Sweep.LISTED), "rollback_lost"),
        (NODES, Rules(sweep=Sweep.INSIDE), "rollback_lost"),
        (replace(NODES, enactors=1, plans=4, hands=1, crashes=0, late=0), Rules(aliases_as_listed=False), "empty"),
        (REJECTED, Rules(rejection_overtakes=False), "prefix"),
        (TWO_ORDERS, Rules(order_in_fence=False), "prefix"),
        (WITHDRAWN, Rules(withdrawal_waits=False), "withdrawn_shown"),
        (WITHDRAWN, Rules(late_recorded_first=False), "late_withdrawal_lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_a_guard_a_promise_is_broken(setup: Setup, rules: Rules, broken: str) -> None:
    promises = tuple(promise for promise in ALWAYS if promise.__name__ == broken)
    found = search(replace(setup, rules=rules), promises, heals=broken == "heals")
    print(found, *found.stories.get(broken, ()), sep="\n  ")
    assert broken in found.stories


def test_a_node_that_a_stranger_deletes_never_empties_a_guarded_name() -> None:
    found = search(replace(NODES, crashes=0, late=0, strangers=1), (empty, stale, prefix))
    assert found.exhausted
    assert found.stories == {}


def test_a_name_that_somebody_points_elsewhere_by_hand_is_not_emptied_by_clean_up() -> None:
    found = search(replace(NODES, enactors=1, plans=4, hands=1, crashes=0, late=0), (empty,))
    assert found.exhausted
    assert found.stories == {}


def test_while_all_publish_behind_the_fence_a_deletion_needs_no_prerequisites() -> None:
    """They are for what comes past the fence: a hand, a restored primary. The fence as one would not see the hand."""
    found = search(replace(NODES, rules=Rules(aliases_as_listed=False), late=0))
    assert found.exhausted
    assert found.stories == {}


RESTORED = replace(NODES, enactors=1, plans=4, crashes=0, late=0, restores=1)


def test_aliases_are_prerequisite_enough_for_deletions_even_where_the_primary_is_restored_from_a_backup() -> None:
    """So the fence need not be one: a node that is in flight again is built again, since its flip is refused."""
    found = search(RESTORED, (empty, rollback_lost))
    print(found)
    assert found.exhausted
    assert found.stories == {}


def test_without_aliases_as_prerequisites_a_primary_restored_between_listing_and_deletion_is_emptied() -> None:
    found = search(replace(RESTORED, rules=Rules(aliases_as_listed=False)), (empty, rollback_lost))
    for story in found.stories.values():
        print(*story, sep="\n  ")
        assert [words.rpartition(" ")[0] for words in story[-3:-1]] == [
            "clean-up reads fence",
            "the primary is restored to fence",
        ]
    assert found.stories.keys() == {"empty", "rollback_lost"}


def pruned_in_sight(_: Setup, before: State, state: State) -> bool:
    """5, clean-up is harmless: history goes that the zone, just as clean-up saw it, is still made of."""
    seen = before.cleaner
    return seen is not None and seen.seen == before.fence and before.kept < state.kept > state.fence.base


@pytest.mark.parametrize("bound", [Bound.FENCE, Bound.AGE])
def test_only_the_fence_tells_what_a_restored_primary_is_made_of(bound: Bound) -> None:
    """The store's own record, past which it prunes nothing, leads the zone then."""
    restored = replace(PARTS, enactors=1, plans=4, late=0, crashes=0, restores=1, rules=Rules(bound=bound))
    found = search(restored, (pruned_in_sight,))
    print(*found.stories.values())
    assert ("pruned_in_sight" in found.stories) is (bound is Bound.AGE)


def test_the_stores_record_bounds_pruning_as_well_as_the_fence_does_while_no_primary_is_restored() -> None:
    by_age = replace(PARTS, late=0, rules=Rules(bound=Bound.AGE))
    found = search(by_age)
    assert found.exhausted
    assert found.stories == {}


@pytest.mark.parametrize("tolerated", [True, False])
def test_a_wedged_zone_is_repaired_by_the_next_plan_unless_a_rollback_must_be_set(tolerated: bool) -> None:
    setup = replace(NODES, plans=5, rules=Rules(rollback_tolerated=tolerated))
    plans = tuple((generation, (0,)) for generation in range(1, 6))
    october = State(plans, frozenset(), 0, 4, Place(4, 4), (2,), (4,), (1 << 4,), (FRESH, FRESH))
    *_, last = alone(setup, october, 0)
    assert healed(setup, last) is tolerated
