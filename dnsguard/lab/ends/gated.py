"""The ends of a scenario: a store and a primary behind the gate, with what each effect touches declared in detail.
They change nothing of what is asked or answered, and note every effect for checks and stories.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Covered, Judged, KeyReused, Pending, Submission, Unchanged, Zone
from dnsguard.core.layout import MARKER_LABEL, ROLLBACK_LABEL, node_of
from dnsguard.core.message import (
    Message,
    NameInUse,
    NameNotInUse,
    NamesRead,
    Outcome,
    Prerequisite,
    Refused,
    Unknown,
    Unreachable,
)
from dnsguard.core.names import FENCE_LABEL
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.written import Seen
from dnsguard.lab.ends.primary import MemoryPrimary, MemoryPublisher
from dnsguard.lab.scheduler.gate import Gate, Turn
from dnsguard.workers.effects import Store

FENCE = "fence"
PLANS = "plans"
"""The history's newer end: which plans were accepted."""
KEPT = "kept"
"""The history's older end: what clean-up has left of it."""
RECORD = "record"
"""What the store has on record as published."""
MANAGED = "managed"
"""Which RRsets were ever published; it changes only when one of them is for the first time, or is given up."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Note:
    """One effect: who did what, to what, and what came of it."""

    who: str
    act: str
    subject: object
    result: object


@cache
def part_of(name: str) -> str:
    """Return the part of a zone in which a name lies: the fence, an owner's own names, or an owner's nodes."""
    first, _, rest = name.partition(".")
    if first == FENCE_LABEL:
        return FENCE
    if first == ROLLBACK_LABEL:
        return f"name {rest}"
    place = node_of(rest if first == MARKER_LABEL else name)
    return f"name {name}" if place is None else f"nodes {place[1]}"


def _read_by(plan: Plan) -> tuple[str, ...]:
    """Return what is looked at to judge a plan: of the record, only whether what it would take over is taken over."""
    return (PLANS, MANAGED) if plan.adopt or plan.as_found else (PLANS,)


def parts_of(owner: str) -> tuple[str, str]:
    """Return the parts of a zone that make up what a client finds at an owner name."""
    return f"name {owner}", f"nodes {owner}"


def _name_of(prerequisite: Prerequisite) -> str:
    return prerequisite.name if isinstance(prerequisite, NameInUse | NameNotInUse) else prerequisite.key.name


@dataclass(slots=True)
class GatedPublisher:
    """A `Publisher` over a primary in memory; ``owners`` are all the owner names that the zone can have."""

    primary: MemoryPrimary
    gate: Gate
    owners: tuple[str, ...]
    who: str
    notes: list[Note]

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self.gate.pass_through("observe", reads=(FENCE,))
        return self._noted("observe", zone, await MemoryPublisher(self.primary).observe(zone))

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        reads = dict.fromkeys(part_of(_name_of(prerequisite)) for prerequisite in message.prerequisites)
        writes = dict.fromkeys(part_of(update.key.name) for update in message.updates)
        turn = await self.gate.pass_through("publish", reads=tuple(reads), writes=tuple(writes), losable=True)
        if turn is Turn.LOST_REQUEST:
            return self._noted("publish", message, Unknown("the request was lost"))
        outcome = self._noted("publish", message, MemoryPublisher(self.primary).take(message))
        if isinstance(outcome, Refused):
            self.gate.touched(reads=tuple(reads))
        return Unknown("the answer was lost") if turn is Turn.LOST_ANSWER else outcome

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        await self.gate.pass_through("read", reads=tuple(dict.fromkeys(part_of(name) for name in names)))
        return self._noted("read", tuple(names), await MemoryPublisher(self.primary).read(zone, names))

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        everything = (FENCE, *(part for owner in self.owners for part in parts_of(owner)))
        await self.gate.pass_through("transfer", reads=everything)
        return self._noted("transfer", zone, await MemoryPublisher(self.primary).transfer(zone))

    def _noted(self, act: str, subject: object, result: Result) -> Result:
        self.notes.append(Note(self.who, act, subject, result))
        return result


@dataclass(slots=True)
class GatedStore:
    """A `Store` over another one that has no gate of its own.

    ``tells_record``: whether who asks what is pending also hears what is on record as published.
    """

    store: Store
    gate: Gate
    who: str
    notes: list[Note]
    tells_record: bool = False

    async def zone(self, name: str) -> Zone:
        """Return a zone."""
        await self.gate.pass_through("store.zone", reads=(PLANS, KEPT, RECORD))
        return self._noted("store.zone", name, await self.store.zone(name))

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | Unchanged | KeyReused | Refusal:
        """Ask the guards and append the plan, unless it changes nothing."""
        reads = _read_by(submission.plan)
        await self.gate.pass_through("store.accept", reads=reads, writes=(PLANS,))
        answer = await self.store.accept(submission, guards, policy, wire)
        if isinstance(answer, Refusal | Unchanged):
            self.gate.touched(reads=reads)
        return self._noted("store.accept", submission, answer)

    async def judge(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Judged:
        """Ask every guard and compare with what stands."""
        await self.gate.pass_through("store.judge", reads=_read_by(submission.plan))
        return self._noted("store.judge", submission, await self.store.judge(submission, guards, policy, wire))

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        """Return those RRsets that no accepted plan covers."""
        await self.gate.pass_through("store.unmanaged", reads=(PLANS,))
        return self._noted("store.unmanaged", zone, await self.store.unmanaged(zone, keys))

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish from a fence on; of the record, no more is told than who asks looks at."""
        record = (RECORD,) if self.tells_record else ()
        await self.gate.pass_through("store.pending", reads=(PLANS, KEPT, MANAGED, *record))
        found = await self.store.pending(zone, fence, target, whole_names=whole_names)
        published = found.zone.published if self.tells_record else 0
        untold = replace(
            found.zone,
            published=published,
            fence=found.zone.fence if self.tells_record else None,
            published_at=None,
            halted=None,
            pending=0,
            oldest_pending_at=None,
            waiting=0,
            faulted=0,
            withdrawing=0,
        )
        return self._noted("store.pending", fence, replace(found, zone=untold))

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed; later plans than that have no say in it."""
        await self.gate.pass_through("store.record", reads=(KEPT, RECORD), writes=(RECORD,))
        news = await self.store.record(zone, fence, at, faults, mended)
        if not news:
            self.gate.touched(reads=(KEPT, RECORD))
        return self._noted("store.record", fence, news)

    async def reject(
        self,
        zone: str,
        generation: int,
        why: str,
        at: float,
        created: Collection[Key] = (),
        suspects: Sequence[Suspect] = (),
        *,
        waits: bool = False,
    ) -> int | None:
        """Mark a plan rejected, or waiting, and append one that puts its RRsets back."""
        everything = (PLANS, KEPT, RECORD, MANAGED)
        await self.gate.pass_through("store.reject", reads=everything, writes=everything)
        appended = await self.store.reject(zone, generation, why, at, created, suspects, waits=waits)
        return self._noted("store.wait" if waits else "store.reject", generation, appended)

    async def resume(self, zone: str, generation: int, at: float) -> int | None:
        """Accept the contents of a waiting plan once more."""
        everything = (PLANS, KEPT, RECORD, MANAGED)
        await self.gate.pass_through("store.resume", reads=everything, writes=everything)
        return self._noted("store.resume", generation, await self.store.resume(zone, generation, at))

    async def withdraw(self, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        """Take back a plan of which nothing is published."""
        everything = (PLANS, KEPT, RECORD, MANAGED)
        await self.gate.pass_through("store.withdraw", reads=everything, writes=everything)
        refusal = await self.store.withdraw(zone, generation, why, actor, at)
        return self._noted("store.withdraw", generation, refusal)

    async def halt(self, zone: str, why: str) -> bool:
        """Note why publishing is stopped for a zone."""
        await self.gate.pass_through("store.halt", reads=(RECORD,), writes=(RECORD,))
        return self._noted("store.halt", why, await self.store.halt(zone, why))

    async def covered(self, zone: str) -> tuple[Covered, ...]:
        """Return every RRset that the history covers at the newest generation."""
        await self.gate.pass_through("store.covered", reads=(PLANS,))
        return self._noted("store.covered", zone, await self.store.covered(zone))

    async def resync(self, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
        """Append a plan above a generation and trust one fence."""
        everything = (PLANS, KEPT, RECORD, MANAGED)
        await self.gate.pass_through("store.resync", reads=everything, writes=everything)
        return self._noted("store.resync", plan, await self.store.resync(zone, plan, seen, above, actor, at))

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes and settled plans; none that are not on record as published."""
        await self.gate.pass_through("store.prune", reads=(KEPT, RECORD), writes=(KEPT,))
        return self._noted("store.prune", upto, await self.store.prune(zone, upto))

    def _noted(self, act: str, subject: object, result: Result) -> Result:
        self.notes.append(Note(self.who, act, subject, result))
        return result
