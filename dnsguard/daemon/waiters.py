"""Clients that wait for plans of one zone: a future for each, resolved when an outcome is on record.
Waiting costs nothing. Whatever happens to the zone costs one read for all of its waiters, however many there are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import structlog

from dnsguard.core.history import Entry, StoreUnavailable, ZoneUnknown

RETRY_S = 1.0
"""How long to leave a database alone that could not be read."""

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Waiter:
    """One client that waits: for which generation, until what, and what was last seen of the plan."""

    generation: int
    is_over: Callable[[Entry], bool]
    done: asyncio.Future[Entry | None]
    seen: Entry | None = None


class Waiters:
    """All clients that wait for plans of one zone."""

    def __init__(self, read: Callable[[Collection[int]], Awaitable[Collection[Entry]]]) -> None:
        """``read`` returns the plans of some generations; one that has been pruned is left out."""
        self._read = read
        self._waiting: set[Waiter] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def notify(self) -> None:
        """Say that something of the zone's plans may be on record now."""
        self._news.set()

    async def wait(self, generation: int, is_over: Callable[[Entry], bool], timeout_s: float) -> Entry | None:
        """Return a plan once waiting for it is over, or as it was last seen when the time is up.

        None if nothing is known of it: the database did not answer, or has no such plan (any more).
        """
        waiter = Waiter(generation, is_over, asyncio.get_running_loop().create_future())
        self._waiting.add(waiter)
        # The outcome may have been recorded before this client was registered: look once now.
        self.notify()
        if self._task is None:
            self._task = asyncio.create_task(self._resolve(), name="waiters")
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.done
        except TimeoutError:
            return waiter.seen
        finally:
            self._waiting.discard(waiter)
            if not self._waiting and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _resolve(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                asked = {waiter.generation for waiter in self._waiting}
                entries = await self._read(asked)
            except (StoreUnavailable, ZoneUnknown) as error:
                log.debug("waiters.postponed", detail=str(error))
                await asyncio.sleep(RETRY_S)
                self._news.set()
                continue
            found = {entry.generation: entry for entry in entries}
            # A client that came during the read has set the event again, and is looked up in the next round.
            for waiter in [each for each in self._waiting if each.generation in asked]:
                waiter.seen = found.get(waiter.generation)
                if (waiter.seen is None or waiter.is_over(waiter.seen)) and not waiter.done.done():
                    waiter.done.set_result(waiter.seen)

    def close(self) -> None:
        """End every wait with what was last seen."""
        for waiter in tuple(self._waiting):
            if not waiter.done.done():
                waiter.done.set_result(waiter.seen)
