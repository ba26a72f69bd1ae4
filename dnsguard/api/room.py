"""What all requests share: the desk, who may call, the limits, threads for large bodies, and the word to end.
One `Room` belongs to one application; tokens and limits are replaced in it while the door is open.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

from aiohttp import web

from dnsguard.api.desk import Desk
from dnsguard.api.limits import Limits
from dnsguard.api.problems import busy
from dnsguard.api.readiness import Readiness
from dnsguard.api.tokens import Tokens

Result = TypeVar("Result")

BODY_OCTETS_FREE = 64 * 2**10
"""What each body may take before it counts towards what all bodies together may."""
RRSETS_AT_ONCE_MAX = 200


@dataclass(slots=True)
class Room:
    """The state behind one application."""

    desk: Desk
    tokens: Tokens
    limits: Limits
    pool: ThreadPoolExecutor
    readiness: Readiness
    closing: asyncio.Future[None]
    """Done once the door closes."""
    openapi: bytes
    requests: int = 0
    """Requests in work now."""
    bodies_octets: int = 0
    """Octets of bodies held now, beyond what is free for each."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold one of the places for requests in work, or say that there is none."""
        if self.requests >= self.limits.requests_max:
            raise busy(f"expected at most {self.limits.requests_max} requests at once, found more; try again")
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def offload(self, act: Callable[[Callable[[], bool]], Result]) -> Result:
        """Run something long on a thread, so that the loop goes on answering.

        It is given a question, "has nobody any use for this any more?", to be asked now and then.
        """
        abandoned = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.pool, act, abandoned.is_set)
        finally:
            abandoned.set()

    async def render(self, act: Callable[[], Result], count: int) -> Result:
        """Make something of ``count`` RRsets: at once if they are few, on a thread if they are many."""
        if count <= RRSETS_AT_ONCE_MAX:
            return act()
        return await self.offload(lambda _: act())


class Body:
    """A request's body while it arrives and until it is done with; keeps count of what all of them take."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._counted = 0
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.bodies_octets -= self._counted
        self._counted = 0

    def add(self, chunk: bytes) -> None:
        """Take a piece in, or say that there is no room for it."""
        self._octets += chunk
        beyond = max(0, len(self._octets) - BODY_OCTETS_FREE) - self._counted
        if self._room.bodies_octets + beyond > self._room.limits.bodies_octets_max:
            raise busy("expected room for the body beside those of other requests, found none; try again", close=True)
        self._counted += beyond
        self._room.bodies_octets += beyond

    def take(self) -> bytes:
        """Hand the octets over; they still count until the body is done with."""
        octets = bytes(self._octets)
        self._octets = bytearray()
        return octets


ROOM = web.AppKey("room", Room)
