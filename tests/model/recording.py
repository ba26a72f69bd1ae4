"""Turns what workers did, effect by effect, into a trace that `refinement` can replay.
`Recorder.note` takes an effect as the laboratory's ends note it: who, which method, what was asked, what came of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.core.fence import Fence, fence_key, parse_fence
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, KeyReused, Pending, Submission, Unchanged
from dnsguard.core.layout import MARKER_LABEL, ROLLBACK_LABEL, node_of, rollback_name, target_of
from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRecords,
    DeleteRRset,
    Message,
    Refused,
    RRsetAbsent,
    RRsetIs,
    Unreachable,
)
from dnsguard.core.message import Outcome as Answer
from dnsguard.core.plan import Absence, Change
from dnsguard.core.policy import Policy
from dnsguard.core.publication import scratch_key
from dnsguard.core.publication_order import OrderRule
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.ends.store import MemoryStore
from tests.model import events
from tests.model.events import Act, Event, Outcome, place_of
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
        "store.withdraw",
        "store.prune",
    }
)
"""The effects of which a recorder must hear."""


@dataclass(slots=True)
class Recorder:
    """Writes a trace of one zone. By actor: what it was given last to be published, what it could not reject, and the
    generations in its last message with contents that was not known to be taken.
    """

    zone: str
    events: list[Event] = field(default_factory=list)
    fetched: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    aside: dict[str, frozenset[tuple[Key, int]]] = field(default_factory=dict)
    suspects: dict[str, frozenset[int]] = field(default_factory=dict)
    orders: tuple[OrderRule, ...] = GUARDED.order
    """In which orders actors may publish."""

    def note(self, who: str, act: str, subject: object, result: object) -> None:
        """Write down an effect; those of which the specification says nothing are left out."""
        match act, subject, result:
            case "observe", _, Seen() as seen:
                self._add(who, events.Observed(place_of(seen.fence)))
            case "transfer", _, Mapping() as found:
                self._add(who, events.Observed(place_of(seen_in(self.zone, found).fence)))
            case "publish", Message() as message, answer:
                self._sent(who, message, _outcome(answer))
            case "store.accept", Submission() as submission, Accepted(generation, False):
                self._add(who, events.Accepted(generation, submission.plan.keys))
            case "store.accept", Submission() as submission, Unchanged(generation, False):
                self._add(who, events.Unchanged(generation, submission.plan.keys))
            case "store.pending", fence, Pending() as pending:
                base = fence.base if isinstance(fence, Fence) else 0
                self.fetched[who] = pending.changes
                self.suspects.pop(who, None)  # it begins anew: what was refused before is no proof any more
                changes = tuple((change.key, change.generation) for change in pending.changes)
                aside = self.aside.get(who, frozenset()) & frozenset(changes)
                arranged = dict.fromkeys(
                    (found.version, tuple((change.key, change.generation) for change in found.changes))
                    for left in (pending.changes, self._without(pending.changes, aside))
                    for found in (order(left) for order in self.orders)
                )
                self._add(who, events.Fetched(base, pending.target, changes, aside, tuple(arranged)))
            case "store.record", Fence() as fence, _:
                self._add(who, events.Recorded(place_of(fence)))
            case "store.reject", int() as generation, (int() | None) as appended:
                suspect = generation in self.suspects.get(who, frozenset())
                self._add(who, events.Rejected(generation, appended, suspect))
                if appended is None:
                    fetched = self.fetched.get(who, ())
                    refused = {(change.key, generation) for change in fetched if change.generation == generation}
                    self.aside[who] = self.aside.get(who, frozenset()) | refused
            case "store.withdraw", int() as generation, None:
                self._add(who, events.Withdrawn(generation))
            case "store.prune", int() as upto, _:
                self._add(who, events.Pruned(upto))
            case _:
                pass

    @staticmethod
    def _without(changes: tuple[Change, ...], aside: Collection[tuple[Key, int]]) -> tuple[Change, ...]:
        return tuple(change for change in changes if (change.key, change.generation) not in aside)

    def crashed(self, who: str) -> None:
        """Write down that an actor is gone, and what it knew."""
        self._add(who, events.Crashed())
        self.fetched.pop(who, None)
        self.aside.pop(who, None)
        self.suspects.pop(who, None)

    def _add(self, who: str, act: Act) -> None:
        self.events.append(Event(who, act))

    def _sent(self, who: str, message: Message, outcome: Outcome) -> None:
        """Write down what a message does to the zone: all of it, or that something of it is nothing known."""
        said = _Said(self.zone, self.fetched.get(who, ()), message)
        for key in said.strange:
            self._add(who, events.Strange(key))
        if said.fence is not None:
            silent = frozenset(change.key for change in said.fetched if change.wanted is Absence.UNCOVERED)
            touched, backs = tuple(sorted(said.touched)), tuple(sorted(said.backs))
            prerequisite = _prerequisite(message, fence_key(self.zone))
            if touched:
                written = frozenset(generation for _, generation in touched)
                self.suspects[who] = frozenset() if outcome == "applied" else written
            self._add(who, events.Published(prerequisite, said.fence, touched, outcome, silent, backs))
            return
        for owner, generation in said.deleted:
            self._add(who, events.Deleted(owner, generation, outcome, _aliases(message, owner.name)))
        for name, generation in said.unmarked:
            self._add(who, events.Unmarked(name, generation, outcome))


class _Said:
    """What a message says of each RRset that it touches, in the words of the specification."""

    def __init__(self, zone: str, fetched: tuple[Change, ...], message: Message) -> None:
        self.fetched = fetched
        self.fence: Place | None = None
        """The fence that it writes."""
        self.touched: set[tuple[Key, int]] = set()
        """The RRsets that it changes, and the generation of what it gives them; 0 for other contents."""
        self.backs: set[tuple[Key, int]] = set()
        """The RRsets whose name gets a rollback, and the node's generation."""
        self.deleted: list[tuple[Key, int]] = []
        self.unmarked: list[tuple[str, int]] = []
        self.strange: list[Key] = []
        """What it touches and the specification does not know."""
        self._changes = {change.key: change for change in fetched}
        after = _afterwards(message)
        fence = after.pop(fence_key(zone), None)
        if fence is not None:
            self.fence = place_of(parse_fence(fence.rdatas))
        after.pop(scratch_key(zone), None)
        for key, records in after.items():
            self._take(key, records, after)
        self.strange += [update.key for update in message.updates if isinstance(update, DeleteRecords)]
        if fence is None:
            self.strange += [key for key, _ in (*self.touched, *self.backs)]

    def _take(self, key: Key, records: Records | None, after: Mapping[Key, Records | None]) -> None:
        node, first = node_of(key.name), key.name.partition(".")[0]
        if node is not None:
            self._take_node(Key(node[1], key.type), node[0], records)
        elif first == MARKER_LABEL:
            self._take_marker(key, records, after)
        elif key.type == "CNAME" and first == ROLLBACK_LABEL:
            self._take_rollback(key, records)
        elif key.type == "CNAME" and (target := node_of(target_of(records) or "")) is not None:
            here = [each for each in self._changes if each.name == key.name]
            ttl = min((w.ttl for each in here if isinstance(w := self._changes[each].wanted, Records)), default=None)
            same = target[1] == key.name and records is not None and records.ttl == ttl
            self.touched |= {(each, target[0] if same else 0) for each in here}
            self.strange += [] if here else [key]
        elif key not in self._changes:
            self.strange.append(key)
        elif records is not None or self._changes[key].wanted is Absence.RETIRED:
            self.touched.add((key, self._generation(key, records)))
        elif Key(key.name, "CNAME") not in after:
            self.strange.append(key)  # deleted, and nothing comes in its place

    def _take_node(self, owner: Key, generation: int, records: Records | None) -> None:
        if self.fence is None and records is None:
            self.deleted.append((owner, generation))
        elif self.fence is None or owner not in self._changes:
            self.strange.append(owner)
        else:
            self.touched.add((owner, generation if generation == self._generation(owner, records) else 0))

    def _take_marker(self, key: Key, records: Records | None, after: Mapping[Key, Records | None]) -> None:
        name = key.name.partition(".")[2]
        node = node_of(name)
        if node is not None and self.fence is None and records is None:
            self.unmarked.append((node[1], node[0]))
        elif self.fence is None or records is None or all(each.name != name for each in after):
            self.strange.append(key)

    def _take_rollback(self, key: Key, records: Records | None) -> None:
        owner, target = key.name.partition(".")[2], node_of(target_of(records) or "")
        here = [each for each in self._changes if each.name == owner]
        if target is None or target[1] != owner or records is None or records.ttl != 0 or not here:
            self.strange.append(key)
        else:
            self.backs |= {(each, target[0]) for each in here}

    def _generation(self, key: Key, records: Records | None) -> int:
        """Return the generation of what a message gives an RRset, by what was fetched; 0 for anything else."""
        change = self._changes[key]
        return change.generation if change.wanted == (Absence.RETIRED if records is None else records) else 0


def _afterwards(message: Message) -> dict[Key, Records | None]:
    """Return how each RRset that a message touches stands after it; None for absent."""
    after: dict[Key, Records | None] = {}
    for update in message.updates:
        if isinstance(update, DeleteRRset):
            after[update.key] = None
        elif isinstance(update, AddRecords):
            # What is added to something unknown is not what is said.
            known = update.key in after and after[update.key] is None
            after[update.key] = update.records if known else Records(update.records.ttl, (b"and what is there",))
    return after


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
    ) -> Accepted | Unchanged | KeyReused | Refusal:
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
        """Mark a plan rejected, or waiting."""
        appended = await MemoryStore.reject(self, zone, generation, why, at, created, suspects, waits=waits)
        self.recorder.note(self.who, "store.wait" if waits else "store.reject", generation, appended)
        return appended

    async def withdraw(self, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        """Take a plan back."""
        refusal = await MemoryStore.withdraw(self, zone, generation, why, actor, at)
        self.recorder.note(self.who, "store.withdraw", generation, refusal)
        return refusal

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes."""
        rows = await MemoryStore.prune(self, zone, upto)
        self.recorder.note(self.who, "store.prune", upto, rows)
        return rows
