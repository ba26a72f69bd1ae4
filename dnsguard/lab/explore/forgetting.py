"""The ends as the daemons of a scenario have them: they say what of all that a worker was told can still matter to it.
Two workers that differ only in what no longer matters are then one to a search. Nothing that is asked or answered
is changed; that what is said here is so, a test shows by running both on.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from dnsguard.core.enactment import Reach
from dnsguard.core.fence import Fence, fence_key, parse_fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Pending, Zone
from dnsguard.core.message import AddRecords, Applied, Message, NamesRead, Outcome, Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.sweep import Listed, deletion, markers, nodes
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.gated import GatedPublisher, GatedStore
from dnsguard.workers.enactor import Enactor


class Remembered(RuntimeError):
    """A worker went on as it could only by what it was said to have no more use for."""

    def __init__(self, who: str, expected: object, found: object) -> None:
        super().__init__(
            f"expected {who} to go on with {expected}, found {found}: "
            "say in the scenario's forgetting what it still needs"
        )


@dataclass(slots=True)
class Needed:
    """What a clean-up was told, and what it still needs of it. ``afresh`` says of an actor what it knows."""

    afresh: Callable[..., None]
    guards: Guards
    policy: Policy
    seen: Seen | None = None
    zone: Zone | None = None
    left: tuple[Message, ...] = ()
    """The deletions that are still to be made."""

    def bound(self) -> tuple[int, int]:
        """Return up to where it may clean up, and up to where that was done: 0 for what it does not know."""
        seen, zone = self.seen, self.zone
        if seen is None or zone is None:
            return 0, 0
        reach = Reach(zone.history, zone.newest, zone.published, seen.fence, self.policy)
        return self.guards.prune_upto(reach), zone.kept_from

    def for_listing(self, who: str) -> None:
        """Say that of the fence and the record only the bound matters that follows from them."""
        self.afresh(who, "transfer", *self.bound())

    def for_deleting(self, zone: str, found: Mapping[Key, Records]) -> None:
        """Take down what is to be deleted, of what was listed."""
        listed = Listed(zone, seen_in(zone, found), found)
        upto, guards = self.bound()[0], self.guards
        old = upto - self.policy.history_generations_min
        self.left = ()
        if listed.seen.fence is not None:
            chosen = (node for node in (*nodes(listed, upto), *markers(listed, old)) if not guards.spares(listed, node))
            self.left = tuple(deletion(listed, node, guards.delete) for node in chosen)

    def for_the_next(self, who: str, message: Message) -> None:
        """Say that, of what was listed and deleted, only what is still to be deleted matters. Raises Remembered."""
        if self.left[:1] != (message,):
            raise Remembered(who, self.left[:1], message)
        self.afresh(who, "delete", self.left, *self.bound())
        self.left = self.left[1:]


@dataclass(slots=True)
class CleaningStore(GatedStore):
    """The store of a clean-up. Pruning is the last that it does: then nothing else that it knew matters."""

    needed: Needed = field(kw_only=True)

    async def zone(self, name: str) -> Zone:
        """Return a zone."""
        self.needed.zone = await GatedStore.zone(self, name)
        return self.needed.zone

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes and settled plans."""
        self.needed.afresh(self.who, "prune", upto)
        return await GatedStore.prune(self, zone, upto)


@dataclass(slots=True)
class CleaningPublisher(GatedPublisher):
    """The primary of a clean-up."""

    needed: Needed = field(kw_only=True)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        answer = await GatedPublisher.observe(self, zone)
        self.needed.seen = answer if isinstance(answer, Seen) else None
        return answer

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        self.needed.for_listing(self.who)
        found = await GatedPublisher.transfer(self, zone)
        if not isinstance(found, Unreachable):
            self.needed.for_deleting(zone, found)
        return found

    async def publish(self, message: Message) -> Outcome:
        """Delete a node. Raises Remembered if it is none that is due."""
        self.needed.for_the_next(self.who, message)
        return await GatedPublisher.publish(self, message)


@dataclass(slots=True)
class Underway:
    """What an enactor was told in one run, and what it still needs of it. ``afresh`` says of an actor what it knows.

    As long as all goes well, a run is: look at the fence, look what is pending, write message after message, record.
    Once anything else happens, nothing is forgotten any more until the next run.
    """

    afresh: Callable[..., None]
    policy: Policy
    enactor: Enactor | None = None
    began: Seen | None = None
    """The fence from which the run began."""
    seen: Seen | None = None
    """The fence as it was seen or written last."""
    pending: Pending | None = None
    plain: bool = False
    """Whether all has gone well so far."""
    written: bool = False
    """Whether the last message is on the wire."""
    over: bool = False
    """Whether nothing is left to be done in this run."""

    def begin(self, who: str, enactor: Enactor) -> None:
        """Begin a run."""
        self.enactor = enactor
        self.began = self.seen = enactor._believed  # noqa: SLF001  what it knows when it begins
        self.pending, self.plain, self.written, self.over = None, True, False, False
        self.afresh(who, *self.own())

    def own(self) -> tuple[Hashable, ...]:
        """Return what the enactor keeps in itself."""
        return tuple(getattr(self.enactor, each.name) for each in fields(Enactor) if each.name[0] == "_")

    def going_on(self, who: str, act: str) -> None:
        """Hear of any effect. Raises Remembered if there should be none any more."""
        if self.over:
            raise Remembered(who, "its next run", act)

    def for_writing(self, who: str, message: Message) -> None:
        """Say what matters once a message is on its way.

        The fence that was seen last is compared only if the message is refused, which none is that asks for nothing;
        what stood at the beginning is in the fences that are still to be written, and only who reads back looks at it
        afterwards. Of what was pending, neither where the history begins nor the digest is looked at again.
        """
        began, seen, pending = self.began, self.seen, self.pending
        if not self.plain or seen is None or pending is None:
            self.plain = False
            return
        zone = replace(pending.zone, kept_from=0)
        left = replace(pending, zone=zone, known_digest=None, owed=())
        base = began.fence.base if self.policy.read_back and began is not None and began.fence is not None else None
        asked = seen if message.prerequisites else None
        self.afresh(who, "publish", message, self.own(), left, base, asked)

    def after_writing(self, message: Message, outcome: Outcome) -> None:
        """Take in what came of a message."""
        wrote = _fence_in(message)
        if not isinstance(outcome, Applied) or wrote is None or wrote.fence is None:
            self.plain = False
            return
        self.seen, self.written = wrote, wrote.fence.progress is None

    def for_recording(self, who: str, *recorded: Hashable) -> None:
        """Say what matters once it is on its way to be recorded that all is written: what comes next begins anew."""
        if self.plain and self.written:
            self.afresh(who, "record", recorded, self.own())
            self.over = True
        self.plain = False


def _fence_in(message: Message) -> Seen | None:
    """Return the fence that a message writes."""
    for update in message.updates:
        if isinstance(update, AddRecords) and update.key == fence_key(message.zone):
            return Seen(update.records.rdatas, parse_fence(update.records.rdatas))
    return None


@dataclass(slots=True)
class EnactingStore(GatedStore):
    """The store of an enactor."""

    underway: Underway = field(kw_only=True)

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish from a fence on."""
        self.underway.going_on(self.who, "store.pending")
        found = await GatedStore.pending(self, zone, fence, target, whole_names=whole_names)
        if self.underway.pending is None:
            self.underway.pending = found
        return found

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed."""
        self.underway.going_on(self.who, "store.record")
        self.underway.for_recording(self.who, fence, at, tuple(faults), tuple(mended))
        return await GatedStore.record(self, zone, fence, at, faults, mended)


@dataclass(slots=True)
class EnactingPublisher(GatedPublisher):
    """The primary of an enactor."""

    underway: Underway = field(kw_only=True)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        underway = self.underway
        underway.going_on(self.who, "observe")
        answer = await GatedPublisher.observe(self, zone)
        if underway.seen is None and isinstance(answer, Seen):
            underway.began = underway.seen = answer
        return answer

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        self.underway.going_on(self.who, "publish")
        self.underway.for_writing(self.who, message)
        outcome = await GatedPublisher.publish(self, message)
        self.underway.after_writing(message, outcome)
        return outcome

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        self.underway.going_on(self.who, "read")
        return await GatedPublisher.read(self, zone, names)
