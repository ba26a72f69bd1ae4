"""Which rules there are: `Guards` names them, `GUARDED` has them all.
Taking one out is ``replace(GUARDED, …)``. Below this value nobody knows which rules are asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dnsguard.core.enactment import (
    Enacted,
    Reach,
    bound_by_age,
    bound_by_fence,
    bound_by_record,
    cname_alone_on_the_wire,
    fence_of_this_history,
    fence_readable,
    unmanaged_contents_kept_on_the_wire,
)
from dnsguard.core.layout import targets_exist
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import (
    Submitted,
    apex_ns_kept,
    cname_alone,
    generation_forward,
    made_from_what_stands,
    plan_covers_something,
    plan_in_zone,
    plan_is_bounded,
    reserved_names_untouched,
    retirement_allowed,
    rrset_fits_a_message,
    rrset_is_bounded,
    server_records_untouched,
    ttl_in_bounds,
    unmanaged_contents_kept,
)
from dnsguard.core.written import WriteRule, Written, fence_as_seen, no_cname_beside, unmanaged_as_seen

SubmitGuard = Callable[[Submitted], Refusal | None]
EnactGuard = Callable[[Enacted], Refusal | None]
ChangeGuard = Callable[[Written], Refusal | None]
PruneBound = Callable[[Reach], int]


@dataclass(frozen=True, slots=True)
class Guards:
    """Which rules are asked when a plan is submitted, when a change is enacted, and how far history is pruned.

    ``enact`` judges the publication as a whole (its no stops the zone), ``change`` the RRsets of one name (its
    no rejects the plan that they come from), ``write`` gives the prerequisites that travel with each message.
    """

    submit: tuple[SubmitGuard, ...]
    enact: tuple[EnactGuard, ...]
    change: tuple[ChangeGuard, ...]
    write: tuple[WriteRule, ...]
    prune: tuple[PruneBound, ...]

    def refuse_submission(self, facts: Submitted) -> Refusal | None:
        """Return the first refusal of a plan, or None."""
        return next((refusal for guard in self.submit if (refusal := guard(facts)) is not None), None)

    def judge_submission(self, facts: Submitted) -> tuple[tuple[str, Refusal | None], ...]:
        """Return what every guard says of a plan, by the guard's name."""
        return tuple((guard.__name__, guard(facts)) for guard in self.submit)

    def refuse_enactment(self, facts: Enacted) -> Refusal | None:
        """Return the first refusal of a publication, or None."""
        return next((refusal for guard in self.enact if (refusal := guard(facts)) is not None), None)

    def refuse_change(self, facts: Written) -> Refusal | None:
        """Return the first refusal of the changes at one name, or None."""
        return next((refusal for guard in self.change if (refusal := guard(facts)) is not None), None)

    def prune_upto(self, facts: Reach) -> int:
        """Return the generation below which superseded changes may go; 0 or less for nothing."""
        return min(bound(facts) for bound in self.prune)


GUARDED = Guards(
    submit=(
        plan_covers_something,
        plan_is_bounded,
        plan_in_zone,
        reserved_names_untouched,
        server_records_untouched,
        apex_ns_kept,
        retirement_allowed,
        ttl_in_bounds,
        rrset_is_bounded,
        rrset_fits_a_message,
        generation_forward,
        made_from_what_stands,
        cname_alone,
        unmanaged_contents_kept,
    ),
    enact=(fence_readable, fence_of_this_history),
    change=(cname_alone_on_the_wire, unmanaged_contents_kept_on_the_wire),
    write=(fence_as_seen, unmanaged_as_seen, no_cname_beside, targets_exist),
    prune=(bound_by_age, bound_by_record, bound_by_fence),
)
