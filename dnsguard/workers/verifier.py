"""The verifier compares what the primary holds with what the history says, and reports each difference.
Where the zone's policy says "repair" it submits what differs anew, as a plan of its own: it never writes to a name
server, never touches what no plan covers, and gives way to somebody who keeps changing a thing back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Protocol

from dnsguard.core.comparison import Comparison, Verification, by_key
from dnsguard.core.fence import GENERATION_MAX, Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Covered, GenerationUnknown, Submission
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import Unreachable
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.repair import ACTOR, REASON, WINDOW_S, repair_due_at
from dnsguard.core.submission import cname_beside
from dnsguard.core.written import Seen, seen_in
from dnsguard.workers.effects import Clock, Publisher, Store
from dnsguard.workers.ownership import judge_fence
from dnsguard.workers.step import Step, Then

PAGE_RRSETS = 2_000
"""How many RRsets are read from the store, or judged, before others get a turn."""
NAMED_MAX = 5
"""How many RRsets a log line names."""


class YieldingClock(Clock, Protocol):
    """Time that can also be waited for, if only to give others a turn."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class StateStore(Store, Protocol):
    """A history that tells the state at a generation, page by page."""

    async def rrsets(
        self, zone: str, *, at: int | None = None, after: Key | None = None, limit: int | None = None
    ) -> tuple[Covered, ...]:
        """Return what is covered at a generation, by name and type. Raises ZoneUnknown, GenerationUnknown."""
        ...

    async def contents_between(self, zone: str, above: int, upto: int) -> tuple[Covered, ...]:
        """Return whatever plans of a range of generations want, rejected ones included, oldest first."""
        ...

    async def repairs_since(self, zone: str, since: float) -> Mapping[Key, tuple[float, ...]]:
        """Return when each RRset was repaired since a time, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing can be compared now; ``reason`` is for people. ``halted``: not before a person has decided."""

    reason: str
    halted: bool = False


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be submitted anew, what has to wait since it was repaired so often, and what cannot be."""

    due: Mapping[Key, Wanted]
    suspended: tuple[Key, ...] = ()
    resumes_at: float | None = None
    """When the first of the suspended may be repaired again."""
    refused: tuple[str, ...] = ()


@dataclass(slots=True)
class Verifier:
    """Verifies one zone, once at a time. ``last`` is what the newest comparison of this daemon came to.

    ``attempted_at`` and ``failure`` are about the newest attempt: when it began, and why it compared nothing.
    """

    zone: str
    store: StateStore
    publisher: Publisher
    clock: YieldingClock
    guards: Guards
    policy: Policy
    last: Verification | None = None
    attempted_at: float | None = None
    failure: str | None = None
    suspended: tuple[Key, ...] = ()
    """What is repaired no more for the time being."""
    resumes_at: float | None = None
    """When the first of the suspended may be repaired again."""
    _foreign: Mapping[Key, Records] = field(default_factory=dict)
    """What stood at the names of the last comparison's findings, without what the layout puts there."""

    async def look(self) -> Verification | Unreachable | Postponed:
        """Compare the zone, as one transfer shows it, with the state at the fence that the transfer has."""
        self.attempted_at = self.clock.now()
        try:
            found = await self._look()
        except Exception as error:
            self.failure = str(error) or type(error).__name__
            raise
        self.failure = None if isinstance(found, Verification) else found.reason
        return found

    async def _look(self) -> Verification | Unreachable | Postponed:
        wire = await self.publisher.transfer(self.zone)
        if isinstance(wire, Unreachable):
            return wire
        seen = seen_in(self.zone, wire)
        try:
            base = await self._base(seen)
            if isinstance(base, Postponed):
                return base
            return await self._compare(wire, seen.fence, base)
        except GenerationUnknown as gone:
            return Postponed(f"the zone stands at a generation that is kept no more: {gone}")

    async def run_once(self) -> Step:
        """Look, and submit a repair if the policy wants it and it is due."""
        found = await self.look()
        if isinstance(found, Unreachable):
            return Step("primary.unreachable", Then.LATER, self.zone, detail=found.reason)
        if isinstance(found, Postponed):
            return Step("verification.postponed", Then.WOKEN, self.zone, detail=found.reason)
        if not found.total:
            self.suspended, self.resumes_at = (), None
            return Step("zone.verified", Then.WOKEN, self.zone, found.generation)
        said = f"{found.total} difference(s): {_named([finding.key for finding in found.findings])}"
        if self.policy.verify != "repair" or found.base != found.generation:
            return Step("difference.found", Then.WOKEN, self.zone, found.generation, said)
        return await self._repair(found, said)

    async def _base(self, seen: Seen) -> int | Postponed:
        """Return the generation that is completely on the wire, if the fence is of this history."""
        about, refusal = await judge_fence(self.store, self.guards, self.zone, seen)
        if refusal is not None:
            return Postponed(refusal.detail, halted=True)
        if seen.rdatas and seen.text == about.trusted_fence:
            return Postponed("an operator has settled which side is right, and it is about to be published")
        if seen.fence is not None and seen.fence.base < about.published:
            return Postponed(
                f"the zone shows generation {seen.fence.base}, and {about.published} was published, as after a "
                "restore: it is about to be brought forward"
            )
        if seen.fence is not None:
            return seen.fence.base
        if about.published:
            return Postponed("the zone has no fence, as after a restore: everything is about to be published anew")
        return 0

    async def _compare(self, wire: Mapping[Key, Records], fence: Fence | None, base: int) -> Verification:
        generation = 0 if fence is None else fence.generation
        moving: Mapping[Key, tuple[Wanted, ...]] = {}
        if generation > base:
            moving = by_key(await self.store.contents_between(self.zone, base, generation))
        comparison = Comparison(self.zone, LAYOUTS[self.policy.layout], wire, moving)
        waiting: list[Covered] = []
        after: Key | None = None
        while page := await self.store.rrsets(self.zone, at=base, after=after, limit=PAGE_RRSETS):
            waiting += page
            after = page[-1].key
            complete = _complete(waiting)
            comparison.take(waiting[:complete])
            del waiting[:complete]
        comparison.take(waiting)
        left = comparison.left
        for start in range(0, len(left), PAGE_RRSETS):
            comparison.look_at(left[start : start + PAGE_RRSETS])
            await self.clock.sleep(0)
        keys = comparison.possibly_opaque
        for start in range(0, len(keys), PAGE_RRSETS):
            comparison.note_opaque(keys[start : start + PAGE_RRSETS])
            await self.clock.sleep(0)
        found = self.last = comparison.done(generation, base, self.clock.now())
        names = {key.name for finding in found.findings for key, _ in finding.rrsets}
        here = {key: records for key, records in wire.items() if key.name in names} if names else {}
        self._foreign = comparison.layout.foreign(here)
        return found

    async def _repair(self, found: Verification, said: str) -> Step:
        mending = await self._mending(found)
        self.suspended, self.resumes_at = mending.suspended, mending.resumes_at
        refused = list(mending.refused)
        generation = None
        if mending.due:
            plan = make_plan(self.zone, mending.due, reason=f"{REASON}{said}", based_on=found.generation)
            submission = Submission(plan, ACTOR, self.clock.now(), republish=True)
            match await self.store.accept(submission, self.guards, self.policy, self._foreign):
                case Accepted(accepted):
                    generation = accepted
                case Refusal(_, detail):
                    refused.append(detail)
        if mending.suspended:
            event = "repair.suspended"
            said = f"{_named(mending.suspended)} changed again after repairs; find out who writes there. {said}"
        elif generation is not None:
            event = "repair.submitted"
        else:
            event = "repair.refused" if refused else "difference.found"
        if refused:
            said += f"; not repaired: {'; '.join(refused[:NAMED_MAX])}"
        then = Then.LATER if generation is not None and found.total > len(mending.due) else Then.WOKEN
        return Step(event, then, self.zone, generation, said, rrsets=0 if generation is None else len(mending.due))

    async def _mending(self, found: Verification) -> Mending:
        """Decide what to submit anew: what no waiting plan mends anyway, and what was not repaired too often."""
        wanted = {key: each for finding in found.findings for key, each in finding.rrsets}
        if not self.policy.retire:
            wanted = {key: each for key, each in wanted.items() if each is not Absence.RETIRED}
        if not wanted:
            return Mending({})
        now = self.clock.now()
        waiting = await self.store.contents_between(self.zone, found.generation, GENERATION_MAX)
        repairs = await self.store.repairs_since(self.zone, now - WINDOW_S)
        for each in waiting:
            wanted.pop(each.key, None)
        due_at = {key: repair_due_at(repairs.get(key, ()), self.policy.repairs_per_hour_max) for key in wanted}
        suspended = tuple(sorted(key for key in wanted if due_at[key] > now))
        due, refused = self._without_strangers({key: wanted[key] for key in sorted(wanted) if due_at[key] <= now})
        resumes_at = min((due_at[key] for key in suspended), default=None)
        return Mending(dict(islice(due.items(), self.policy.plan_rrsets_max)), suspended, resumes_at, refused)

    def _without_strangers(self, due: Mapping[Key, Wanted]) -> tuple[dict[Key, Wanted], tuple[str, ...]]:
        """Leave out names at which a CNAME would stand beside something: one such would have all of them refused."""
        kept: dict[Key, Wanted] = {}
        refused: list[str] = []
        there: dict[str, dict[Key, str]] = {}
        for key in self._foreign:
            there.setdefault(key.name, {})[key] = "on the server"
        for name, keys in groupby(due, key=lambda key: key.name):
            here = {key: due[key] for key in keys}
            refusal = cname_beside(there.get(name, {}), here)
            if refusal is None:
                kept |= here
            else:
                refused.append(refusal.detail)
        return kept, tuple(refused)


def _complete(page: Sequence[Covered]) -> int:
    """Return how many RRsets of a page are of names of which the next page has no more."""
    last = page[-1].key.name
    return next(index for index, each in enumerate(page) if each.key.name == last)


def _named(keys: Sequence[Key]) -> str:
    more = f" and {len(keys) - NAMED_MAX} more" if len(keys) > NAMED_MAX else ""
    return ", ".join(str(key) for key in keys[:NAMED_MAX]) + more
