"""A primary as those see it who take plans in: while it is away, or slow, nobody at the door waits for it.
What could not be looked at there, the enactor looks at before it publishes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from dnsguard.core.message import Message, NamesRead, Outcome, Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.workers.effects import Publisher

LOOK_S_MAX = 2.0


class Doorway:
    """A `Publisher` that is quick to say that nobody answers."""

    def __init__(self, publisher: Publisher, is_away: Callable[[], bool]) -> None:
        """Look through a publisher; ``is_away`` tells whether its primary is known not to answer."""
        self._publisher = publisher
        self._is_away = is_away

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return what exists at these names, if the primary says so soon."""
        if self._is_away():
            return Unreachable(f"the primary of {zone} did not answer when it was asked last")
        try:
            async with asyncio.timeout(LOOK_S_MAX):
                return await self._publisher.read(zone, names)
        except TimeoutError:
            return Unreachable(f"the primary of {zone} did not answer within {LOOK_S_MAX:g} s")

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        return await self._publisher.observe(zone)

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE."""
        return await self._publisher.publish(message)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all of the zone."""
        return await self._publisher.transfer(zone)
