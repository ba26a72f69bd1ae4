"""The application: a room, the gate in front of it, and the endpoints. It opens no socket and owns no loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
from aiohttp import hdrs, web

from dnsguard.api.desk import Desk
from dnsguard.api.endpoints import ENDPOINTS
from dnsguard.api.gate import gate, gated
from dnsguard.api.limits import Limits
from dnsguard.api.openapi import openapi_document
from dnsguard.api.problems import EXPECTATION, ProblemRaised
from dnsguard.api.readiness import Readiness
from dnsguard.api.room import ROOM, Room
from dnsguard.api.tokens import Tokens
from dnsguard.fair_semaphore import FairSemaphore


def make_app(desk: Desk, tokens: Tokens, limits: Limits, host_names: frozenset[str] = frozenset()) -> web.Application:
    """Build the application around a desk. Needs a running loop."""
    room = Room(
        desk=desk,
        tokens=tokens,
        limits=limits,
        pool=ThreadPoolExecutor(limits.parse_concurrency, thread_name_prefix="api"),
        readiness=Readiness(desk),
        closing=asyncio.get_running_loop().create_future(),
        openapi=msgspec.json.encode(openapi_document(ENDPOINTS)),
        reads=FairSemaphore(limits.reads_max),
        changes=FairSemaphore(limits.changes_max),
        decoding=FairSemaphore(limits.decoding_octets_max),
        host_names=host_names,
    )
    app = web.Application(middlewares=[gate])
    app[ROOM] = room
    for endpoint in ENDPOINTS:
        answer = gated(room, endpoint)
        app.router.add_route(endpoint.method, endpoint.path, answer, expect_handler=_expect)
        if endpoint.method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, endpoint.path, answer, expect_handler=_expect)
    app.on_shutdown.append(_close)
    app.on_cleanup.append(_end)
    return app


def reconfigure(
    app: web.Application,
    *,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    host_names: frozenset[str] | None = None,
) -> None:
    """Replace tokens, limits or host names while serving; requests under way keep what they began with."""
    room = app[ROOM]
    room.tokens = room.tokens if tokens is None else tokens
    room.limits = room.limits if limits is None else limits
    room.host_names = room.host_names if host_names is None else host_names


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """Leave the go-ahead to whoever wants the body: nobody is asked to send one that is refused anyway."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        return None
    return ProblemRaised(EXPECTATION, "expected no expectation but 100-continue", close=True).response()


async def _close(app: web.Application) -> None:
    if not app[ROOM].closing.done():
        app[ROOM].closing.set_result(None)


async def _end(app: web.Application) -> None:
    await app[ROOM].readiness.close()
    app[ROOM].pool.shutdown(wait=False, cancel_futures=True)
