"""Receiving a request's body within its bounds, and reading it where it does not hold up others.
No octet of a body is looked at before its size, kind and sender are known to be right.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from dnsguard.api.problems import MEDIA_TYPE, TOO_LARGE, ProblemRaised, malformed
from dnsguard.api.room import Body
from dnsguard.api.visit import Visit

Result = TypeVar("Result")

INLINE_OCTETS_MAX = 4 * 2**10
"""Smaller bodies are read at once: that is quicker than handing them to a thread."""


@asynccontextmanager
async def received(visit: Visit, read: Callable[[bytearray, Callable[[], bool]], Result]) -> AsyncIterator[Result]:
    """Receive the body and read it: 413 if it is too large, 415 if it is not JSON by its headers.

    ``read`` gets the octets and a question to ask now and then: has nobody any use for this any more? What it returns
    counts as memory in use until the block ends, so nothing of it should be kept longer.
    """
    request = visit.request
    _expect_json(request)
    most = visit.room.limits.body_octets_max
    if (request.content_length or 0) > most:
        raise _too_large(most, f"{request.content_length} octets")
    with Body(visit.room) as body:
        async with visit.parked():
            await _receive(visit, body, most)
            visit.admitting = True
            await body.admit(visit.actor)
            visit.admitting = False
        yield await _read(visit, body.take(), read)


async def _read(visit: Visit, octets: bytearray, read: Callable[[bytearray, Callable[[], bool]], Result]) -> Result:
    if len(octets) <= INLINE_OCTETS_MAX:
        return read(octets, lambda: False)
    return await visit.room.offload(lambda abandoned: read(octets, abandoned))


async def _receive(visit: Visit, body: Body, most: int) -> None:
    request = visit.request
    visit.receiving = True
    if request.headers.get("Expect"):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        async for chunk in request.content.iter_any():
            if len(body) + len(chunk) > most:
                raise _too_large(most, "more")
            body.add(chunk)
    except web.RequestPayloadError:
        raise malformed("expected a body as its headers announce it, found another length or a broken chunk") from None
    except RuntimeError:
        # What aiohttp raises for whoever reads on after the connection was closed.
        if visit.connection is None or visit.connection.transport is not None:
            raise
        raise ConnectionResetError("the connection was closed") from None
    visit.receiving = False


def _expect_json(request: web.Request) -> None:
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        found = request.headers.get("Content-Type", "none")[:80]
        raise ProblemRaised(MEDIA_TYPE, f"expected Content-Type: application/json, found {found}", close=True)
    if (encoding := request.headers.get("Content-Encoding", "identity").lower()) != "identity":
        raise ProblemRaised(MEDIA_TYPE, f"expected a body without Content-Encoding, found {encoding[:40]}", close=True)


def _too_large(most: int, found: str) -> ProblemRaised:
    return ProblemRaised(TOO_LARGE, f"expected a body of at most {most} octets, found {found}", close=True)
