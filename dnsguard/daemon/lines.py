"""Connections to primaries: one for each place, shared by all zones that are published there, whatever their keys.
What a zone sends waits only for its own primary; nothing is shared between two places.
"""

import asyncio
from collections.abc import Callable, Iterable

from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.wire.transport import Connection

Place = tuple[str, int, float, int]


def place_of(primary: Primary) -> Place:
    """Return what primaries have in common that can share a connection: all but the key."""
    return (primary.host, primary.port, primary.timeout_s, primary.in_flight_max)


class Lines:
    """The connections of one daemon."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Prepare; ``now`` gives seconds since the epoch, for signatures."""
        self._now = now
        self._open: dict[Place, Connection] = {}

    def publisher(self, primary: Primary) -> DnsPublisher:
        """Return a publisher of its own for a zone, over the connection of its primary's place."""
        place = place_of(primary)
        if place not in self._open:
            self._open[place] = Connection(primary, self._now)
        return DnsPublisher(primary, self._now, self._open[place])

    async def keep(self, primaries: Iterable[Primary]) -> None:
        """Close the connections to places at which none of these primaries is."""
        wanted = {place_of(primary) for primary in primaries}
        gone = [self._open.pop(place) for place in self._open.keys() - wanted]
        await asyncio.gather(*(connection.close() for connection in gone))
