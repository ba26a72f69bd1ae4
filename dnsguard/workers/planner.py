"""The planner takes plans in: it looks at the primary where it must, asks the guards, and has the plan accepted.
It never waits for publication and never publishes; what it cannot see at the primary, the enactor asks again.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from dnsguard.core.comparison import Verification
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Covered, Judged, KeyReused, Submission, Unchanged
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import Unreachable
from dnsguard.core.plan import Plan, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, identical
from dnsguard.core.refusal import Refusal
from dnsguard.core.server_effects import companions_in_question
from dnsguard.workers.effects import Publisher, Store

NAMES_READ_MAX = 100
"""Beyond so many unmanaged names the look at the primary is left to the enactor."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Accepts plans for one zone. ``verified`` returns the newest verification, None if there was none yet."""

    store: Store
    publisher: Publisher
    guards: Guards
    policy: Policy
    verified: Callable[[], Verification | None] = lambda: None

    async def submit(self, submission: Submission) -> Accepted | Unchanged | KeyReused | Refusal:
        """Accept a plan, or say which guard refuses it. Raises ZoneUnknown."""
        wire = await self._look(submission.plan)
        return await self.store.accept(self._with_findings(submission), self.guards, self.policy, wire)

    async def judge(self, submission: Submission) -> Judged:
        """Say what every guard says of a plan and what it would change. Raises ZoneUnknown."""
        wire = await self._look(submission.plan)
        return await self.store.judge(self._with_findings(submission), self.guards, self.policy, wire)

    def _with_findings(self, submission: Submission) -> Submission:
        """Add which of the plan's RRsets differed on the primary when it was last compared."""
        found = self.verified()
        if found is None or not found.total:
            return submission
        differing = found.differing()
        open_findings = tuple((key, found.generation) for key in submission.plan.keys if key in differing)
        if found.total > len(found.findings):  # not all of them are named: any RRset may be one
            open_findings = tuple((key, found.generation) for key in submission.plan.keys)
        return replace(submission, open_findings=open_findings)

    async def _look(self, plan: Plan) -> Mapping[Key, Records] | None:
        """Read the names of which something is not managed yet; None if there are too many, or nobody answers.

        That may be what stands or falls with the plan's own RRsets. Of a name that cannot be read nothing is known
        here: the enactor reads it again before it publishes there.
        """
        in_question = companions_in_question(dict(plan.rrsets))
        unmanaged = await self.store.unmanaged(plan.zone, {*plan.keys, *in_question})
        names = sorted({key.name for key in unmanaged})
        if not names:
            return {}
        if len(names) > NAMES_READ_MAX:
            return None
        found = await self.publisher.read(plan.zone, names)
        if isinstance(found, Unreachable) or any(key.name in found.unread for key in in_question):
            return None
        return LAYOUTS[self.policy.layout].foreign(found.rrsets)


def rollback(
    zone: str,
    to: int,
    then: Collection[Covered],
    now: Collection[Covered],
    only: frozenset[Key] | None,
    *,
    based_on: int | None,
    reason: str,
) -> tuple[Plan, tuple[Key, ...]] | Refusal:
    """Make the plan that gives RRsets the contents they had at generation ``to``: new generation, old contents.

    Returns it with the RRsets that no plan covered at ``to`` and that are left alone, since absence is not
    deletion; one that is asked for by name is refused instead.
    """
    before: dict[Key, Wanted] = {covered.key: covered.wanted for covered in then}
    changed = {
        covered.key
        for covered in now
        if not identical(before.get(covered.key), covered.wanted) and covered.generation > to
    }
    asked = changed if only is None else only
    untouched = tuple(sorted(asked - before.keys()))
    if only is not None and untouched:
        return Refusal(
            "rollback_reaches",
            f"no plan covered {untouched[0]} at generation {to}; to remove it, retire it by name",
            f"RRsets covered at generation {to}",
            str(untouched[0]),
        )
    plan = make_plan(zone, {key: before[key] for key in asked & before.keys()}, reason=reason, based_on=based_on)
    return plan, untouched
