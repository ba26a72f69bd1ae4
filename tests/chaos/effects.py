"""Did a fault have an effect? Seen where it should show, from outside: a process that stands still, a server that does
not answer, a clock that is elsewhere. Nothing here causes anything.
"""

import asyncio
import contextlib
import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from tests.chaos.observe import Asker, NoAnswer
from tests.servers.running import Address

_ANSWER_S_MAX = 2.0
_CLOCK_APART_S_MIN = 15.0


def stood_still_at(pid: int | None) -> int | None:
    """Return how much a process has run, in ticks, if it is stopped; None if it is not."""
    with contextlib.suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if state == "T":
            return int(fields[10]) + int(fields[11])
    return None


def is_gone(pid: int | None) -> bool:
    """Tell whether a process is there no more."""
    return pid is not None and not Path(f"/proc/{pid}").exists()


def is_full(folder: Path) -> bool:
    """Tell whether there is no room."""
    return os.statvfs(folder).f_bavail == 0


async def is_silent(server: Address, zone: str) -> bool:
    """Tell whether a name server gives no answer."""
    with contextlib.closing(Asker(server)) as asker:
        try:
            await asker.ask(zone, "SOA")
        except NoAnswer:
            return True
    return False


async def is_closed(address: Address) -> bool:
    """Tell whether nobody takes connections there."""
    try:
        async with asyncio.timeout(_ANSWER_S_MAX):
            _, writer = await asyncio.open_connection(*address)
    except (OSError, TimeoutError):
        return True
    writer.close()
    return False


async def clock_is_elsewhere(session: aiohttp.ClientSession, url: str | None) -> bool:
    """Tell whether a daemon's answers bear another time than ours."""
    if url is None:
        return False
    try:
        async with asyncio.timeout(_ANSWER_S_MAX), session.get(f"{url}/v1/health/live") as answer:
            date = parsedate_to_datetime(answer.headers["Date"])
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
    return abs(date.timestamp() - time.time()) > _CLOCK_APART_S_MIN
