"""The things through which a worker touches the world: `Clock`, `Store`, `Publisher`; to follow name servers, also
`Observer` and `Tracks`.
One method is one effect: a short transaction, one exchange with a name server, or a look at the clock.
Frozen values go in and out, so that the same workers run under any scheduler and over any ends.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Covered, Judged, KeyReused, Pending, Submission, Unchanged, Zone
from dnsguard.core.message import Message, NamesRead, Outcome, Unreachable
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.propagation import Tracked
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.written import Seen


class Clock(Protocol):
    """Time and chance."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def hex_digits(self, count: int) -> str:
        """Return random lower-case hexadecimal digits."""
        ...


class Publisher(Protocol):
    """The primary of a zone. Answers are authentic: TCP and TSIG."""

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        ...

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE and wait for its outcome; never retries."""
        ...

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset that truly exists at these names (nothing made from a wildcard)."""
        ...

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone, SOA and fence included (AXFR, RFC 5936)."""
        ...


class Observer(Protocol):
    """The name servers that a zone lists: asked, never written to.

    Nothing that is written rests on their answers, so these may be unsigned; but they are authoritative, and bounded
    in time.
    """

    async def fences(self, zone: str) -> Mapping[str, Seen | Unreachable]:
        """Return what each of them serves at the fence's name."""
        ...


class Tracks(Protocol):
    """What the history keeps of propagation. Every method is one short transaction."""

    async def track(self, zone: str, fences: Collection[Fence], generations: Collection[int]) -> Tracked:
        """Say which fences are of this history, and since when there is something newer than some generations."""
        ...

    async def propagate(self, zone: str, generation: int, servers: Collection[str], at: float) -> bool:
        """Record that all these name servers serve a generation: forward only. Returns whether it was news."""
        ...


class Store(Protocol):
    """The history. Every method is one short transaction; every write is conditional."""

    async def zone(self, name: str) -> Zone:
        """Return a zone. Raises ZoneUnknown."""
        ...

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | Unchanged | KeyReused | Refusal:
        """Ask the guards and append the plan under the next, or its stated, generation. Raises ZoneUnknown.

        A plan that no guard refuses and that changes nothing is not appended.
        """
        ...

    async def judge(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Judged:
        """Ask every guard and compare with what stands; writes nothing. Raises ZoneUnknown."""
        ...

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        """Return those of the RRsets that no accepted plan covers."""
        ...

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish from a fence on, up to a target (the newest generation if None).

        It also has what stands unchanged and stands or falls with a change; with ``whole_names``, everything that
        stands unchanged at the names at which something changes.
        """
        ...

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed, None for no fence at all: a row may lag behind the zone, never lead it.

        Settles plans up to ``fence.base`` (published or superseded), marks those with ``faults`` (generation
        and reason), takes the mark from those that are ``mended``, and ends a halt. Returns whether anything was news.
        """
        ...

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
        """Mark a plan rejected, so that no state has its contents any more, and append one that puts them back.

        With ``waits`` it is marked as waiting instead, and `resume` accepts its contents once more.

        An RRset that stood nowhere before is nobody's again; one that is among ``created``, and so was absent
        until this publication put it on the wire, is retired. Returns the appended generation, 0 if nothing was
        to be put back, and None if the plan is on record as published or putting back would want the very same
        contents: then it is marked at fault, and nothing else is done. ``suspects`` is kept with the reason.
        """
        ...

    async def resume(self, zone: str, generation: int, at: float) -> int | None:
        """Accept the contents of a waiting plan once more, except what newer plans cover.

        Returns the new generation, 0 if newer plans cover all of it, and None if the plan does not wait any more.
        """
        ...

    async def withdraw(self, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        """Take back a plan of which nothing is published; return why not. Raises GenerationUnknown.

        Appends a generation that puts back what stood. `record` decides by the fence whether the plan was published
        before that. Doing it twice changes nothing more.
        """
        ...

    async def halt(self, zone: str, why: str) -> bool:
        """Note why publishing is stopped for a zone. Returns whether that was news."""
        ...

    async def covered(self, zone: str) -> tuple[Covered, ...]:
        """Return every RRset that the history covers, retired ones included, at the newest generation."""
        ...

    async def resync(self, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
        """Append a plan above a generation and note which fence it may be written over; end a halt.

        Returns the plan's generation. No guard is asked: an operator has decided.
        """
        ...

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes and settled plans at or below a generation. Returns how many rows went."""
        ...
