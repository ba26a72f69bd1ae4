"""All endpoints of the door, one value each: routes and the OpenAPI document are made from this list alone."""

from aiohttp import web

from dnsguard.api import health, plans, reads, verifying
from dnsguard.api.documents import (
    GENERATION_MAX,
    Differences,
    DryRun,
    Health,
    PlanAccepted,
    Plans,
    PlanShown,
    PlanStatus,
    PlanWanted,
    Resynced,
    ResyncWanted,
    RollbackAccepted,
    RollbackWanted,
    RRsets,
    WithdrawalWanted,
    Zones,
    ZoneStatus,
)
from dnsguard.api.endpoint import Endpoint, Parameter
from dnsguard.api.problems import (
    ADOPTION_REFUSED,
    FAULTED,
    GENERATION_BEHIND,
    IF_MATCH_MISSING,
    KEY_REUSED,
    MEDIA_TYPE,
    NOT_COMPARABLE,
    NOT_FOUND,
    NOT_READY,
    NOT_VALID,
    NOT_WITHDRAWABLE,
    REFUSED,
    REJECTED,
    RESYNC_REFUSED,
    STALE,
    STORE,
    TIMEOUT,
    TOO_LARGE,
    UNCLEAR,
    UNREACHABLE,
    WITHDRAWN,
)
from dnsguard.api.tokens import Access
from dnsguard.api.verification import Adopted, AdoptionWanted, VerificationShown
from dnsguard.api.visit import Visit

_GENERATION = {"type": "integer", "minimum": 0, "maximum": GENERATION_MAX}

_IF_MATCH = Parameter(
    "If-Match",
    "header",
    'The generation that the change was made from, as the zone\'s ETag gives it ("41"); * for whatever it is.',
    {"type": "string", "pattern": r'^(\*|"(0|[1-9][0-9]{0,18})")$'},
    required=True,
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Under the same key the same body gives the first answer again; another body is refused.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
)
_PREFER = Parameter(
    "Prefer",
    "header",
    "wait=N: answer when the plan is published, or after N seconds (RFC 7240). With wait-for=propagated: when all name "
    "servers serve it that the zone lists.",
    {"type": "string", "examples": ["wait=10", "wait=30, wait-for=propagated"]},
)
_DRY_RUN = Parameter(
    "dry_run", "query", "Say what would change and what each guard says; store nothing.", {"type": "boolean"}
)
_LIMIT = Parameter("limit", "query", "How many entries a page has.", {"type": "integer", "minimum": 1, "default": 100})
_AFTER = Parameter("after", "query", 'Begin after this RRset, written "NAME TYPE".', {"type": "string"})
_BODY = (MEDIA_TYPE, TOO_LARGE, TIMEOUT, NOT_VALID, REFUSED)
_CHANGE = (NOT_FOUND, IF_MATCH_MISSING, STALE, KEY_REUSED, REJECTED, WITHDRAWN, FAULTED, STORE, UNCLEAR, *_BODY)


async def _openapi(visit: Visit) -> web.Response:
    return web.Response(body=visit.room.openapi, content_type="application/json")


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/zones/{zone}/plans",
        "submitPlan",
        "Submit a plan. 202 means that it is durable; 200 that it is published (only with Prefer: wait), or that it "
        "changes nothing and made no generation.",
        Access.WRITE,
        plans.submit_plan,
        {200: PlanAccepted, 202: PlanAccepted},
        PlanWanted,
        (_IF_MATCH, _IDEMPOTENCY_KEY, _PREFER, _DRY_RUN),
        (GENERATION_BEHIND, *_CHANGE),
        dry=DryRun,
    ),
    Endpoint(
        "POST",
        "/v1/zones/{zone}/rollback",
        "rollBack",
        "Give RRsets the contents that they had at an older generation: a new generation, never a lower number.",
        Access.WRITE,
        plans.roll_back,
        {200: RollbackAccepted, 202: RollbackAccepted},
        RollbackWanted,
        (_IF_MATCH, _IDEMPOTENCY_KEY, _PREFER),
        _CHANGE,
    ),
    Endpoint(
        "POST",
        "/v1/zones/{zone}/plans/{generation}/withdraw",
        "withdrawPlan",
        "Take back a plan of which nothing is published. 200: it is withdrawn. 202: the primary has not confirmed it. "
        "409: it is published; a rollback is the way then. Doing it again answers the same.",
        Access.WRITE,
        plans.withdraw_plan,
        {200: PlanStatus, 202: PlanStatus},
        WithdrawalWanted,
        (_PREFER,),
        (NOT_FOUND, NOT_WITHDRAWABLE, STORE, UNCLEAR, *_BODY),
    ),
    Endpoint(
        "POST",
        "/v1/zones/{zone}/resync",
        "resyncZone",
        "Settle a zone whose fence is not of this database's history.",
        Access.ADMIN,
        plans.resynchronise,
        {200: Resynced},
        ResyncWanted,
        (),
        (NOT_FOUND, RESYNC_REFUSED, STORE, UNCLEAR, *_BODY),
    ),
    Endpoint(
        "POST",
        "/v1/zones/{zone}/verifications",
        "verifyZone",
        "Compare what the primary holds with the history, by a zone transfer, and name what differs.",
        Access.WRITE,
        verifying.verify,
        {200: VerificationShown},
        problems=(NOT_FOUND, NOT_COMPARABLE, UNREACHABLE, STORE),
    ),
    Endpoint(
        "POST",
        "/v1/zones/{zone}/adoptions",
        "adoptZone",
        "Take over what stands in a zone, without changing it: 202 means that the plans for it are durable.",
        Access.ADMIN,
        verifying.adopt,
        {200: Adopted, 202: Adopted},
        AdoptionWanted,
        (_DRY_RUN,),
        (NOT_FOUND, ADOPTION_REFUSED, STORE, UNCLEAR, *_BODY),
    ),
    Endpoint(
        "GET",
        "/v1/zones",
        "listZones",
        "The zones that the token may read.",
        Access.READ,
        reads.list_zones,
        {200: Zones},
        problems=(STORE,),
    ),
    Endpoint(
        "GET",
        "/v1/zones/{zone}",
        "showZone",
        "Where a zone stands; its ETag is the newest generation, to be sent as If-Match.",
        Access.READ,
        reads.show_zone,
        {200: ZoneStatus},
        problems=(NOT_FOUND, STORE),
    ),
    Endpoint(
        "GET",
        "/v1/zones/{zone}/plans",
        "listPlans",
        "The zone's plans, newest first.",
        Access.READ,
        reads.list_plans,
        {200: Plans},
        None,
        (Parameter("below", "query", "Only generations below this one.", _GENERATION), _LIMIT),
        (NOT_FOUND, STORE),
    ),
    Endpoint(
        "GET",
        "/v1/zones/{zone}/plans/{generation}",
        "showPlan",
        "One plan, its state, and a page of the RRsets that it covers.",
        Access.READ,
        reads.show_plan,
        {200: PlanShown},
        None,
        (_AFTER, _LIMIT),
        (NOT_FOUND, STORE),
    ),
    Endpoint(
        "GET",
        "/v1/zones/{zone}/rrsets",
        "listRRsets",
        "The RRsets that plans cover, each with the generation that it comes from.",
        Access.READ,
        reads.list_rrsets,
        {200: RRsets},
        None,
        (
            Parameter("name", "query", "Only this owner name, relative or absolute.", {"type": "string"}),
            Parameter("type", "query", "Only this record type.", {"type": "string"}),
            Parameter("at", "query", "At this generation instead of the newest.", _GENERATION),
            _AFTER,
            _LIMIT,
        ),
        (NOT_FOUND, STORE),
    ),
    Endpoint(
        "GET",
        "/v1/zones/{zone}/differences",
        "listDifferences",
        "What differs between two generations.",
        Access.READ,
        reads.list_differences,
        {200: Differences},
        None,
        (
            Parameter("from", "query", "The generation to compare with.", _GENERATION, required=True),
            Parameter("to", "query", "The generation to compare; the newest if absent.", _GENERATION),
            _AFTER,
            _LIMIT,
        ),
        (NOT_FOUND, STORE),
    ),
    Endpoint("GET", "/v1/health/live", "live", "Does it live?", None, health.live, {200: Health}, urgent=True),
    Endpoint(
        "GET",
        "/v1/health/ready",
        "ready",
        "Can it accept plans? If not, why. Trouble with publishing a zone leaves it ready; GET /v1/zones shows that.",
        None,
        health.ready,
        {200: Health},
        problems=(NOT_READY,),
        urgent=True,
    ),
    Endpoint(
        "GET",
        "/metrics",
        "metrics",
        "The numbers, in Prometheus' exposition format.",
        Access.READ,
        health.metrics,
        {200: "text/plain"},
        urgent=True,
        every_zone=True,
    ),
    Endpoint(
        "GET",
        "/openapi.json",
        "openapi",
        "This document.",
        Access.READ,
        _openapi,
        {200: "application/json"},
    ),
)
