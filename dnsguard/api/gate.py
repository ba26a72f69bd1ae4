"""What every request passes, in this order: room, token, rights, query, deadline; and how whatever is raised is told.
After it no exception reaches aiohttp, no client sees a traceback, and no token reaches a log.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from dnsguard.api import loggable
from dnsguard.api.connections import Connection
from dnsguard.api.endpoint import Endpoint
from dnsguard.api.headers import authenticate
from dnsguard.api.host_check import expect_own_host
from dnsguard.api.problems import (
    DEADLINE,
    FORBIDDEN,
    INTERNAL,
    MALFORMED,
    METHOD,
    NOT_FOUND,
    STORE,
    TIMEOUT,
    UNCLEAR,
    ProblemRaised,
    busy,
    malformed,
)
from dnsguard.api.room import ROOM, Place, Room
from dnsguard.api.tokens import Token
from dnsguard.api.visit import Visit
from dnsguard.core.history import GenerationUnknown, StoreUnavailable, ZoneUnknown
from dnsguard.core.names import NameRefused, parse_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACTOR: web.RequestKey[str] = web.RequestKey("actor", str)
ZONE: web.RequestKey[str] = web.RequestKey("zone", str)
"""The canonical name of the zone that the token may ask about."""

log = structlog.get_logger()


def gated(room: Room, endpoint: Endpoint) -> Handler:
    """Return aiohttp's handler of an endpoint."""

    async def answer(request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, Connection) and connection.reserved and not endpoint.urgent:
            raise busy("expected fewer connections at once; try again", close=True)
        token = None if endpoint.access is None else _authenticated(room, request)
        zone = _authorised(endpoint, request, token)
        _expect_known_query(endpoint, request)
        bound = asyncio.timeout(room.limits.deadline_s)
        lane = None if endpoint.urgent else room.reads if endpoint.method == "GET" else room.changes
        place = Place(lane, "" if token is None else token.name)
        visit = Visit(room, request, token, zone, bound, place)
        try:
            async with bound:
                await visit.begin()
                return await endpoint.answer(visit)
        except TimeoutError:
            if not bound.expired():
                raise
            raise _late(visit, endpoint) from None
        finally:
            place.give_up()

    return answer


def _authenticated(room: Room, request: web.Request) -> Token:
    token = authenticate(request.headers, room.tokens)
    request[ACTOR] = token.name
    if isinstance(request.protocol, Connection):
        request.protocol.identity = token.name
    return token


def _authorised(endpoint: Endpoint, request: web.Request, token: Token | None) -> str:
    """Return the canonical zone name of the path, once the token is known to reach so far."""
    zone = ""
    if (text := request.match_info.get("zone")) is not None:
        try:
            zone = parse_name(text)
        except NameRefused as error:
            raise ProblemRaised(NOT_FOUND, f"no zone has such a name: {error}") from None
    if token is None or endpoint.access is None:
        return zone
    limited = bool(zone) or endpoint.every_zone
    if not token.allows(endpoint.access, zone or None) if limited else not token.reaches(endpoint.access):
        where = f" on {zone}" if zone else " on every zone" if endpoint.every_zone else ""
        raise ProblemRaised(
            FORBIDDEN,
            f"expected a token with {endpoint.access.name.lower()} access{where}, found one with less",
            {"actor": token.name},
            close=endpoint.body is not None,
        )
    request[ZONE] = zone
    return zone


def _expect_known_query(endpoint: Endpoint, request: web.Request) -> None:
    for name in request.query:
        if name not in endpoint.query:
            known = ", ".join(sorted(endpoint.query)) or "none at all"
            raise malformed(f"expected query parameters among {known}; found {name[:80]!r}")
        if len(request.query.getall(name)) > 1:
            raise malformed(f"expected the query parameter {name} once, found it more often")


def _late(visit: Visit, endpoint: Endpoint) -> ProblemRaised:
    seconds = visit.room.limits.deadline_s
    if visit.crowded_out:
        return busy("too many connections, and this one waited the longest of its token's; try again", close=True)
    if visit.admitting:
        return busy(f"no memory to decode the body became free within {seconds:g} seconds; try again", close=True)
    if visit.receiving:
        return ProblemRaised(TIMEOUT, f"expected the whole body within {seconds:g} seconds, found less", close=True)
    detail = f"expected to answer within {seconds:g} seconds, and could not"
    if endpoint.method == "POST":
        detail += "; whether the change was accepted is unclear: read the plans, or repeat it with its Idempotency-Key"
    return ProblemRaised(DEADLINE, detail, headers={"Retry-After": "1"}, close=True)


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through and turn whatever comes back into one clear answer."""
    started = asyncio.get_running_loop().time()
    if isinstance(request.protocol, Connection):
        request.protocol.begins()
    response = await _answered(request, handler)
    if isinstance(request.protocol, Connection) and request.protocol.closes:
        response.force_close()
    seconds = asyncio.get_running_loop().time() - started
    tell = log.debug if request.method == "GET" and response.status < 400 else log.info
    tell(
        "request.answered",
        method=loggable.method(request),
        path=_path(request),
        status=response.status,
        actor=request.get(ACTOR),
        duration_s=round(seconds, 6),
    )
    return response


def _path(request: web.Request) -> str | None:
    return loggable.path(request, request.app[ROOM], request.get(ZONE, ""))


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        expect_own_host(request, request.app[ROOM].host_names)
        if request.match_info.http_exception is not None:
            _authenticated(request.app[ROOM], request)
        return await handler(request)
    except ProblemRaised as problem:
        return problem.response()
    except web.HTTPException as error:
        return _of_aiohttp(error, request).response()
    except (ZoneUnknown, GenerationUnknown) as error:
        return ProblemRaised(NOT_FOUND, str(error)).response()
    except StoreUnavailable as error:
        log.info("request.postponed", path=_path(request), detail=str(error))
        return _of_store(error, request).response()
    except ConnectionError:
        return ProblemRaised(MALFORMED, "the client went away before its request was complete", close=True).response()
    except Exception as error:  # noqa: BLE001  whatever broke is answered and logged, and stops nobody else
        what = {"frames": loggable.frames(error)} if loggable.quotes(error, request) else {"exc_info": error}
        log.error("request.failed", method=loggable.method(request), path=_path(request), **what)  # noqa: TRY400
        return ProblemRaised(INTERNAL, "something broke in the daemon; its log says what", close=True).response()


def _of_store(error: StoreUnavailable, request: web.Request) -> ProblemRaised:
    """Say that the store does not answer, and of a change of which nobody knows how it ended what to do about it."""
    headers = {"Retry-After": "1"}
    if not error.is_unclear:
        return ProblemRaised(STORE, str(error), headers=headers)
    key = request.headers.get("Idempotency-Key")
    if key is None:
        remedy = (
            "no Idempotency-Key was sent, so sent again it could be done twice: wait until the database answers, "
            "read the zone's newest plans, and repeat it only if it is not among them after a minute"
        )
    else:
        remedy = f"send the same request again with its Idempotency-Key {key[:255]}: it is then never done twice"
    return ProblemRaised(UNCLEAR, f"{error}; {remedy}", headers=headers)


def _of_aiohttp(error: web.HTTPException, request: web.Request) -> ProblemRaised:
    shown = f"{request.method[:20]} {request.path[:200]}"
    if error.status == METHOD.status:
        allowed = error.headers.get("Allow", "")
        return ProblemRaised(METHOD, f"expected one of {allowed}, found {shown}", headers={"Allow": allowed})
    if error.status == NOT_FOUND.status:
        return ProblemRaised(NOT_FOUND, f"expected a path of /openapi.json, found {shown}")
    kind = MALFORMED if error.status < 500 else INTERNAL
    return ProblemRaised(kind, f"{shown} cannot be answered: {error.reason}", close=True)
