"""A semaphore that is fair among parties, such as zones or identities: places go round among the parties that wait,
first come, first served within each. A party that wants much keeps no other waiting for long.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairSemaphore:
    """At most ``limit`` places held at once. A waiter that is cancelled loses no place."""

    def __init__(self, limit: int) -> None:
        self.free = limit
        """How many places are free."""
        self._limit = limit
        self._waiting: OrderedDict[Hashable, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()

    async def acquire(self, party: Hashable, places: int = 1) -> int:
        """Wait for a number of places, all of them at most; return how many are to be released."""
        places = min(places, self._limit)
        if self.free >= places and not self._waiting:
            self.free -= places
            return places
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append((granted, places))
        try:
            await granted
        except asyncio.CancelledError:
            # The places may have been handed over in the same moment in which their waiter was cancelled.
            if granted.done() and not granted.cancelled():
                self.release(places)
            else:
                self._leave(party, granted, places)
            raise
        return places

    def release(self, places: int = 1) -> None:
        """Hand places to the first in the queue of the party that has waited longest for its round.

        One that wants many is waited for: smaller ones do not overtake it for ever.
        """
        self.free += places
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            party, queue = next(iter(self._waiting.items()))
            granted, places = queue[0]
            if not granted.done() and places > self.free:
                return
            del self._waiting[party]
            queue.popleft()
            if queue:
                self._waiting[party] = queue
            if not granted.done():
                self.free -= places
                granted.set_result(None)

    def _leave(self, party: Hashable, granted: asyncio.Future[None], places: int) -> None:
        queue = self._waiting.get(party)
        if queue is not None and (granted, places) in queue:
            queue.remove((granted, places))
            if not queue:
                del self._waiting[party]
        self._grant()  # those behind one that wanted many may want less

    @asynccontextmanager
    async def held(self, party: Hashable, places: int = 1) -> AsyncIterator[None]:
        """Hold places for the length of a block."""
        taken = await self.acquire(party, places)
        try:
            yield
        finally:
            self.release(taken)
