"""Taking over what a zone holds already: plans that want exactly what a transfer shows and the primary confirms.
Nothing on the wire is changed by that but the fence. An RRset that cannot be taken is left out and named with the
reason; whatever somebody changes meanwhile is refused, and told.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dnsguard.core.adoption import Excepted, Selection, plans_of, refused_alone, select
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import RCODES_ABOUT_CONTENTS, Applied, Message, Refused, RRsetIs, Unknown, Unreachable
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Standing
from dnsguard.core.written import seen_in
from dnsguard.workers.effects import Clock, Publisher, Store
from dnsguard.workers.ownership import judge_fence

_NOT_CONFIRMED = (
    "the server transfers these records but answers {} when asked to confirm them, as PowerDNS does for ALIAS "
    "(TYPE65401), so nothing would protect them from being overwritten"
)
_CHANGED = "somebody has changed it during the adoption; repeat the adoption to take over what stands now"


class AdoptionRefused(Exception):
    """The zone, or a part of it, cannot be taken over; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to take over: some names, or all of the zone (None)."""

    zone: str
    names: frozenset[str] | None
    signing_keys: bool = False
    reason: str = ""
    excepted: frozenset[Excepted] = frozenset()


@dataclass(frozen=True, slots=True)
class Adopted:
    """The plans that were made, none in a dry run, what they take over, and what was left out and why."""

    generations: tuple[int, ...]
    taken: tuple[tuple[Key, Records], ...]
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
        covered = {each.key: each for each in await self.store.covered(zone)}
        wire = await self._transfer(zone)
        _, stopped = await judge_fence(self.store, self.guards, zone, seen_in(zone, wire))
        if stopped is not None:
            raise AdoptionRefused(stopped.detail)
        _refuse_unmatched(wish, wire)
        selection = select(zone, wire, covered, wish.names, excepted=wish.excepted, signing_keys=wish.signing_keys)
        unconfirmed = await self._unconfirmed(zone, selection.taken)
        refused = await self._explained(zone, wire, unconfirmed)
        selection = selection.without(refused)
        reason = wish.reason or "taken over as it stands"
        submissions = self._submissions(zone, selection, based_on, reason, actor)
        refusal = await self._refusal(submissions, wire)
        if refusal is not None:
            standing = {key: Standing(each.wanted, each.generation, "") for key, each in covered.items()}
            alone = refused_alone(zone, selection.taken, wire, standing, self.guards, self.policy, based_on)
            refused |= {key: _worded(each) for key, each in alone.items()}
            selection = selection.without(refused)
            submissions = self._submissions(zone, selection, based_on, reason, actor)
            # What is refused only together with other names, such as a DNAME above names that plans cover.
            while (refusal := await self._refusal(submissions, wire)) is not None:
                if refusal.key is None or refusal.key not in dict(selection.taken):
                    raise AdoptionRefused(_worded(refusal))
                refused |= {refusal.key: _worded(refusal)}
                selection = selection.without(refused)
                submissions = self._submissions(zone, selection, based_on, reason, actor)
        if refused and not selection.taken:
            key = min(refused)
            more = f"; {len(refused) - 1} more were refused" if len(refused) > 1 else ""
            raise AdoptionRefused(f"nothing can be taken over: {key}: {refused[key]}{more}")
        generations: list[int] = []
        for submission in () if dry_run else submissions:
            match await self.store.accept(submission, self.guards, self.policy, _at(submission.plan, wire)):
                case Accepted(generation):
                    generations.append(generation)
                case Refusal() as refusal:
                    raise AdoptionRefused(_so_far(generations) + _worded(refusal))
        return Adopted(tuple(generations), selection.taken, selection.left_out, len(submissions))

    async def _transfer(self, zone: str) -> Mapping[Key, Records]:
        wire = await self.publisher.transfer(zone)
        if isinstance(wire, Unreachable):
            raise AdoptionRefused(f"{zone} could not be transferred, which this needs: {wire.reason}")
        return wire

    async def _unconfirmed(self, zone: str, taken: Sequence[tuple[Key, Records]]) -> dict[Key, str]:
        """Return the RRsets of which the primary does not confirm that it holds them, each with its answer.

        It compares them itself, by prerequisites that change nothing; what it refuses is halved until it is one RRset.
        """
        unconfirmed: dict[Key, str] = {}
        most = self.policy.message_rrsets_max
        queue = [taken[first : first + most] for first in range(0, len(taken), most)]
        while queue:
            some = queue.pop()
            as_found = tuple(RRsetIs(key, records.rdatas) for key, records in some)
            match await self.publisher.publish(Message(zone, as_found, ())):
                case Applied():
                    continue
                case Refused(rcode) | Unknown(_, rcode) if rcode in RCODES_ABOUT_CONTENTS:
                    if len(some) == 1:
                        unconfirmed[some[0][0]] = rcode
                    else:
                        queue += [some[: len(some) // 2], some[len(some) // 2 :]]
                case Refused(rcode, detail):
                    raise AdoptionRefused(f"the primary of {zone} takes no prerequisites: {rcode} ({detail})")
                case Unknown(reason):
                    raise AdoptionRefused(f"the primary of {zone} did not confirm what it holds: {reason}; repeat it")
        return unconfirmed

    async def _explained(
        self, zone: str, wire: Mapping[Key, Records], unconfirmed: Mapping[Key, str]
    ) -> dict[Key, str]:
        """Say why RRsets are not confirmed: somebody has changed them since the transfer, or the server cannot."""
        if not unconfirmed:
            return {}
        now = await self._transfer(zone)
        return {
            key: _NOT_CONFIRMED.format(rcode) if now.get(key) == wire[key] else _CHANGED
            for key, rcode in unconfirmed.items()
        }

    def _submissions(
        self, zone: str, selection: Selection, based_on: int, reason: str, actor: str
    ) -> tuple[Submission, ...]:
        plans = plans_of(zone, selection.taken, self.policy.plan_rrsets_max, based_on=based_on, reason=reason)
        return tuple(Submission(plan, actor, self.clock.now()) for plan in plans)

    async def _refusal(self, submissions: Sequence[Submission], wire: Mapping[Key, Records]) -> Refusal | None:
        """Return the first refusal of the plans, judged before the first of them is accepted."""
        for submission in submissions:
            judged = await self.store.judge(submission, self.guards, self.policy, _at(submission.plan, wire))
            for _, refusal in judged.verdicts:
                if refusal is not None:
                    return refusal
        return None


def _refuse_unmatched(wish: Wish, wire: Mapping[Key, Records]) -> None:
    """Refuse names that the zone does not have: a slip would take over, or leave out, something else."""
    missing = sorted((wish.names or frozenset()) - {key.name for key in wire})
    if missing:
        raise AdoptionRefused(f"expected records at {missing[0]}, found none; see what the zone holds, by transfer")
    for each in sorted(wish.excepted, key=str):
        if not any(each.covers(key) for key in wire):
            raise AdoptionRefused(f"nothing to leave out at {each}: the zone has no such records; check the name")


def _at(plan: Plan, wire: Mapping[Key, Records]) -> dict[Key, Records]:
    """Return what stands at a plan's names."""
    names = {key.name for key in plan.keys}
    return {key: records for key, records in wire.items() if key.name in names}


def _worded(refusal: Refusal) -> str:
    return f"{refusal.detail} (guard {refusal.guard}: expected {refusal.expected}, found {refusal.found})"


def _so_far(generations: Collection[int]) -> str:
    return f"after generation {max(generations)}, which stands: " if generations else ""
