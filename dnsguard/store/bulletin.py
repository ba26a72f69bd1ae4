"""News between daemons on one PostgreSQL: NOTIFY what was done, LISTEN to the others.
News only saves waiting. It is sent after the commit and may be lost; whoever needs certainty looks by itself.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from dnsguard.store.address import place_of
from dnsguard.store.database import Lost, told

_CHANNEL = "dnsguard"


class Act(Enum):
    """What another daemon did."""

    ACCEPTED = "accepted"
    RECORDED = "recorded"
    ATTENDED = "attended"
    """Nothing but being there."""


@dataclass(frozen=True, slots=True)
class News:
    """Another daemon accepted something for a zone, or put on record what is published."""

    zone: str
    act: Act


class Bulletin:
    """Sends and hears news over one connection of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._line: Any = None
        self._unsent: dict[str, None] = {}
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether news goes out and comes in at the moment."""
        return self._line is not None

    def post(self, zone: str, act: Act) -> None:
        """Tell the other daemons, if there is a connection; what waits to be sent goes together."""
        if self._line is None:
            return
        self._unsent[f"{act.value} {zone}"] = None
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(self._line), name="news")

    async def _send(self, line: Any) -> None:  # noqa: ANN401  the driver has no types
        # Each in a statement of its own after the commit that it tells of: inside that transaction, it would hold
        # the one lock of all notifications while the disk is written, and no two zones could commit at once.
        try:
            while self._unsent:
                texts, self._unsent = list(self._unsent), {}
                await line.execute("SELECT pg_notify($1, news) FROM unnest($2::text[]) AS news", _CHANNEL, texts)
        except Exception:  # noqa: BLE001  whatever it is, this line is of no use any more; the listener makes another
            line.terminate()

    async def hear(self) -> AsyncIterator[News]:
        """Yield what other daemons do until the connection is lost, nothing on SQLite. Raises StoreUnavailable."""
        if self._engine.dialect.name != "postgresql":
            return
        place = place_of(self._engine.url)
        lost = f"expected news from {place}, found the connection gone; it is made again"
        heard: asyncio.Queue[News | None] = asyncio.Queue()
        with told(place):
            async with self._engine.connect() as conn:
                line: Any = (await conn.get_raw_connection()).driver_connection
                own = line.get_server_pid()

                def note(_line: object, pid: int, _channel: str, text: str) -> None:
                    act, _, zone = text.partition(" ")
                    if pid != own and act in {Act.ACCEPTED.value, Act.RECORDED.value}:
                        heard.put_nowait(News(zone, Act(act)))

                line.add_termination_listener(lambda _line: heard.put_nowait(None))
                try:
                    try:
                        await line.add_listener(_CHANNEL, note)
                    except Exception as error:  # the driver's own: a pooled connection had died unseen
                        raise Lost(lost) from error
                    self._line = line
                    while (news := await heard.get()) is not None:
                        yield news
                finally:
                    self._line = None
                    # It listens; it must not go back among those that others use.
                    await conn.invalidate()
        raise Lost(lost)

    async def close(self) -> None:
        """Send what waits."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
