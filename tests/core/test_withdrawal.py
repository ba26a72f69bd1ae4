"""What the fence says of a withdrawal."""

import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import PlanState
from dnsguard.core.withdrawal import Verdict, Withdrawal, refuse_withdrawal, verdict

PLAN, BARRIER = 5, 8


def fence(generation: int, base: int | None = None) -> Fence:
    return Fence("0" * 16, generation, "d", None if base is None else Progress(base, 1, 2))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (None, Verdict.OPEN),
        (fence(4), Verdict.OPEN),
        (fence(4, 3), Verdict.OPEN),
        (fence(5), Verdict.TOO_LATE),
        (fence(7), Verdict.TOO_LATE),
        (fence(5, 4), Verdict.TOO_LATE),
        (fence(8, 4), Verdict.OPEN),
        (fence(8), Verdict.WITHDRAWN),
        (fence(9, 8), Verdict.WITHDRAWN),
    ],
    ids=str,
)
def test_whichever_the_fence_reaches_first_wins(seen: Fence | None, said: Verdict) -> None:
    assert verdict(Withdrawal(PLAN, BARRIER), seen) is said


def test_a_plan_whose_contents_are_taken_out_already_cannot_be_too_late() -> None:
    waited = Withdrawal(PLAN, BARRIER, taken_out=True)
    assert [verdict(waited, each) for each in (fence(5), fence(5, 4), fence(8))] == [
        Verdict.OPEN,
        Verdict.OPEN,
        Verdict.WITHDRAWN,
    ]


@pytest.mark.parametrize("state", PlanState)
def test_only_what_is_accepted_or_waits_can_be_withdrawn(state: PlanState) -> None:
    refusal = refuse_withdrawal(PLAN, state, None, trusted=False, fence=fence(4), newest=7)
    assert (refusal is None) is (state in {PlanState.ACCEPTED, PlanState.WAITING})
    if refusal is not None and state is not PlanState.REJECTED:
        assert "'dnsguard rollback 4'" in refusal.detail


@pytest.mark.parametrize(
    ("reverts", "trusted", "seen", "said"),
    [
        (3, False, fence(4), "puts back what stood before generation 3"),
        (None, True, fence(4), "is being resynchronised"),
        (None, False, fence(6, 4), "is being published"),
    ],
)
def test_what_other_decisions_rest_on_is_not_withdrawn(
    reverts: int | None, trusted: bool, seen: Fence, said: str
) -> None:
    refusal = refuse_withdrawal(PLAN, PlanState.ACCEPTED, reverts, trusted=trusted, fence=seen, newest=7)
    assert refusal is not None
    assert said in refusal.detail
