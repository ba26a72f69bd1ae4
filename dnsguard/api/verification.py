"""What verifying and taking over a zone look like over the wire: the types of their requests and answers.
Nothing here compares anything; long lists are cut at a bound, and how long they were is said.
"""

from typing import Annotated, Literal

from msgspec import Meta

from dnsguard.api.documents import (
    OPAQUE_DESCRIPTION,
    REASON_CHARACTERS_MAX,
    Answer,
    Contents,
    Request,
    RRsetNamed,
    Time,
)

LISTED_MAX = 1_000
"""So many findings, or RRsets, are listed in an answer."""


class FindingShown(Answer, frozen=True, kw_only=True):
    """One difference between the name server and the history."""

    kind: Annotated[
        Literal["missing", "changed", "ttl", "foreign"],
        Meta(
            description="missing: wanted and not there; changed: other records; ttl: the same ones with another TTL; "
            "foreign: at a managed name, covered by no plan or retired by one."
        ),
    ]
    name: str
    type: str
    expected: Annotated[Contents | None, Meta(description="null where no plan covers the RRset.")]
    found: Annotated[Contents | None, Meta(description="null where nothing stands.")]
    generation: Annotated[int | None, Meta(description="The plan that the expected contents come from.")]


class VerificationShown(Answer, frozen=True, kw_only=True):
    """What a comparison of the primary with the history came to."""

    zone: str
    mode: str
    policy: Annotated[Literal["report", "repair"], Meta(description="What the zone's verifier does with differences.")]
    at: Time
    generation: Annotated[int, Meta(description="The fence's, in the very transfer that was compared.")]
    base: Annotated[int, Meta(description="Below the generation while a publication is under way.")]
    compared: Annotated[int, Meta(description="RRsets that plans cover.")]
    unmanaged: Annotated[int, Meta(description="RRsets that are nobody's business here.")]
    finding_count: int
    findings: Annotated[tuple[FindingShown, ...], Meta(description=f"The first {LISTED_MAX}, by name and type.")]
    opaque_count: int = 0
    opaque: Annotated[
        tuple[RRsetNamed, ...],
        Meta(description=f"The first {LISTED_MAX} in the zone with a record that is not valid rdata of its type."),
    ] = ()
    suspended: Annotated[tuple[RRsetNamed, ...], Meta(description="Repaired no more for the time being.")]


class RRsetExcepted(Request, frozen=True):
    """What an adoption leaves out."""

    name: Annotated[str, Meta(description="An owner name, relative or absolute.")]
    type: Annotated[str | None, Meta(description="Only this type; all that stands at the name if absent.")] = None


class AdoptionWanted(Request, frozen=True):
    """Take over what stands in a zone, without changing it: some names, or all."""

    names: Annotated[
        tuple[str, ...] | None, Meta(description="Owner names, relative or absolute; null for all of the zone.")
    ]
    signing_keys: Annotated[bool, Meta(description="Take DNSKEY, CDS and CDNSKEY, too.")] = False
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""
    excepted: Annotated[
        tuple[RRsetExcepted, ...], Meta(description="What to leave out; each must be in the zone.")
    ] = ()


class RRsetTaken(Answer, frozen=True, kw_only=True):
    """An RRset that is taken over."""

    name: str
    type: str
    opaque: Annotated[bool, Meta(description=OPAQUE_DESCRIPTION)]


class LeftOut(Answer, frozen=True, kw_only=True):
    """An RRset that is not taken over."""

    name: str
    type: str
    why: str


class Adopted(Answer, frozen=True, kw_only=True):
    """What is taken over, by which plans; in a dry run, what would be."""

    zone: str
    mode: str
    generations: Annotated[tuple[int, ...], Meta(description="The accepted plans; none in a dry run.")]
    plan_count: Annotated[int, Meta(description="How many plans it takes, each within plan_rrsets_max.")]
    rrset_count: int
    rrsets: Annotated[tuple[RRsetTaken, ...], Meta(description=f"The first {LISTED_MAX} that are taken.")]
    left_out_count: int
    left_out: Annotated[tuple[LeftOut, ...], Meta(description=f"The first {LISTED_MAX} that are not.")]
