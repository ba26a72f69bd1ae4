"""What a daemon needs and does not always have: its store, and its primaries.
That one is away is said once for all who need it, and once when it is back; whoever waits for the store is then woken.
Nothing is decided here about plans or zones, and nobody is kept from trying.
"""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class StoreOutage:
    """Whether the store answers, as all who ask it have found."""

    def __init__(self) -> None:
        self.failures = 0
        """How often it did not answer, ever: whoever saw it answer may tell by it whether that is still so."""
        self._begun = asyncio.Event()
        self._begun_s = 0.0
        self._waiting: dict[Callable[[], None], None] = {}
        self._said = ""

    @property
    def is_on(self) -> bool:
        """Whether nobody has seen it answer everything since it failed."""
        return self._begun.is_set()

    def begin(self, detail: str, hurry: Callable[[], None] | None = None) -> None:
        """Say that the store did not answer; ``hurry`` is called when it does again.

        The same words are said once for as long as it is away, and no second time in a row.
        """
        self.failures += 1
        if hurry is not None:
            self._waiting[hurry] = None
        if self.is_on:
            return
        self._begun_s = asyncio.get_running_loop().time()
        self._begun.set()
        level = log.debug if detail == self._said else log.warning
        self._said = detail
        level("store.unavailable", detail=detail)

    def end(self, failures: int) -> None:
        """Say that the store answers, unless it failed since there were so many failures; wake all who wait."""
        if self.failures != failures:
            return
        if not self.is_on:
            self._said = ""
            return
        self._begun.clear()
        log.info("store.returned", after_s=round(asyncio.get_running_loop().time() - self._begun_s, 3))
        waiting, self._waiting = self._waiting, {}
        for hurry in waiting:
            hurry()

    async def begun(self, seconds: float) -> None:
        """Wait until the store is away, or for a time."""
        try:
            async with asyncio.timeout(seconds):
                await self._begun.wait()
        except TimeoutError:
            return


class PrimaryOutage:
    """Whether a primary answers, as the zones that are published there have found."""

    def __init__(self, primary: str) -> None:
        self._primary = primary
        self._away: set[str] = set()
        self._said: set[str] = set()
        self._begun_s = 0.0

    def knows(self, reason: str) -> bool:
        """Tell whether it is said already that the primary is away for this reason."""
        return reason in self._said

    def begin(self, zone: str, reason: str) -> None:
        """Note that it did not answer for a zone, which has been said."""
        if not self._away:
            self._begun_s = asyncio.get_running_loop().time()
        self._away.add(zone)
        self._said.add(reason)

    def forget(self, zone: str) -> None:
        """Leave a zone out of it, which is published there no more or by new settings."""
        self._away.discard(zone)
        if not self._away:
            self._said.clear()

    def end(self, zone: str) -> None:
        """Note that it answers for a zone; say that it is back if it does so for all."""
        if zone not in self._away:
            return
        self._away.discard(zone)
        if not self._away:
            self._said.clear()
            after_s = round(asyncio.get_running_loop().time() - self._begun_s, 3)
            log.info("primary.returned", primary=self._primary, after_s=after_s)
