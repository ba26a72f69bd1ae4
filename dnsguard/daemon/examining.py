"""Before anything is published to a zone, the servers that it lists are examined: one that takes updates past the
primary breaks the fence, and then nothing is published until it is seen to have stopped: that it could not be examined
again proves nothing. Said in the log and in the zone's status.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from dnsguard.wire.name_server import NameServer
from dnsguard.wire.primary import Primary
from dnsguard.wire.rivals import Rival, Standing, examine
from dnsguard.workers.effects import Clock
from dnsguard.workers.step import Step, Then

log = structlog.get_logger()


class Examining:
    """The examination of one zone: once when its loops start, and again while the answer is no."""

    def __init__(self, zone: str, primary: Primary, servers: Iterable[NameServer], clock: Clock) -> None:
        """Prepare; a server is asked with the primary's key, as whoever updates would be."""
        self._zone, self._primary, self._clock = zone, primary, clock
        self._others = tuple(
            replace(primary, host=server.host, port=server.port, timeout_s=server.timeout_s)
            for server in servers
            if (server.host, server.port) != (primary.host, primary.port)
        )
        self._is_passed = not self._others
        self._refusals: dict[str, str] = {}
        """What was found against servers, by their places, and not taken back since."""
        self._turn = asyncio.Lock()

    async def before(self, run_once: Callable[[], Awaitable[Step]]) -> Step:
        """Run a worker, unless two servers take updates for the zone."""
        async with self._turn:
            refusal = "" if self._is_passed else await self._refusal()
        return Step("primary.shared", Then.LATER, self._zone, detail=refusal) if refusal else await run_once()

    async def _refusal(self) -> str:
        found = await examine(self._primary, self._zone, self._others, self._clock.now, self._clock.hex_digits(12))
        said = ""
        for rival in found.rivals:
            level = log.debug if rival.standing is Standing.TAKES_NONE else log.info
            level("server.examined", zone=self._zone, server=rival.place, found=rival.standing.value)
            refusal = self._against(rival, found.refusal_of(rival))
            said = said or refusal
        self._is_passed = not said
        return said

    def _against(self, rival: Rival, refusal: str) -> str:
        """Return what there is against a server by now: what was found against it stays until it is seen to be over."""
        place = rival.place
        before = self._refusals.pop(place, "")
        if rival.standing.is_clear:
            return ""
        if rival.standing is Standing.PRIMARY_FAILS:
            refusal = before or refusal  # that says more
        if refusal or before:
            self._refusals[place] = refusal or before
        if refusal or not before:
            return refusal
        return (
            f"{before}. That this is over was not seen yet: {place} could not be examined since ({rival.detail}). If "
            "it is gone for good, take it off the zone's name_servers"
        )
