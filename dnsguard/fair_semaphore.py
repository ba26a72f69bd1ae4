"""A semaphore that is fair among parties, such as zones or identities: places go round among the parties that wait,
first come, first served within each. A party that wants much keeps no other waiting for long.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairSemaphore:
    """At most ``limit`` holders at once. A waiter that is cancelled loses no place."""

    def __init__(self, limit: int) -> None:
        self.free = limit
        """How many places are free."""
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, party: Hashable) -> None:
        """Wait for a place."""
        if self.free and not self._waiting:
            self.free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            # The place may have been handed over in the same moment in which its waiter was cancelled.
            if place.done() and not place.cancelled():
                self.release()
            else:
                self._leave(party, place)
            raise

    def release(self) -> None:
        """Hand a place to the first in the queue of the party that has waited longest for its round."""
        while self._waiting:
            party, queue = self._waiting.popitem(last=False)
            place = queue.popleft()
            if queue:
                self._waiting[party] = queue
            if not place.done():
                place.set_result(None)
                return
        self.free += 1

    def _leave(self, party: Hashable, place: asyncio.Future[None]) -> None:
        queue = self._waiting.get(party)
        if queue is not None and place in queue:
            queue.remove(place)
            if not queue:
                del self._waiting[party]

    @asynccontextmanager
    async def held(self, party: Hashable) -> AsyncIterator[None]:
        """Hold a place for the length of a block."""
        await self.acquire(party)
        try:
            yield
        finally:
            self.release()
