"""Which rules there are: `Guards` names them, `GUARDED` has them all, `UNGUARDED` those that the October system had.
Taking one out is ``replace(GUARDED, …)``. Below this value nobody knows which rules are asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dnsguard.core.cycles import cycle_fits_a_message
from dnsguard.core.enactment import (
    Enacted,
    Reach,
    bound_by_age,
    bound_by_age_published,
    bound_by_fence,
    cname_alone_on_the_wire,
    ds_beside_ns_on_the_wire,
    fence_of_this_history,
    fence_readable,
    unmanaged_contents_kept_on_the_wire,
)
from dnsguard.core.kept_by_servers import contents_are_stored, ds_beside_ns
from dnsguard.core.layout import rollback_target_exists, target_exists
from dnsguard.core.plan import Change
from dnsguard.core.publication_order import Arranged, OrderRule, by_name, targets_first
from dnsguard.core.refusal import Refusal, collect
from dnsguard.core.submission import (
    Submitted,
    apex_not_redirected,
    apex_ns_kept,
    cname_alone,
    generation_forward,
    made_from_what_stands,
    names_not_occluded,
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
from dnsguard.core.sweep import (
    DeleteRule,
    Listed,
    Node,
    SpareRule,
    aliases_as_listed,
    spare_live,
    spare_rollback,
)
from dnsguard.core.written import (
    Seen,
    WriteRule,
    Written,
    fence_as_seen,
    no_cname_beside,
    no_ds_orphaned,
    unmanaged_as_seen,
)

SubmitGuard = Callable[[Submitted], Refusal | None]
EnactGuard = Callable[[Enacted], Refusal | None]
ChangeGuard = Callable[[Written], Refusal | None]
RecheckGuard = Callable[[Seen, Seen], Refusal | None]
PruneBound = Callable[[Reach], int]


@dataclass(frozen=True, slots=True)
class Guards:
    """Which rules are asked when a plan is submitted, when a change is enacted, and how far history is pruned.

    ``enact`` judges the publication as a whole (its no stops the zone), ``change`` the RRsets of one name (its
    no rejects the plan that they come from), ``order`` says which names go out first in a publication of several
    messages (none: the order of names), each ``recheck`` looks at the fence again before each message, as a
    step of its own, and ``write`` gives the prerequisites that travel with each message. Of the nodes of the
    versioned layout that are old enough, clean-up leaves those that ``spare`` finds in use when listing;
    ``delete`` gives the prerequisites of the message that deletes one.
    """

    submit: tuple[SubmitGuard, ...]
    enact: tuple[EnactGuard, ...]
    change: tuple[ChangeGuard, ...]
    order: tuple[OrderRule, ...]
    recheck: tuple[RecheckGuard, ...]
    write: tuple[WriteRule, ...]
    spare: tuple[SpareRule, ...]
    delete: tuple[DeleteRule, ...]
    prune: tuple[PruneBound, ...]

    def refuse_submission(self, facts: Submitted) -> Refusal | None:
        """Return the first refusal of a plan, with all others as further ones; None if every guard lets it pass."""
        return collect(refusal for guard in self.submit if (refusal := guard(facts)) is not None)

    def judge_submission(self, facts: Submitted) -> tuple[tuple[str, Refusal | None], ...]:
        """Return what every guard says of a plan, by the guard's name."""
        return tuple((guard.__name__, guard(facts)) for guard in self.submit)

    def refuse_enactment(self, facts: Enacted) -> Refusal | None:
        """Return the first refusal of a publication, or None."""
        return next((refusal for guard in self.enact if (refusal := guard(facts)) is not None), None)

    def refuse_change(self, facts: Written) -> Refusal | None:
        """Return the first refusal of the changes at one name, or None."""
        return next((refusal for guard in self.change if (refusal := guard(facts)) is not None), None)

    def arrange(self, changes: Sequence[Change]) -> Arranged:
        """Return the changes, sorted by name, in the order in which they are published."""
        return next(iter(self.order), by_name)(changes)

    def spares(self, listed: Listed, node: Node) -> bool:
        """Tell whether a node is in use, as far as is asked."""
        return any(rule(listed, node) for rule in self.spare)

    def prune_upto(self, facts: Reach) -> int:
        """Return the generation below which superseded changes may go; 0 or less for nothing."""
        return min((bound(facts) for bound in self.prune), default=facts.newest)


GUARDED = Guards(
    submit=(
        plan_covers_something,
        plan_is_bounded,
        plan_in_zone,
        reserved_names_untouched,
        server_records_untouched,
        apex_ns_kept,
        apex_not_redirected,
        retirement_allowed,
        ttl_in_bounds,
        rrset_is_bounded,
        rrset_fits_a_message,
        cycle_fits_a_message,
        generation_forward,
        made_from_what_stands,
        cname_alone,
        names_not_occluded,
        ds_beside_ns,
        contents_are_stored,
        unmanaged_contents_kept,
    ),
    enact=(fence_readable, fence_of_this_history),
    change=(cname_alone_on_the_wire, ds_beside_ns_on_the_wire, unmanaged_contents_kept_on_the_wire),
    order=(targets_first,),
    recheck=(),
    write=(fence_as_seen, unmanaged_as_seen, no_cname_beside, no_ds_orphaned, target_exists),
    spare=(spare_live, spare_rollback),
    delete=(aliases_as_listed,),
    prune=(bound_by_age, bound_by_fence),
)

UNGUARDED = replace(
    GUARDED,
    change=(),
    write=(target_exists, rollback_target_exists),
    spare=(),
    delete=(),
    prune=(bound_by_age_published,),
)
"""What the October system had: the check at the start of each run, and the name service's own refusal of an alias
to nothing. Writes are blind, and clean-up goes by age and asks nobody. Its lock is no rule: it decides who goes next,
and never what may be written (`workers.lock`)."""
