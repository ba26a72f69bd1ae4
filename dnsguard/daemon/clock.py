"""The real clock and real chance, as workers see them."""

import asyncio
import secrets
import time


class SystemClock:
    """The machine's clock and its source of randomness."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        return time.time()

    def hex_digits(self, count: int) -> str:
        """Return random lower-case hexadecimal digits."""
        return secrets.token_hex((count + 1) // 2)[:count]

    async def sleep(self, seconds: float) -> None:
        """Wait; zero gives others a turn."""
        await asyncio.sleep(seconds)
