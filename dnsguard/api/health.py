"""What watchers ask: does it live, is it ready, what do the numbers say. Answered even when the door is crowded."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dnsguard.api.documents import Health
from dnsguard.api.problems import NOT_READY, ProblemRaised
from dnsguard.api.visit import Visit, respond


async def live(visit: Visit) -> web.Response:
    """Say that the daemon lives."""
    return respond(Health(status="alive", mode=visit.room.desk.mode))


async def ready(visit: Visit) -> web.Response:
    """Say that the daemon can accept plans, or what keeps it from that. How a zone stands is said of the zone."""
    missing = await visit.room.readiness.missing()
    if missing:
        parts = ", ".join(sorted(missing))
        raise ProblemRaised(NOT_READY, f"not ready: {parts}", {"missing": dict(missing)}, {"Retry-After": "1"})
    return respond(Health(status="ready", mode=visit.room.desk.mode))


async def metrics(visit: Visit) -> web.Response:
    """Show the numbers in Prometheus' exposition format."""
    response = web.Response(body=generate_latest(visit.room.desk.registry))
    response.headers["Content-Type"] = CONTENT_TYPE_LATEST
    return response
