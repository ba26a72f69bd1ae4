"""Taking over what a zone holds already: plans that want exactly what one transfer shows.
Nothing on the wire is changed by that but the fence. Whatever somebody changes meanwhile is refused, and told.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dnsguard.core.adoption import plans_of, select
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import Unreachable
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.written import seen_in
from dnsguard.workers.effects import Clock, Publisher, Store
from dnsguard.workers.ownership import judge_fence


class AdoptionRefused(Exception):
    """The zone, or a part of it, cannot be taken over; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to take over: some names, or all of the zone (None)."""

    zone: str
    names: frozenset[str] | None
    signing_keys: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The plans that were made, none in a dry run, what they take over, and what was left out and why."""

    generations: tuple[int, ...]
    taken: tuple[Key, ...]
    left_out: tuple[tuple[Key, str], ...]
    plans: int
    """How many plans it takes."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """Takes over zones as they stand."""

    store: Store
    publisher: Publisher
    clock: Clock
    guards: Guards
    policy: Policy

    async def adopt(self, wish: Wish, actor: str, *, dry_run: bool) -> Adopted:
        """Accept the plans that take over what is wished for. Raises AdoptionRefused, ZoneUnknown.

        All of them are judged before the first is accepted, each is made from the generation that was newest
        before the transfer, and each is published on the condition that the server still holds the same.
        """
        zone = wish.zone
        if LAYOUTS[self.policy.layout].whole_names:
            raise AdoptionRefused(
                f"expected the inline layout, found {self.policy.layout!r} for {zone}: it would lay records out anew; "
                "take the zone over inline, or submit plans that say adopt"
            )
        based_on = (await self.store.zone(zone)).newest
        covered = frozenset(each.key for each in await self.store.covered(zone))
        wire = await self.publisher.transfer(zone)
        if isinstance(wire, Unreachable):
            raise AdoptionRefused(f"the primary of {zone} must allow a zone transfer for this: {wire.reason}")
        _, refused = await judge_fence(self.store, self.guards, zone, seen_in(zone, wire))
        if refused is not None:
            raise AdoptionRefused(refused.detail)
        selection = select(zone, wire, covered, wish.names, signing_keys=wish.signing_keys)
        missing = sorted((wish.names or frozenset()) - {key.name for key in wire})
        if missing:
            raise AdoptionRefused(f"expected records at {missing[0]}, found none; see what the zone holds, by transfer")
        reason = wish.reason or "taken over as it stands"
        most = self.policy.plan_rrsets_max
        plans = tuple(plans_of(zone, selection.taken, most, based_on=based_on, reason=reason))
        for plan in plans:
            judged = await self.store.judge(plan, self.guards, self.policy, _at(plan, wire))
            for _, refusal in judged.verdicts:
                if refusal is not None:
                    raise AdoptionRefused(_worded(refusal))
        generations: list[int] = []
        for plan in () if dry_run else plans:
            submission = Submission(plan, actor, self.clock.now())
            match await self.store.accept(submission, self.guards, self.policy, _at(plan, wire)):
                case Accepted(generation):
                    generations.append(generation)
                case Refusal() as refusal:
                    raise AdoptionRefused(_so_far(generations) + _worded(refusal))
        taken = tuple(key for key, _ in selection.taken)
        return Adopted(tuple(generations), taken, selection.left_out, len(plans))


def _at(plan: Plan, wire: Mapping[Key, Records]) -> dict[Key, Records]:
    """Return what stands at a plan's names."""
    names = {key.name for key in plan.keys}
    return {key: records for key, records in wire.items() if key.name in names}


def _worded(refusal: Refusal) -> str:
    return f"{refusal.detail} (guard {refusal.guard}: expected {refusal.expected}, found {refusal.found})"


def _so_far(generations: Collection[int]) -> str:
    return f"after generation {max(generations)}, which stands: " if generations else ""
