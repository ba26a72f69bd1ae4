"""Turns at something that takes only so many at once, such as a primary: handed out in rotation among the parties
that wait, and first come, first served within each. So a party that wants much keeps nobody else waiting for long.
Nothing here knows what a turn is for, and no turn is ever lost with a waiter who goes away.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """``most`` turns, and those who wait for one."""

    def __init__(self, most: int) -> None:
        self.free = most
        """How many nobody holds."""
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, party: Hashable) -> None:
        """Wait for a turn. Who takes one gives it back."""
        if self.free and not self._waiting:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The turn may have been handed over in the same moment in which its taker was cancelled.
            if turn.done() and not turn.cancelled():
                self.give_back()
            else:
                self._leave(party, turn)
            raise

    def give_back(self) -> None:
        """Hand a turn to the first in the queue of the party that waits longest for its round."""
        while self._waiting:
            party, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[party] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

    def _leave(self, party: Hashable, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(party)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[party]

    @asynccontextmanager
    async def held(self, party: Hashable) -> AsyncIterator[None]:
        """Hold a turn for the length of a block."""
        await self.take(party)
        try:
            yield
        finally:
            self.give_back()
