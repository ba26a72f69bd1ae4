"""A way to a primary that can be shut in two manners: it takes connections and never answers, or it takes none."""

import asyncio
import contextlib
from enum import Enum
from typing import Self


class Manner(Enum):
    """What the gate does with who comes."""

    OPEN = "alive"
    SILENT = "silent"
    CLOSED = "refusing"


class Gate:
    """Listens on a port of loopback that stays the same."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._manner = Manner.OPEN
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.address = ("127.0.0.1", 0)
        self.held = self.held_max = 0
        """Connections that are open now, and the most that ever were since the gate was turned."""

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._shut()

    async def turn(self, manner: Manner) -> None:
        """Behave so from now on; whoever is connected is cut off."""
        await self._shut()
        self._manner, self.held_max = manner, 0
        if manner is not Manner.CLOSED:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, *self.address)
        self.address = self._server.sockets[0].getsockname()

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.held += 1
        self.held_max = max(self.held_max, self.held)
        try:
            if self._manner is Manner.SILENT:
                await _drain(reader)
                return
            onward, back = await asyncio.open_connection(*self._upstream)
            try:
                await asyncio.gather(_copy(reader, back), _copy(onward, writer))
            finally:
                back.close()
        except OSError:
            return
        finally:
            self.held -= 1
            writer.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        continue


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
