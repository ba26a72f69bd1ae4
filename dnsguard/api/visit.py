"""One request on its way through the door: who asks, about which zone, and how much time is left.
Handlers get a `Visit` only after token, rights, zone name and query have been judged.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from dnsguard.api.connections import Connection
from dnsguard.api.documents import Answer, encode
from dnsguard.api.problems import NOT_FOUND, ProblemRaised
from dnsguard.api.room import Place, Room
from dnsguard.api.tokens import Token
from dnsguard.workers.planner import Planner


@dataclass(slots=True)
class Visit:
    """A request that may be answered. ``zone`` is canonical; it is empty where the path names none."""

    room: Room
    request: web.Request
    token: Token | None
    zone: str
    bound: asyncio.Timeout
    place: Place
    receiving: bool = False
    """Whether the body is still arriving: the client is slow then, not the daemon."""
    admitting: bool = False
    """Whether the body waits for memory to be decoded in; nothing was done yet."""
    crowded_out: bool = False
    """Whether it had to end early, since others need its connection."""

    @property
    def actor(self) -> str:
        """The token's name."""
        return "" if self.token is None else self.token.name

    @property
    def connection(self) -> Connection | None:
        """The connection, if the door is our own."""
        protocol = self.request.protocol
        return protocol if isinstance(protocol, Connection) else None

    def planner(self) -> Planner:
        """Return the zone's planner: 404 if this daemon does not serve the zone."""
        planner = self.room.desk.planner(self.zone)
        if planner is None:
            raise unknown_zone(self.zone)
        return planner

    @asynccontextmanager
    async def parked(self, end: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Give up the place while this request waits for something else, and take one again afterwards.

        If connections run short meanwhile, ``end`` is called; by default the request is then refused as busy.
        """
        self.place.give_up()
        if self.connection is None:
            yield
            await self.place.take()
        else:
            with self.connection.parked(end or self._crowd_out):
                yield
                await self.place.take()

    async def begin(self) -> None:
        """Wait for a place, before anything is done."""
        async with self.parked():
            pass

    @asynccontextmanager
    async def waiting(self, seconds: float, end: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Put the deadline off for as long as the client wants to wait; ``end`` as in `parked`."""
        loop = asyncio.get_running_loop()
        left = max(1.0, (self.bound.when() or loop.time()) - loop.time())
        self.bound.reschedule(loop.time() + seconds + left)
        async with self.parked(end):
            yield
        self.bound.reschedule(loop.time() + left)

    def _crowd_out(self) -> None:
        self.crowded_out = True
        self.bound.reschedule(asyncio.get_running_loop().time())


def unknown_zone(zone: str) -> ProblemRaised:
    """Say that a zone is not served here."""
    return ProblemRaised(NOT_FOUND, f"expected a zone that is served here, found {zone}", {"zone": zone})


def respond(document: Answer, status: int = 200, **headers: str) -> web.Response:
    """Answer with a document; header names are written with underscores."""
    response = web.Response(status=status, body=encode(document), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def entity_tag(generation: int) -> str:
    """Return the strong entity tag of a generation."""
    return f'"{generation}"'
