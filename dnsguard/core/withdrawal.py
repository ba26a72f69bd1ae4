"""Withdrawal: an operator takes back a plan that is not published.
The fence decides. Withdrawing appends a generation, the *barrier*; a plan is withdrawn once the fence has reached the
barrier from below the plan, and is published if the fence reaches the plan first. Pure functions.
"""

import enum
from dataclasses import dataclass

from dnsguard.core.fence import Fence
from dnsguard.core.history import PlanState
from dnsguard.core.refusal import Refusal

WITHDRAWABLE = frozenset({PlanState.ACCEPTED, PlanState.WAITING})


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A plan that is being withdrawn, and the generation that was appended for it."""

    generation: int
    barrier: int
    taken_out: bool = False
    """Whether the plan waited: no state has its contents any more, and what it had written is put back."""


class Verdict(enum.Enum):
    """What an observed fence says of a withdrawal."""

    OPEN = "open"
    """None of the plan is on the wire, and its messages in flight may still arrive."""
    WITHDRAWN = "withdrawn"
    """None of the plan is on the wire, and none of it can arrive any more."""
    TOO_LATE = "too late"
    """The plan is published, or a publication in parts that includes it is under way."""


def verdict(withdrawal: Withdrawal, fence: Fence | None) -> Verdict:
    """Judge a withdrawal by a fence of this history.

    A publication up to the barrier or beyond says at the plan's names what the barrier says, and one that writes the
    plan's contents ends below the barrier. Nothing is published over a fence that says TOO_LATE before that is recorded
    (`Pending.record_first`). So the fence tells the two apart.
    """
    if fence is None:
        return Verdict.OPEN
    if fence.base >= withdrawal.barrier:
        return Verdict.WITHDRAWN
    if not withdrawal.taken_out and withdrawal.generation <= fence.generation < withdrawal.barrier:
        return Verdict.TOO_LATE
    return Verdict.OPEN


def refuse_withdrawal(
    generation: int, state: PlanState, reverts: int | None, *, trusted: bool, fence: Fence | None, newest: int
) -> Refusal | None:
    """Refuse to withdraw what is published, or what other decisions rest on; None if the plan can be withdrawn.

    ``fence`` is the recorded one. Without this rule, a withdrawal would take back what clients have seen (that is a
    rollback), what puts another plan back, or the contents that an operator chose in a resync.
    """

    def no(detail: str, found: str) -> Refusal:
        return Refusal("withdrawable", detail, "a plan of which nothing is published", found)

    how = f"generation {generation} is {state.value}"
    if state is PlanState.REJECTED:
        return no(f"{how}: none of it is published, so there is nothing to withdraw", how)
    if state not in WITHDRAWABLE:
        return no(f"{how}; to give its RRsets older contents, use 'dnsguard rollback {generation - 1}'", how)
    if state is PlanState.ACCEPTED:
        if verdict(Withdrawal(generation, newest + 1), fence) is Verdict.TOO_LATE:
            return no(f"generation {generation} is being published; wait until that is settled, then try again", how)
        if reverts is not None:
            return no(f"generation {generation} puts back what stood before generation {reverts}", how)
        if trusted:
            return no("the zone is being resynchronised; wait until that is published, then try again", how)
    return None
