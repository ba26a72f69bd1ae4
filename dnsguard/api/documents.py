"""What goes over the wire, as types: the same ones validate requests, shape answers and describe both in OpenAPI.
Requests refuse fields that they don't know. Nothing here knows what a name or a record means.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

GENERATION_MAX = 2**63 - 1
REASON_CHARACTERS_MAX = 1_000
REPLACED_MAX = 1_000
"""So many replaced RRsets are listed in an answer."""

Generation = Annotated[int, Meta(ge=1, le=GENERATION_MAX)]
State = Literal[
    "accepted", "publishing", "published", "superseded", "rejected", "faulted", "waiting", "withdrawing", "withdrawn"
]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339, UTC")]


def _described(text: str) -> Meta:
    return Meta(description=text)


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """A request's body."""


class RRsetWanted(Request, frozen=True):
    """The complete contents wanted for one RRset."""

    name: Annotated[str, _described("Owner name: relative to the zone, '@' for its apex, or absolute with a dot.")]
    type: Annotated[str, _described("Record type, such as A, MX or TYPE65280.")]
    ttl: Annotated[int, _described("Seconds.")]
    records: Annotated[tuple[str, ...], _described("Record data in presentation format, at least one, none twice.")]


class RRsetNamed(Request, frozen=True):
    """One RRset, by owner name and type."""

    name: str
    type: str


class PlanWanted(Request, frozen=True):
    """A plan: what it does not name, it does not touch."""

    rrsets: tuple[RRsetWanted, ...] = ()
    retire: Annotated[tuple[RRsetNamed, ...], _described("RRsets to remove, by name.")] = ()
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""
    generation: Annotated[Generation | None, _described("The planner's own number; above the zone's newest.")] = None
    adopt: Annotated[bool, _described("Take over what dnsguard does not manage yet at the names of this plan.")] = False
    # Unset, it is left out of the digest by which a repetition is known: older daemons compute the same one.
    republish: Annotated[
        bool | UnsetType, _described("Make a generation and publish it even if the plan changes nothing.")
    ] = UNSET


class RollbackWanted(Request, frozen=True):
    """A new generation with the contents of an older one."""

    to: Generation
    rrsets: Annotated[tuple[RRsetNamed, ...] | None, _described("Only these; all that changed since, if absent.")] = (
        None
    )
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class ResyncWanted(Request, frozen=True):
    """Settle a zone whose fence is not of this database's history."""

    keep: Annotated[Literal["wire", "store"], _described("Whose contents stand: the name server's or the database's.")]
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class WithdrawalWanted(Request, frozen=True):
    """Take back a plan of which nothing is published."""

    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer's body."""


class NameServerStatus(Answer, frozen=True, kw_only=True):
    """How a name server follows a zone."""

    server: Annotated[str, _described("Its name in the settings.")]
    standing: Annotated[
        Literal["unasked", "current", "behind", "lagging", "silent", "foreign", "backwards"],
        _described(
            "lagging: behind for longer than the settings let it; silent: no usable answer; foreign: what it serves is "
            "not of this history; backwards: it serves less than it served before."
        ),
    ]
    since: Annotated[Time | None, _described("Since when it stands so.")]
    generation: Annotated[int | None, _described("The newest generation that it serves completely, as it last said.")]
    behind_generations: int
    behind_s: Annotated[float | None, _described("How long ago the oldest was published that it lacks.")]
    asked_at: Time | None
    detail: str | None


class VerificationSummary(Answer, frozen=True, kw_only=True):
    """The newest verifications by the daemon that answers; each daemon verifies by itself and knows only its own."""

    current: Annotated[
        bool,
        _described("Whether the last success still says how the zone stands: recent, and no attempt failed since."),
    ]
    overdue: Annotated[bool, _described("Whether there was no success for twice the verifier's interval.")]
    attempted_at: Annotated[Time | None, _described("When the newest attempt began; null before the first.")]
    failure: Annotated[str | None, _described("Why the newest attempt compared nothing; null if it succeeded.")]
    at: Annotated[Time | None, _described("When it last succeeded; null if it never did since the daemon started.")]
    age_s: float | None
    generation: int | None
    findings: Annotated[int | None, _described("How much differed then.")]
    suspended: Annotated[int, _described("RRsets that are repaired no more for the time being.")]


class UnfinishedPlan(Answer, frozen=True, kw_only=True):
    """A plan that waits, is being withdrawn, or is at fault."""

    generation: int
    state: State
    why: Annotated[str | None, _described("What it waits for, who withdraws it, or what is not as published.")]
    accepted_at: Time


class ZoneStatus(Answer, frozen=True, kw_only=True):
    """Where a zone stands."""

    zone: str
    mode: str
    newest: int
    published: int
    fence: Annotated[str | None, _described("The newest fence that was observed at the primary.")]
    published_at: Time | None
    published_age_s: float | None
    pending: Annotated[int, _described("Plans accepted and not settled yet.")]
    oldest_pending_at: Time | None
    oldest_pending_age_s: float | None
    kept_from: Annotated[int, _described("The oldest generation that a rollback or a comparison can reach.")]
    halted: Annotated[str | None, _described("Why publishing is stopped; null if it is not.")]
    trouble: Annotated[
        str | None, _described("What keeps this daemon from publishing at the moment; null if nothing does.")
    ] = None
    history: str
    trusted_fence: str | None
    propagated: Annotated[
        int,
        _described("The newest generation that all listed name servers serve; the published one if none is listed."),
    ] = 0
    propagated_at: Time | None = None
    name_servers: tuple[NameServerStatus, ...] = ()
    verification: VerificationSummary | None = None
    waiting: Annotated[int, _described("Plans that wait until a name can be read.")] = 0
    faulted: Annotated[int, _described("Published plans of which something is not on the wire.")] = 0
    unfinished: Annotated[
        tuple[UnfinishedPlan, ...],
        _described("The plans that wait, are being withdrawn, or are at fault, oldest first, 100 at most."),
    ] = ()


class DaemonStatus(Answer, frozen=True, kw_only=True):
    """A daemon that works on the history, or did until lately."""

    id: str
    host: str
    pid: int
    version: str
    revision: Annotated[str, _described("The revision of the database's tables that its code is made for.")]
    address: Annotated[str | None, _described("Where its API listens.")]
    started_at: Time
    seen_at: Annotated[Time, _described("When it last said that it is there, by its own clock; it does so every 2 s.")]
    seen_age_s: float
    alive: Annotated[
        bool, _described("Whether the daemon that answers has found it there lately; one that is not was killed, say.")
    ]


class Zones(Answer, frozen=True, kw_only=True):
    """The zones that the token may read, and the daemons that work on the history."""

    mode: str
    zones: tuple[ZoneStatus, ...]
    daemons: tuple[DaemonStatus, ...] = ()


OPAQUE_DESCRIPTION = "A record is not valid rdata of its type: kept as octets, shown in the generic form (RFC 3597)."


class RRset(Answer, frozen=True, kw_only=True):
    """An RRset as a plan wants it; without records where ``absence`` says why."""

    name: str
    type: str
    ttl: int | None
    records: tuple[str, ...]
    absence: Literal["retired", "uncovered"] | None
    generation: Annotated[int, _described("The plan that these contents come from.")]
    opaque: Annotated[bool, _described(OPAQUE_DESCRIPTION)] = False


class Contents(Answer, frozen=True, kw_only=True):
    """One side of a difference."""

    ttl: int | None
    records: tuple[str, ...]
    absence: Literal["retired", "uncovered"] | None
    opaque: Annotated[bool, _described(OPAQUE_DESCRIPTION)] = False


class Difference(Answer, frozen=True, kw_only=True):
    """One RRset at two generations; null where no plan covered it."""

    name: str
    type: str
    before: Contents | None
    after: Contents | None


class Links(Answer, frozen=True, kw_only=True):
    """Where to go on."""

    plan: str
    zone: str


class Suspect(Answer, frozen=True, kw_only=True):
    """An RRset that a plan was probably rejected for."""

    name: str
    type: str
    reason: str


class PlanStatus(Answer, frozen=True, kw_only=True):
    """A plan in the history, and how far it got."""

    zone: str
    mode: str
    generation: int
    state: State
    why: Annotated[str | None, _described("Why it was rejected, waits or was withdrawn, or what reading back showed.")]
    actor: str
    reason: str
    accepted_at: Time
    settled_at: Time | None
    based_on: int | None
    digest: str
    rrset_count: int
    reverts: Annotated[int | None, _described("The rejected, waiting or withdrawn generation that this one undoes.")]
    links: Links
    propagated: Annotated[
        bool,
        _described(
            "Whether all listed name servers were seen to serve it or something newer; the primary alone, "
            "if none is listed."
        ),
    ] = False
    propagated_at: Time | None = None
    suspects: Annotated[
        tuple[Suspect, ...],
        _described("The RRsets that it was probably rejected for, the likeliest first; empty unless it was."),
    ] = ()


class Replaced(Difference, frozen=True, kw_only=True):
    """An RRset whose records a plan replaces or retires, with those that it had."""

    generation: Annotated[
        int | None,
        _described("The plan that `before` comes from; null where it is what the primary showed, covered by no plan."),
    ]


class PlanAccepted(PlanStatus, frozen=True, kw_only=True):
    """The plan is durable. ``repeated``: it had been accepted before under the same Idempotency-Key."""

    repeated: bool
    unchanged: Annotated[
        bool,
        _described(
            "Whether the request changed nothing and made no generation: what it wants is accepted already, and the "
            "plan shown is the newest of those that it comes from."
        ),
    ] = False
    replaced_count: Annotated[int | None, _described("How many RRsets had other records; null if repeated.")] = None
    replaced: Annotated[
        tuple[Replaced, ...], _described(f"The first {REPLACED_MAX} of them, with the records that they had.")
    ] = ()


class RollbackAccepted(PlanAccepted, frozen=True, kw_only=True):
    """The rollback is durable, as a plan of its own."""

    to: int
    untouched: Annotated[tuple[RRsetNamed, ...], _described("RRsets that no plan covered then: left as they are.")]


class PlanShown(PlanStatus, frozen=True, kw_only=True):
    """A plan with a page of what it covers."""

    rrsets: tuple[RRset, ...]
    next: Annotated[str | None, _described("The next page of RRsets; null on the last.")] = None


class Plans(Answer, frozen=True, kw_only=True):
    """A page of plans, newest first."""

    plans: tuple[PlanStatus, ...]
    next: Annotated[str | None, _described("The next page; null on the last.")]


class RRsets(Answer, frozen=True, kw_only=True):
    """A page of RRsets at one generation, by name and type."""

    zone: str
    generation: int
    rrsets: tuple[RRset, ...]
    next: str | None


class Differences(Answer, frozen=True, kw_only=True):
    """A page of what differs between two generations, by name and type."""

    zone: str
    from_generation: int
    to_generation: int
    differences: tuple[Difference, ...]
    next: str | None


class RequestError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with a request, and what to write instead."""

    detail: str
    pointer: Annotated[str | None, _described("Where in the request's body (RFC 6901).")] = None
    guard: str | None = None
    expected: str | None = None
    found: str | None = None


class Verdict(Answer, frozen=True, kw_only=True):
    """What one guard says of a plan."""

    guard: str
    passed: bool
    detail: str | None = None
    expected: str | None = None
    found: str | None = None
    errors: Annotated[tuple[RequestError, ...], _described("All that the guard refuses, at most 100.")] = ()


class DryRun(Answer, frozen=True, kw_only=True):
    """What would become of a plan; nothing was stored."""

    zone: str
    mode: str
    newest: int
    acceptable: bool
    unchanged: Annotated[
        bool, _described("Whether it would change nothing and make no generation: what it wants is accepted already.")
    ] = False
    verdicts: tuple[Verdict, ...]
    differences: tuple[Difference, ...]


class Resynced(Answer, frozen=True, kw_only=True):
    """The zone goes on from this generation."""

    zone: str
    mode: str
    generation: int
    keep: Literal["wire", "store"]


class Health(Answer, frozen=True, kw_only=True):
    """The daemon lives, or can accept plans."""

    status: Literal["alive", "ready"]
    mode: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A no, or a fault, as RFC 9457 has it. ``guard``, ``expected`` and ``found`` say which rule and why."""

    type: str
    title: str
    status: int
    detail: str
    guard: str | None = None
    expected: str | None = None
    found: str | None = None
    pointer: Annotated[str | None, _described("Where in the request's body (RFC 6901).")] = None
    rrset: str | None = None
    hidden_by: Annotated[str | None, _described("The delegation or DNAME that would hide the RRset.")] = None
    generation: int | None = None
    actor: str | None = None
    newest: int | None = None
    zone: str | None = None
    plan: Annotated[str | None, _described("The plan that this is about.")] = None
    suspects: Annotated[
        tuple[Suspect, ...], _described("The RRsets that a plan was probably rejected for, the likeliest first.")
    ] = ()
    missing: Annotated[Mapping[str, str] | None, _described("What keeps the daemon from accepting plans.")] = None
    errors: Annotated[
        tuple[RequestError, ...],
        _described("All that is wrong with the request, at most 100; the first is above, too."),
    ] = ()


def encode(document: Struct) -> bytes:
    """Write a document as JSON."""
    return msgspec.json.encode(document)


def fields_of(document: Struct) -> dict[str, Any]:
    """Return a document's fields, to make a larger one of them."""
    return {name: getattr(document, name) for name in document.__struct_fields__}
