"""The enactor brings a zone forward: it observes the fence, takes what changed since, and publishes it.
Any number of enactors may do this for one zone at once: the primary takes the message of one of them and
refuses the others'. It never retries and never guesses: what is unclear, the next run observes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.cycles import oversized_cycle
from dnsguard.core.enactment import Enacted
from dnsguard.core.fence import Fence, FenceUnreadable, fence_from_text, fence_rdata
from dnsguard.core.guards import Guards
from dnsguard.core.history import GenerationUnknown, Pending, Zone
from dnsguard.core.layout import LAYOUTS, Layout
from dnsguard.core.message import Applied, Message, Refused, Unknown, Unreachable
from dnsguard.core.names import fence_name
from dnsguard.core.plan import Change
from dnsguard.core.policy import Policy
from dnsguard.core.publication import compose, next_fence, parts, steps_of
from dnsguard.core.publication_order import Arranged
from dnsguard.core.records import Key
from dnsguard.core.refusal_causes import PREREQUISITE_RCODES
from dnsguard.core.written import Seen, Written, created_by
from dnsguard.workers.amends import make_amends
from dnsguard.workers.doubt import CERTAIN, TROUBLE, Doubt, narrowed
from dnsguard.workers.effects import Clock, Publisher, Store
from dnsguard.workers.experiment import tidy, try_without_contents
from dnsguard.workers.judging import Culprit, judge, look
from dnsguard.workers.readback import read_back
from dnsguard.workers.step import Step, Then
from dnsguard.workers.suspects import explain

LEFT = "the primary refuses it, and nothing could be put in its place"


@dataclass(slots=True)
class Enactor:
    """Publishes one zone. What it remembers between runs is only to be quick: losing it loses nothing."""

    zone: str
    store: Store
    publisher: Publisher
    clock: Clock
    guards: Guards
    policy: Policy
    _believed: Seen | None = None
    """The fence that this enactor wrote last: the prerequisite refuses if that is no longer so."""
    _doubt: Doubt = field(default=CERTAIN)
    """What is known of contents that the primary refuses."""
    _created: frozenset[Key] = frozenset()
    """The RRsets that were nobody's, and that the publication under way has put on the wire: if it is rejected,
    they go again."""
    _yielded_to: str = ""
    """The fence of a publication in another order that this enactor left to its publisher for one look."""
    _litters: bool = False
    """Whether an experiment of this enactor may have left its record, or its message may still come late."""

    @property
    def _layout(self) -> Layout:
        return LAYOUTS[self.policy.layout]

    async def run_once(self) -> Step:
        """Bring the zone as far forward as one publication goes."""
        seen, self._believed = self._believed, None
        observed = seen is None
        if seen is None:
            answer = await self.publisher.observe(self.zone)
            if isinstance(answer, Unreachable):
                return self._step("primary.unreachable", Then.LATER, detail=answer.reason)
            seen = answer
        if self._doubt.about != seen.text:
            self._doubt = CERTAIN
        target, whole_names = self._doubt.target_from(seen.fence), self._layout.whole_names
        try:
            pending = await self.store.pending(self.zone, seen.fence, target, whole_names=whole_names)
        except GenerationUnknown as gone:
            self._doubt = CERTAIN  # what was in doubt has been pruned: others have gone far beyond it
            return self._step("publication.overtaken", Then.AT_ONCE, target, str(gone))
        refusal = self.guards.refuse_enactment(_facts(pending, seen))
        if refusal is not None:
            await self.store.halt(self.zone, refusal.detail)
            return self._step("zone.halted", Then.LATER, detail=refusal.detail)
        if pending.record_first and seen.fence is not None:
            return await self._record_first(seen, seen.fence, pending)
        if _stands_at(seen.fence, pending) and not _is_covered_up(self.zone, seen):
            if self._litters:  # not before the fence has moved: what comes late is refused from then on
                self._litters = await tidy(self.publisher, self.zone) != Applied()
            if seen.fence is not None and observed:
                faults = await self._record(seen, seen.fence, pending.zone)
                if isinstance(faults, Unreachable):
                    return self._step("publication.unread", Then.AT_ONCE, pending.target, faults.reason)
                if faults:
                    return self._step("publication.completed", Then.AT_ONCE, pending.target, _worded(faults))
                if (step := await self._resume(pending)) is not None:
                    return step
                if pending.owed:
                    return await self._make_amends(seen, seen.fence, pending)
            if seen.hidden_by:
                return self._step("zone.redirected", Then.WOKEN, pending.target, _redirected(self.zone))
            if pending.waiting:
                generations = ", ".join(str(waiting.generation) for waiting in pending.waiting)
                detail = f"generation {generations}: a name cannot be read; it is looked at again each time"
                return self._step("plan.waiting", Then.WOKEN, pending.target, detail)
            return self._step("zone.current", Then.WOKEN, generation=pending.target)
        if _is_behind(seen, pending.zone):
            # The record never leads the zone: either somebody has published since the look, or the zone went back, as
            # a primary restored from a backup does. Then that is on record until what is published anew was read back.
            answer = await self.publisher.observe(self.zone)
            if isinstance(answer, Unreachable):
                return self._step("primary.unreachable", Then.LATER, detail=answer.reason)
            if answer.rdatas != seen.rdatas:
                return self._step("publication.overtaken", Then.AT_ONCE, pending.target, answer.text)
            await self.store.record(self.zone, seen.fence, self.clock.now())
            pending = replace(pending, zone=replace(pending.zone, fence=None if seen.fence is None else seen.text))
        return await self._publish(seen, pending)

    async def _publish(self, seen: Seen, pending: Pending) -> Step:
        target = Fence(pending.zone.history, pending.target, pending.target_digest)
        trusted = seen.text == pending.zone.trusted_fence
        is_hidden = bool(seen.hidden_by)
        base = 0 if trusted or seen.fence is None else seen.fence.base
        wanted, left = self._doubt.split(pending.changes)
        arranged = self.guards.arrange(wanted)
        changes = arranged.changes
        if _is_in_another_order(seen.fence, pending, arranged) and self._yielded_to != seen.text:
            # Two orders would start over from the base in turns, and neither get to its end. It goes on from the base
            # only when the other publication stands still.
            self._yielded_to = seen.text
            return self._step("publication.yielded", Then.LATER, pending.target, seen.text)
        self._yielded_to = ""
        if (nearer := _nearer_target(seen.fence, pending, arranged)) is not None:
            self._doubt = replace(self._doubt, about=seen.text, overtake=None, target=nearer)
            return self._step(
                "publication.narrowed", Then.AT_ONCE, nearer, "names point at each other in a large cycle"
            )
        fenceless = not seen.rdatas
        of = steps_of(self._layout, changes)
        start = done = 0 if trusted or self._doubt.read else _resume_at(seen.fence, pending, of, arranged.version)
        messages = 0
        rrsets_max = self._doubt.rrsets_max or self.policy.message_rrsets_max
        for part in parts(self._layout, changes, start, rrsets_max, arranged.cycle_of):
            written = await look(
                self.publisher, self._layout, self.zone, seen, changes, part, unmanaged=self._doubt.read
            )
            if isinstance(written, Unreachable):
                return self._step("primary.unreachable", Then.LATER, detail=written.reason, messages=messages)
            culprit = await judge(self.publisher, self._layout, self.guards, part.stage, written)
            if isinstance(culprit, Unreachable):
                return self._step("primary.unreachable", Then.LATER, detail=culprit.reason, messages=messages)
            if culprit is not None:
                step = await self._reject(pending, seen, culprit)
                return replace(step, messages=messages, rrsets=done - start)
            for refuses in self.guards.recheck:
                answer = await self.publisher.observe(self.zone)
                if isinstance(answer, Unreachable) or refuses(seen, answer) is not None:
                    return self._step("publication.overtaken", Then.AT_ONCE, pending.target, messages=messages)
            fence = next_fence(target, base, part.done, of, arranged.version)
            message = compose(part.stage, written, fence, self.guards.write)
            match await self.publisher.publish(message):
                case Applied():
                    seen, done = Seen((fence_rdata(fence),), fence), part.done
                    messages += 1
                    self._created |= created_by(written)
                case Unknown(reason, rcode) if rcode == "FORMERR":
                    step = await self._settle(pending, written, message, Refused(rcode, reason))
                    return replace(step, messages=messages, rrsets=done - start)
                case Unknown(reason):
                    return self._step(
                        "publication.unclear", Then.AT_ONCE, pending.target, reason, messages, done - start
                    )
                case Refused() as refused:
                    step = await self._settle(pending, written, message, refused)
                    return replace(step, messages=messages, rrsets=done - start)
        self._doubt, self._created = CERTAIN, frozenset()
        rising = changes if base <= _read_upto(pending.zone) else None
        faults = await self._record(
            seen, target, pending.zone, rising, tuple((change.generation, LEFT) for change in left)
        )
        if isinstance(faults, Unreachable):
            return self._step("publication.unread", Then.AT_ONCE, pending.target, faults.reason, messages, len(changes))
        self._believed = None if is_hidden else seen  # whether it is hidden still, the next run observes
        said = _worded(faults)
        if fenceless and pending.zone.published:
            said = f"the fence was gone, as after a restore: everything was published anew; {said}".rstrip("; ")
        return self._step("publication.completed", Then.AT_ONCE, pending.target, said, messages, len(changes))

    async def _record(
        self,
        seen: Seen,
        fence: Fence,
        zone: Zone,
        changes: tuple[Change, ...] | None = None,
        left: tuple[tuple[int, str], ...] = (),
    ) -> tuple[tuple[int, str], ...] | Unreachable:
        """Read back what was published since the record, by whomever, and write it down with its faults.

        ``changes`` has just that where it is known already; ``left`` are faults that were known before.
        """
        faults: tuple[tuple[int, str], ...] = ()
        upto = _read_upto(zone)
        if fence.generation > upto and self.policy.read_back:
            if changes is None:
                recorded = Fence(zone.history, upto, "") if upto else None
                whole_names = self._layout.whole_names
                try:
                    rising = await self.store.pending(self.zone, recorded, fence.generation, whole_names=whole_names)
                except GenerationUnknown as gone:
                    return Unreachable(f"the history changed meanwhile: {gone}")
                changes = rising.changes
            found = await read_back(self.publisher, self._layout, self.zone, seen, changes, self.policy)
            if isinstance(found, Unreachable):
                return found
            faults = found
        await self.store.record(self.zone, fence, self.clock.now(), (*left, *faults))
        return faults

    async def _record_first(self, seen: Seen, fence: Fence, pending: Pending) -> Step:
        """Record that a plan was published before it could be withdrawn; until then the store gives nothing out."""
        if fence.progress is None:
            faults = await self._record(seen, fence, pending.zone)
            if isinstance(faults, Unreachable):
                return self._step("publication.unread", Then.AT_ONCE, pending.target, faults.reason)
        else:
            await self.store.record(self.zone, fence, self.clock.now())
        return self._step("withdrawal.refused", Then.AT_ONCE, pending.target, "the plan was published first")

    async def _resume(self, pending: Pending) -> Step | None:
        """Have a waiting plan accepted once more whose names can be read again."""
        for waiting in pending.waiting:
            names = {
                name for stage in self._layout.stages for name in stage.names_to_read(self.zone, waiting.changes, True)
            }
            found = await self.publisher.read(self.zone, names)
            if isinstance(found, Unreachable):
                return self._step("primary.unreachable", Then.LATER, detail=found.reason)
            if not found.unread:
                appended = await self.store.resume(self.zone, waiting.generation, self.clock.now())
                return self._step("plan.resumed", Then.AT_ONCE, appended, f"generation {waiting.generation}")
        return None

    async def _settle(self, pending: Pending, written: Written, message: Message, refused: Refused) -> Step:
        """Find out why the primary refused: somebody was faster, it refuses everything, or it is the contents."""
        answer = await self.publisher.observe(self.zone)
        if isinstance(answer, Unreachable):
            return self._step("primary.unreachable", Then.LATER, detail=answer.reason, refused=1)
        if answer.rdatas != written.seen.rdatas:
            return self._step("publication.overtaken", Then.AT_ONCE, pending.target, answer.text, refused=1)
        self._doubt = replace(self._doubt, about=answer.text)
        if not written.changes:
            # Others have rejected all of it, or it is set aside: of the fence alone no plan can be to blame.
            self._doubt = replace(self._doubt, overtake=None, target=None)
            detail = f"the primary refuses to move the fence of {self.zone} ({refused.rcode}): {refused.detail}"
            return self._step("primary.refusing", Then.LATER, pending.target, detail, refused=1)
        if refused.rcode in PREREQUISITE_RCODES and not self._doubt.read:
            self._doubt = replace(self._doubt, read=True)
            detail = f"the primary answered {refused.rcode}: reading what stands at the names of this publication"
            return self._step("publication.questioned", Then.AT_ONCE, pending.target, detail, refused=1)
        now, is_trouble = self.clock.now(), refused.rcode == TROUBLE
        if is_trouble and self._doubt.rests(now):
            return self._step("publication.narrowed", Then.LATER, pending.target, refused.rcode, refused=1)
        trial = await try_without_contents(self.publisher, self.clock, self.guards, answer, message, refused)
        self._litters |= trial.litters
        if trial.why:
            return self._step("primary.refusing", Then.LATER, pending.target, trial.why, refused=1)
        resuming = answer.fence is not None and answer.fence.progress is not None
        changes, _ = self._doubt.split(pending.changes)
        self._doubt, suspect = narrowed(self._doubt, written.changes, changes, now, resuming=resuming)
        if suspect is not None:
            said, suspects = await explain(self.publisher, written, message, refused, suspect)
            names = tuple(dict.fromkeys(change.key.name for change in written.changes))
            return replace(await self._reject(pending, answer, Culprit(names, suspect, said, suspects)), refused=1)
        then = Then.LATER if is_trouble and self._doubt.rests(now) else Then.AT_ONCE
        return self._step("publication.narrowed", then, pending.target, refused.rcode, refused=1)

    async def _reject(self, pending: Pending, seen: Seen, culprit: Culprit) -> Step:
        """Reject a plan; what it covered is put back by a new generation, which overtakes the publication.

        Where nothing can be put back, since the name is on record as published with just these contents, the store
        marks that at fault, and the name is set aside: the zone's other names go on, and it is tried again later.
        """
        inseparable = self._doubt.rrsets_max == 1  # several names in a message of one are a cycle
        names = culprit.names if inseparable else culprit.names[:1]
        changes = [change for change in pending.changes if change.key.name in names]
        here = {change.generation for change in changes}
        for generation in (culprit.generation, *sorted(here - {culprit.generation})):
            appended = await self.store.reject(
                self.zone,
                generation,
                culprit.why,
                self.clock.now(),
                self._created,
                culprit.suspects,
                waits=culprit.waits,
            )
            if appended is not None:
                self._doubt = Doubt(seen.text, read=self._doubt.read, overtake=max(appended, pending.zone.newest))
                event = "plan.waiting" if culprit.waits else "plan.rejected"
                return self._step(event, Then.AT_ONCE, generation, culprit.why)
            if len(culprit.names) > 1 and not inseparable:
                self._doubt = replace(self._doubt, rrsets_max=self._doubt.halved(len(culprit.names)))
                return self._step("publication.narrowed", Then.AT_ONCE, generation, culprit.why)
        aside = self._doubt.aside | {(change.key, change.generation, change.wanted) for change in changes}
        self._doubt = Doubt(seen.text, read=True, aside=aside)
        detail = f"{', '.join(names)} stays as it is, and is tried again once the others are published: {culprit.why}"
        return self._step("name.refused", Then.AT_ONCE, culprit.generation, detail)

    async def _make_amends(self, seen: Seen, fence: Fence, pending: Pending) -> Step:
        """Try again what should be there already; what still cannot be waits for the next look, and others don't."""
        found = await make_amends(
            self.publisher, self._layout, self.zone, seen, fence, pending.owed, self.guards, self.policy
        )
        if isinstance(found, Unreachable):
            return self._step("primary.unreachable", Then.LATER, detail=found.reason)
        await self.store.record(self.zone, fence, self.clock.now(), found.faults, found.mended)
        if found.faults:
            detail = f"not on the wire, and tried again at each look: {_worded(found.faults)}"
            return self._step("name.refused", Then.WOKEN, pending.target, detail, found.messages, 0, found.refused)
        return self._step("name.mended", Then.WOKEN, pending.target, messages=found.messages)

    def _step(
        self,
        event: str,
        then: Then,
        generation: int | None = None,
        detail: str = "",
        messages: int = 0,
        rrsets: int = 0,
        refused: int = 0,
    ) -> Step:
        return Step(event, then, self.zone, generation, detail, messages, rrsets, refused)


def _facts(pending: Pending, seen: Seen) -> Enacted:
    zone = pending.zone
    return Enacted(
        zone.name,
        zone.history,
        zone.newest,
        zone.kept_from,
        seen.fence,
        pending.known_digest,
        unreadable=seen.text if seen.rdatas and seen.fence is None else None,
        trusted=bool(seen.rdatas) and seen.text == zone.trusted_fence,
    )


def _stands_at(fence: Fence | None, pending: Pending) -> bool:
    """Tell whether the zone stands where the history does; a zone without plans needs no fence."""
    if fence is None:
        return pending.target == 0
    return fence.generation == pending.target and fence.progress is None and not pending.changes


def _is_covered_up(zone: str, seen: Seen) -> bool:
    """Tell whether something hides the fence at its own name: the next message takes it away."""
    return seen.fence is not None and any(key.name == fence_name(zone) for key in seen.hidden_by)


def _redirected(zone: str) -> str:
    return (
        f"a DNAME at the apex redirects every name of {zone}; retire it with a plan: "
        f'{{"retire": [{{"name": "@", "type": "DNAME"}}], "adopt": true}}'
    )


def _is_behind(seen: Seen, zone: Zone) -> bool:
    """Tell whether what was seen is older than what is on record as published."""
    return seen.text != zone.trusted_fence and (0 if seen.fence is None else seen.fence.base) < zone.published


def _read_upto(zone: Zone) -> int:
    """Return up to where what was published is known to have been read back: less than published if it went back."""
    try:
        recorded = fence_from_text(zone.fence)
    except FenceUnreadable:
        return 0  # it was written down by another version
    return 0 if recorded is None else min(zone.published, recorded.base)


def _resume_at(fence: Fence | None, pending: Pending, of: int, order: int) -> int:
    """Return how much of this very publication, in this order, is on the wire already."""
    if fence is None or fence.progress is None or fence.generation != pending.target:
        return 0
    return fence.progress.done if (fence.progress.of, fence.progress.order) == (of, order) else 0


def _is_in_another_order(fence: Fence | None, pending: Pending, arranged: Arranged) -> bool:
    """Tell whether the publication under way is one that only an enactor with another order could resume."""
    part = None if fence is None or fence.generation != pending.target else fence.progress
    return part is not None and part.order != arranged.version


def _nearer_target(fence: Fence | None, pending: Pending, arranged: Arranged) -> int | None:
    """Return the generation up to which to publish first, where plans together make a cycle too large for a message.

    Each plan alone makes none (`cycles.cycle_fits_a_message`). None if there is nothing in between to stop at; then
    the cycle is cut.
    """
    if oversized_cycle(arranged) is None:
        return None
    least = max(pending.zone.kept_from, 1 if fence is None else fence.generation + 1)
    between = sorted({change.generation for change in arranged.changes if least <= change.generation < pending.target})
    return between[(len(between) - 1) // 2] if between else None


def _worded(faults: Sequence[tuple[int, str]]) -> str:
    return "; ".join(f"generation {generation}: {why}" for generation, why in faults)
