"""Whether the daemon can accept plans, asked once for all who want to know at about the same time.
Anybody may ask without a token, so asking often must cost no more than asking seldom.
"""

import asyncio
from collections.abc import Mapping

from dnsguard.api.desk import Desk

LOOK_S_MAX = 2.0
LOOK_FRESH_S = 0.5


class Readiness:
    """Shares one look at what is missing among all who ask within half a second."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._look: asyncio.Task[Mapping[str, str]] | None = None
        self._stale_at = 0.0

    async def missing(self) -> Mapping[str, str]:
        """Return what keeps the daemon from accepting plans, by part."""
        loop = asyncio.get_running_loop()
        if self._look is None or (self._look.done() and loop.time() >= self._stale_at):
            self._look = loop.create_task(self._desk.missing())
            self._stale_at = loop.time() + LOOK_FRESH_S
        try:
            return await asyncio.wait_for(asyncio.shield(self._look), LOOK_S_MAX)
        except TimeoutError:
            return {"daemon": f"expected to know within {LOOK_S_MAX:g} seconds what is missing, and did not"}

    async def close(self) -> None:
        """End a look that is under way."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
