"""What the store says of zones and their histories, as frozen values.
Times are seconds since the epoch, UTC. Generation 0 is the zone before its first plan.
"""

import enum
from dataclasses import dataclass, field

from dnsguard.core.plan import Change, Plan, Wanted
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect


class PlanState(enum.Enum):
    """How far a plan got."""

    ACCEPTED = "accepted"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    """Every RRset that it covers was covered by a newer plan before it reached the wire."""
    REJECTED = "rejected"
    """The primary, or a guard asked again, said no; ``Entry.why`` has the reason."""
    FAULTED = "faulted"
    """The server said yes, and reading back showed something else; ``Entry.why`` says what."""
    WAITING = "waiting"
    """It cannot be published for now, since one of its names cannot be read; ``Entry.why`` names it.

    No state has its contents. It is accepted again, as a new generation, once its names can be read."""
    WITHDRAWING = "withdrawing"
    """An operator has taken it back, and the fence has not yet shown whether it was published before that."""
    WITHDRAWN = "withdrawn"
    """An operator took it back, and none of it was ever published; ``Entry.why`` says who and why."""


UNSETTLED = frozenset({PlanState.ACCEPTED, PlanState.PUBLISHING, PlanState.WAITING, PlanState.WITHDRAWING})
"""The states in which a plan does not stay."""
TAKEN_OUT = frozenset({PlanState.REJECTED, PlanState.WAITING, PlanState.WITHDRAWN})
"""The states of plans whose contents are part of no state of the zone."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A plan at the door: by whom, when, and how a repetition of it is known."""

    plan: Plan
    actor: str
    at: float
    idempotency_key: str | None = None
    body_digest: bytes = b""
    """SHA-256 of what was asked, to tell a repetition from another request under the same key."""
    republish: bool = False
    """Whether it becomes a generation even if it changes nothing."""
    open_findings: tuple[tuple[Key, int], ...] = ()
    """RRsets that a verification found to differ on the primary, each with the generation that was compared."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """An RRset to which a plan gives other contents than the records that it had.

    ``before`` comes from ``generation``. Without a generation it is what the primary showed where no plan covered the
    RRset.
    """

    key: Key
    before: Records
    after: Wanted
    generation: int | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The plan is durable. ``repeated``: it had been accepted before under the same idempotency key.

    ``replaced`` has the records that it replaces, None for a repetition. It describes the outcome and is not part of
    its identity.
    """

    generation: int
    repeated: bool = False
    replaced: tuple[Replaced, ...] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The plan changes nothing and became no generation: what it wants is accepted already.

    ``generation`` is the newest of those that its contents come from. ``repeated``: the same was answered before under
    the same idempotency key.
    """

    generation: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key belongs to another request, the one that was answered with ``generation``."""

    generation: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One RRset at two generations; None where it was not covered."""

    key: Key
    before: Wanted | None
    after: Wanted | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A dry run's answer: what each guard says, by name, and what would change.

    ``unchanged_at`` is the generation with which the plan would be answered if it became none, as in `Unchanged`.
    """

    newest: int
    verdicts: tuple[tuple[str, Refusal | None], ...]
    differences: tuple[Difference, ...]
    unchanged_at: int | None = None


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as the store has it on record. ``fence`` is the newest observed fence's text."""

    name: str
    history: str
    newest: int
    published: int
    kept_from: int
    """The oldest generation that a rollback or a comparison can still reach."""
    fence: str | None
    published_at: float | None
    halted: str | None
    """Why publishing is stopped for this zone, for people; None if it is not."""
    trusted_fence: str | None
    """A foreign fence that an operator decided to write over (resync); None otherwise."""
    pending: int
    """Plans accepted and not yet published, superseded or rejected."""
    oldest_pending_at: float | None
    propagated: int = 0
    """The newest generation that all listed name servers were seen to serve, at once."""
    propagated_at: float | None = None
    waiting: int = 0
    """Plans that wait until a name can be read."""
    faulted: int = 0
    """Plans that are on record as published, and of which something is not on the wire."""
    withdrawing: int = 0
    """Plans that are being withdrawn."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan in the history."""

    zone: str
    generation: int
    actor: str
    reason: str
    accepted_at: float
    based_on: int | None
    digest: str
    state: PlanState
    settled_at: float | None
    """When it was published, superseded or rejected."""
    why: str | None
    rrsets: int
    """How many RRsets it covers."""
    reverts: int | None = None
    """The rejected generation whose RRsets this one puts back."""
    propagated_at: float | None = None
    """When all listed name servers were seen to serve it, or something newer."""
    suspects: tuple[Suspect, ...] = ()
    """The RRsets that it was probably rejected for, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Covered:
    """An RRset with its newest contents and the plan that they come from."""

    key: Key
    wanted: Wanted
    generation: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan that waits until its names can be read, with its changes in publication order."""

    generation: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """What there is to publish from a fence: the changes up to ``target``, folded, in publication order.

    ``known_digest`` is the chain digest at the fence's generation, None if unknown; ``target_digest`` that of
    the target. Without anything to publish, ``target`` is the fence's generation and there are no changes; only
    then ``owed`` has what is on record as published by plans that are marked at fault, to be tried again.
    """

    zone: Zone
    known_digest: str | None
    target: int
    target_digest: str
    changes: tuple[Change, ...]
    owed: tuple[Change, ...] = ()
    record_first: bool = False
    """The fence shows that a withdrawal came too late. Nothing may be published before the store has recorded that."""
    waiting: tuple[Waiting, ...] = ()
    """The plans that wait for a name to become readable; only given where there is nothing to publish."""


class ZoneUnknown(LookupError):
    """The store has no such zone."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no zone {name} is known here")
        self.name = name


class GenerationUnknown(LookupError):
    """The zone's history has no such generation, or no longer; it reaches from ``kept_from`` to ``newest``."""

    def __init__(self, zone: str, generation: int, kept_from: int, newest: int) -> None:
        super().__init__(f"expected a generation of {zone} from {kept_from} to {newest}, found {generation}")
        self.zone, self.generation, self.kept_from, self.newest = zone, generation, kept_from, newest


class StoreUnavailable(Exception):
    """The history cannot be reached, read or written; the message is a sentence for people, without secrets.

    What was asked of it may have happened or not.
    """

    is_unclear = False
    """Whether it may have happened for all that is known: the store broke off while it was committing."""
