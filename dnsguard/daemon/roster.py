"""A daemon among others: it says that it is there, hears what they do, and lets the right one look first.
All of it saves work and waiting. A daemon that hears nothing, or takes the others for dead, is as safe as any.
"""

import asyncio
import os
import random
import socket
from collections.abc import Callable
from dataclasses import replace

import structlog

from dnsguard import __version__
from dnsguard.core.history import StoreUnavailable
from dnsguard.core.roster import Daemon, rank
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.outages import StoreOutage
from dnsguard.store.bulletin import News
from dnsguard.store.migrate import revision
from dnsguard.store.sql import SqlStore
from dnsguard.workers.effects import Clock

BEAT_S = 2.0
BEAT_S_MIN = 0.5
"""How often it tries while the store is away; that it succeeds wakes all who wait for the store."""
ALIVE_S = 7.0
"""A daemon whose row has not changed for so long, by the clock of whoever looks, is taken for dead."""
PATIENCE_S, PATIENCE_S_MAX = 0.25, 1.0
"""How long each daemon further down the order waits for those before it."""
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.2, 1.0

log = structlog.get_logger()


class Roster:
    """Who else is there."""

    def __init__(
        self, store: SqlStore, clock: Clock, end: Callable[[], None], outage: StoreOutage, lasting: Lasting
    ) -> None:
        """``end`` is called when the tables have gone beyond what this code may work on."""
        self._lasting = lasting
        self._store, self._clock, self._end, self._outage = store, clock, end, outage
        now = clock.now()
        self.own = Daemon(
            clock.hex_digits(16), socket.gethostname(), os.getpid(), __version__, revision(), None, now, now
        )
        self._seen: dict[str, tuple[float, float]] = {}
        """By id: what its row says, and when that was new, by this process's own steady clock."""
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self, heard: Callable[[News], None]) -> None:
        """Begin to attend and to listen."""
        self._tasks = (
            self._lasting.start(self._attend_for_ever(), "attendance"),
            self._lasting.start(self._listen_for_ever(heard), "listening"),
        )

    async def close(self) -> None:
        """End both, and strike this daemon off."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await self._store.leave(replace(self.own, seen_at=self._clock.now()))
            except StoreUnavailable as error:
                log.warning("store.unavailable", detail=str(error))

    def patience_s(self, zone: str) -> float:
        """Return how long to let others look at a zone of which there is news, in seconds."""
        if not self._store.is_heard:
            return 0.0
        return min(PATIENCE_S * rank(zone, self.own.id, self.alive()), PATIENCE_S_MAX)

    def alive(self) -> list[str]:
        """Return the ids of the daemons that have said lately that they are there."""
        now = asyncio.get_running_loop().time()
        return [id_ for id_, (_, changed) in self._seen.items() if now - changed <= ALIVE_S]

    async def attend(self) -> None:
        """Say that this daemon is there, and look who else is. Raises StoreUnavailable."""
        needed = await self._store.attend(replace(self.own, seen_at=self._clock.now()))
        if needed is not None:
            log.error("daemon.outdated", expected=f"code at revision {needed} or newer", found=self.own.revision)
            self._end()
        now = asyncio.get_running_loop().time()
        found = await self._store.daemons()
        self._seen = {
            one.id: before if (before := self._seen.get(one.id)) and before[0] == one.seen_at else (one.seen_at, now)
            for one in found
        }

    async def _attend_for_ever(self) -> None:
        while True:
            failures = self._outage.failures
            try:
                await self.attend()
            except StoreUnavailable as error:
                self._outage.begin(str(error))
            else:
                self._outage.end(failures)
            await self._outage.begun(BEAT_S * random.uniform(0.8, 1.2))  # noqa: S311  spreads load, no secret
            if self._outage.is_on:
                await asyncio.sleep(BEAT_S_MIN * random.uniform(0.8, 1.2))  # noqa: S311  spreads load, no secret

    async def _listen_for_ever(self, heard: Callable[[News], None]) -> None:
        pause_s, level = _PAUSE_S_MIN, log.warning
        while True:
            try:
                async for news in self._store.news():
                    pause_s, level = _PAUSE_S_MIN, log.warning
                    heard(news)
            except StoreUnavailable as error:
                level("news.lost", detail=str(error))
                level = log.debug  # said once, until there is news again
            else:
                return
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  spreads load, no secret
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)
