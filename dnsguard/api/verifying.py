"""Looking at what a name server really holds, and taking it over: the two requests that transfer a whole zone.
Nothing is decided here; the verifier compares, and the adoption has its plans judged by every guard.
"""

from collections.abc import Callable
from typing import Literal

from aiohttp import web

from dnsguard.api import queries, rendering
from dnsguard.api.bodies import received
from dnsguard.api.parsing import Faults, read_document, read_name, read_reason, read_type
from dnsguard.api.problems import ADOPTION_REFUSED, NOT_COMPARABLE, UNREACHABLE, ProblemRaised
from dnsguard.api.verification import (
    LISTED_MAX,
    Adopted,
    AdoptionWanted,
    FindingShown,
    LeftOut,
    RRsetExcepted,
    VerificationShown,
)
from dnsguard.api.visit import Visit, entity_tag, respond
from dnsguard.core.adoption import Excepted
from dnsguard.core.comparison import Finding
from dnsguard.core.message import Unreachable
from dnsguard.core.records import Key
from dnsguard.workers.adoption import AdoptionRefused, Wish
from dnsguard.workers.verifier import Postponed

TRANSFER_S_MAX = 300.0
"""How long a request may wait for a zone to be transferred and compared, beyond its usual deadline."""


async def verify(visit: Visit) -> web.Response:
    """Compare the zone with the history now; a repair, where the policy wants one, follows by itself."""
    desk, planner = visit.room.desk, visit.planner()
    async with visit.waiting(TRANSFER_S_MAX):
        found = await desk.verify(visit.zone)
    match found:
        case Unreachable(reason):
            raise ProblemRaised(UNREACHABLE, reason, {"zone": visit.zone}, {"Retry-After": "5"})
        case Postponed(reason):
            raise ProblemRaised(NOT_COMPARABLE, reason, {"zone": visit.zone})
    policy: Literal["report", "repair"] = "repair" if planner.policy.verify == "repair" else "report"
    suspended = desk.suspended(visit.zone)

    def show() -> VerificationShown:
        return VerificationShown(
            zone=visit.zone,
            mode=desk.mode,
            policy=policy,
            at=rendering.time_text(found.at),
            generation=found.generation,
            base=found.base,
            compared=found.compared,
            unmanaged=found.unmanaged,
            finding_count=found.total,
            findings=tuple(_finding(finding) for finding in found.findings[:LISTED_MAX]),
            opaque_count=len(found.opaque),
            opaque=rendering.named(found.opaque[:LISTED_MAX]),
            suspended=rendering.named(suspended[:LISTED_MAX]),
        )

    return respond(await visit.room.render(show, len(found.findings)), ETag=entity_tag(found.generation))


def _finding(finding: Finding) -> FindingShown:
    return FindingShown(
        kind=finding.kind.value,
        name=finding.key.name,
        type=finding.key.type,
        expected=rendering.contents(finding.key, finding.expected),
        found=rendering.contents(finding.key, finding.found),
        generation=finding.generation,
    )


async def adopt(visit: Visit) -> web.Response:
    """Take over what stands in the zone; with ``dry_run`` only say what that would be."""
    visit.planner()
    dry, limits = queries.flag(visit, "dry_run"), visit.room.limits

    def read(body: bytearray, _: Callable[[], bool]) -> Wish:
        document = read_document(body, AdoptionWanted, limits)
        reason = read_reason(document.reason)
        faults = Faults()
        names = None if document.names is None else _names(document.names, visit.zone, faults)
        excepted = [
            _excepted(each, visit.zone, f"/excepted/{index}", faults) for index, each in enumerate(document.excepted)
        ]
        faults.raise_any()
        return Wish(visit.zone, names, document.signing_keys, reason, frozenset(filter(None, excepted)))

    async with received(visit, read) as wish:
        pass  # the transfer that follows is waited for without keeping other bodies waiting
    desk = visit.room.desk
    try:
        async with visit.waiting(TRANSFER_S_MAX):
            adopted = await desk.adopt(wish, visit.actor, dry_run=dry)
    except AdoptionRefused as error:
        raise ProblemRaised(ADOPTION_REFUSED, str(error), {"zone": visit.zone}) from None
    document = Adopted(
        zone=visit.zone,
        mode=desk.mode,
        generations=adopted.generations,
        plan_count=adopted.plans,
        rrset_count=len(adopted.taken),
        rrsets=rendering.taken(adopted.taken[:LISTED_MAX]),
        left_out_count=len(adopted.left_out),
        left_out=tuple(_left_out(key, why) for key, why in adopted.left_out[:LISTED_MAX]),
    )
    if not adopted.generations:
        return respond(document)
    return respond(document, 202, ETag=entity_tag(max(adopted.generations)))


def _names(texts: tuple[str, ...], zone: str, faults: Faults) -> frozenset[str]:
    names = (read_name(text, zone, f"/names/{index}", faults) for index, text in enumerate(texts))
    return frozenset(name for name in names if name is not None)


def _excepted(rrset: RRsetExcepted, zone: str, pointer: str, faults: Faults) -> Excepted | None:
    name = read_name(rrset.name, zone, f"{pointer}/name", faults)
    rdtype = None if rrset.type is None else read_type(rrset.type, f"{pointer}/type", faults)
    return None if name is None else Excepted(name, rdtype)


def _left_out(key: Key, why: str) -> LeftOut:
    return LeftOut(name=key.name, type=key.type, why=why)
