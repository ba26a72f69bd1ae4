"""How the parts of a campaign wait for each other: for an event with a deadline, never for time alone."""

import asyncio
import contextlib


class Bell:
    """Wakes those who wait at this moment."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._next.set()
        self._next = asyncio.Event()

    async def heard(self, seconds: float) -> bool:
        """Wait for the next ring, or until the time is up; tell which it was."""
        return await came(self._next, seconds)


async def came(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, or until the time is up; tell whether it came."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
