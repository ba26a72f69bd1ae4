"""What all requests share: the desk, who may call, the limits, threads for large bodies, and the word to end.
One `Room` belongs to one application; tokens and limits are replaced in it while the door is open.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

from aiohttp import web

from dnsguard.api.desk import Desk
from dnsguard.api.limits import Limits
from dnsguard.api.problems import busy
from dnsguard.api.readiness import Readiness
from dnsguard.api.tokens import Tokens
from dnsguard.fair_semaphore import FairSemaphore

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
    reads: FairSemaphore
    """Places for GET requests."""
    changes: FairSemaphore
    """Places for POST requests."""
    decoding: FairSemaphore
    """One place for each octet of the bodies that are being decoded, or of which the plan is being accepted."""
    host_names: frozenset[str]
    """Names under which clients may address this API, apart from addresses and loopback's names."""
    bodies_octets: int = 0
    """Octets of bodies held now, beyond what is free for each."""

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
        self._decoding = 0
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.bodies_octets -= self._counted
        self._counted = 0
        self._room.decoding.release(self._decoding)
        self._decoding = 0

    async def admit(self, identity: str) -> None:
        """Wait until there is memory for what the body is decoded to; it is held until the body is done with."""
        if len(self._octets) > BODY_OCTETS_FREE:
            self._decoding = await self._room.decoding.acquire(identity, len(self._octets))

    def add(self, chunk: bytes) -> None:
        """Take a piece in, or say that there is no room for it."""
        self._octets += chunk
        beyond = max(0, len(self._octets) - BODY_OCTETS_FREE) - self._counted
        if self._room.bodies_octets + beyond > self._room.limits.bodies_octets_max:
            raise busy("expected room for the body beside those of other requests, found none; try again", close=True)
        self._counted += beyond
        self._room.bodies_octets += beyond

    def take(self) -> bytearray:
        """Hand the octets over; they still count until the body is done with."""
        octets, self._octets = self._octets, bytearray()
        return octets


ROOM = web.AppKey("room", Room)


class Place:
    """A request's place in one of the lanes, given up while it waits for something else; None is no lane at all."""

    def __init__(self, lane: FairSemaphore | None, party: str) -> None:
        self._lane = lane
        self._party = party
        self._held = False

    async def take(self) -> None:
        """Wait for a place."""
        if self._lane is not None and not self._held:
            await self._lane.acquire(self._party)
            self._held = True

    def give_up(self) -> None:
        """Let another request have it."""
        if self._lane is not None and self._held:
            self._held = False
            self._lane.release()
