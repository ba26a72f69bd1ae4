"""Turns what workers did, effect by effect, into a trace that `refinement` can replay.
`Recorder.note` takes an effect as the laboratory's ends note it: who, which method, what was asked, what came of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.core.fence import Fence, fence_key, parse_fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, KeyReused, Pending, Submission
from dnsguard.core.layout import node_of, rollback_name, target_of
from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Refused, RRsetAbsent, RRsetIs, Unreachable
from dnsguard.core.message import Outcome as Answer
from dnsguard.core.plan import Absence, Change
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.ends.store import MemoryStore
from tests.model import refinement
from tests.model.refinement import Event, Outcome, place_of
from tests.model.world import ABSENT, Place

NOTED = frozenset(
    {
        "observe",
        "transfer",
        "publish",
        "store.accept",
        "store.pending",
        "store.record",
        "store.reject",
        "store.prune",
    }
)
"""The effects of which a recorder must hear."""


@dataclass(slots=True)
class Recorder:
    """Writes a trace of one zone. By actor: what it was given last to be published, and what it could not reject."""

    zone: str
    events: list[Event] = field(default_factory=list)
    fetched: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    aside: dict[str, frozenset[tuple[Key, int]]] = field(default_factory=dict)

    def note(self, who: str, act: str, subject: object, result: object) -> None:
        """Write down an effect; those of which the specification says nothing are left out."""
        match act, subject, result:
            case "observe", _, Seen() as seen:
                self._add(who, refinement.Observed(place_of(seen.fence)))
            case "transfer", _, Mapping() as found:
                self._add(who, refinement.Observed(place_of(seen_in(self.zone, found).fence)))
            case "publish", Message() as message, answer:
                self._sent(who, message, _outcome(answer))
            case "store.accept", Submission() as submission, Accepted(generation, False):
                self._add(who, refinement.Accepted(generation, submission.plan.keys))
            case "store.pending", fence, Pending() as pending:
                base = fence.base if isinstance(fence, Fence) else 0
                self.fetched[who] = pending.changes
                changes = tuple((change.key, change.generation) for change in pending.changes)
                aside = self.aside.get(who, frozenset()) & frozenset(changes)
                self._add(who, refinement.Fetched(base, pending.target, changes, aside))
            case "store.record", Fence() as fence, _:
                self._add(who, refinement.Recorded(place_of(fence)))
            case "store.reject", int() as generation, (int() | None) as appended:
                self._add(who, refinement.Rejected(generation, appended))
                if appended is None:
                    fetched = self.fetched.get(who, ())
                    refused = {(change.key, generation) for change in fetched if change.generation == generation}
                    self.aside[who] = self.aside.get(who, frozenset()) | refused
            case "store.prune", int() as upto, _:
                self._add(who, refinement.Pruned(upto))
            case _:
                pass

    def crashed(self, who: str) -> None:
        """Write down that an actor is gone, and what it knew."""
        self._add(who, refinement.Crashed())
        self.fetched.pop(who, None)
        self.aside.pop(who, None)

    def _add(self, who: str, act: refinement.Act) -> None:
        self.events.append(Event(who, act))

    def _sent(self, who: str, message: Message, outcome: Outcome) -> None:
        fence = fence_key(self.zone)
        after = [u.records for u in message.updates if isinstance(u, AddRecords) and u.key == fence]
        if after:
            place = place_of(parse_fence(after[0].rdatas))
            touched = tuple(sorted(set(self._touched(who, message))))
            fetched = self.fetched.get(who, ())
            silent = frozenset(change.key for change in fetched if change.wanted is Absence.WITHDRAWN)
            self._add(who, refinement.Published(_prerequisite(message, fence), place, touched, outcome, silent))
            return
        for update in message.updates:
            node = node_of(update.key.name)
            if isinstance(update, DeleteRRset) and node is not None:
                aliases = _aliases(message, node[1])
                self._add(who, refinement.Deleted(Key(node[1], update.key.type), node[0], outcome, aliases))

    def _touched(self, who: str, message: Message) -> list[tuple[Key, int]]:
        """Return the RRsets that a message changes, and the generation of what it gives them; 0 for other contents."""
        changes = {change.key: change for change in self.fetched.get(who, ())}
        added = {u.key: u.records for u in message.updates if isinstance(u, AddRecords)}
        touched = []
        for key in dict.fromkeys(update.key for update in message.updates):
            records, node = added.get(key), node_of(key.name)
            target = node_of(target_of(records) or "") if key.type == "CNAME" else None
            if node is not None:
                touched.append(_given(changes, Key(node[1], key.type), records))
            elif target is not None and target[1] == key.name:
                touched += [(each, target[0]) for each in changes if each.name == key.name]
            elif key in changes and (records is not None or changes[key].wanted is Absence.RETIRED):
                touched.append(_given(changes, key, records))
        return touched


def _given(changes: Mapping[Key, Change], key: Key, records: Records | None) -> tuple[Key, int]:
    change = changes.get(key)
    wanted = records if records is not None else Absence.RETIRED
    return key, change.generation if change is not None and change.wanted == wanted else 0


def _prerequisite(message: Message, fence: Key) -> Place | None:
    for prerequisite in message.prerequisites:
        if isinstance(prerequisite, RRsetIs) and prerequisite.key == fence:
            return place_of(parse_fence(prerequisite.rdatas))
        if prerequisite == RRsetAbsent(fence):
            return ABSENT
    return None


def _aliases(message: Message, owner: str) -> tuple[int, int] | None:
    """Return the generations that a message expects an owner's aliases to name; None if it expects nothing of one."""
    expected: list[int] = []
    for alias in (Key(owner, "CNAME"), Key(rollback_name(owner), "CNAME")):
        for prerequisite in message.prerequisites:
            if isinstance(prerequisite, RRsetIs) and prerequisite.key == alias:
                node = node_of(target_of(Records(0, prerequisite.rdatas)) or "")
                expected.append(node[0] if node is not None else 0)
            elif prerequisite == RRsetAbsent(alias):
                expected.append(0)
    return (expected[0], expected[1]) if len(expected) == 2 else None


def _outcome(answer: object) -> Outcome:
    return "applied" if isinstance(answer, Applied) else "refused" if isinstance(answer, Refused) else "unknown"


@dataclass(slots=True)
class RecordedPublisher(MemoryPublisher):
    """A primary in memory that has a trace of it written."""

    recorder: Recorder = field(kw_only=True)
    who: str = field(kw_only=True)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        seen = await MemoryPublisher.observe(self, zone)
        self.recorder.note(self.who, "observe", zone, seen)
        return seen

    async def publish(self, message: Message) -> Answer:
        """Apply one UPDATE, or nothing of it."""
        answer = await MemoryPublisher.publish(self, message)
        self.recorder.note(self.who, "publish", message, answer)
        return answer

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets."""
        found = await MemoryPublisher.transfer(self, zone)
        self.recorder.note(self.who, "transfer", zone, found)
        return found


@dataclass(slots=True)
class RecordedStore(MemoryStore):
    """A store in memory that has a trace of it written."""

    recorder: Recorder = field(kw_only=True)
    who: str = field(kw_only=True)

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | KeyReused | Refusal:
        """Append the plan."""
        answer = await MemoryStore.accept(self, submission, guards, policy, wire)
        self.recorder.note(self.who, "store.accept", submission, answer)
        return answer

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish."""
        pending = await MemoryStore.pending(self, zone, fence, target, whole_names=whole_names)
        self.recorder.note(self.who, "store.pending", fence, pending)
        return pending

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed."""
        news = await MemoryStore.record(self, zone, fence, at, faults, mended)
        self.recorder.note(self.who, "store.record", fence, news)
        return news

    async def reject(
        self, zone: str, generation: int, why: str, at: float, created: Collection[Key] = ()
    ) -> int | None:
        """Mark a plan rejected."""
        appended = await MemoryStore.reject(self, zone, generation, why, at, created)
        self.recorder.note(self.who, "store.reject", generation, appended)
        return appended

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes."""
        rows = await MemoryStore.prune(self, zone, upto)
        self.recorder.note(self.who, "store.prune", upto, rows)
        return rows
