"""A TCP proxy between a publisher and its primary that passes requests on and does as told with the answers."""

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum, auto
from typing import Self


class Answers(Enum):
    """What becomes of an answer that the server gave."""

    PASSED = auto()
    DROPPED = auto()
    HELD = auto()
    """Kept in `Proxy.held` until a test sends it on."""
    RESET = auto()
    """Dropped together with the connection."""
    GARBLED = auto()
    """Replaced by something that is no DNS message."""
    DRIBBLED = auto()
    """Passed octet by octet."""


class Proxy:
    """Listens on a free port of loopback; counts what it sees."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self.answers = Answers.PASSED
        self.connections = 0
        self.requests: list[bytes] = []
        self.answered = 0
        self.held: list[tuple[bytes, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so; checked whenever a request or an answer came by."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(holds)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        ends = [writer]
        try:
            there, back = await asyncio.open_connection(*self._upstream)
            ends.append(back)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, back))
                both.create_task(self._answers(there, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # An end of either side ends both.
        finally:
            for end in ends:
                end.transport.abort()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(reader)
            back.write(frame)
            self.requests.append(frame)
            await self._notify()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            frame = await _frame(there)
            match self.answers:
                case Answers.PASSED:
                    writer.write(frame)
                case Answers.HELD:
                    self.held.append((frame, writer))
                case Answers.RESET:
                    self.answered += 1
                    await self._notify()
                    raise ConnectionResetError
                case Answers.GARBLED:
                    writer.write(b"\0\3abc")
                case Answers.DRIBBLED:
                    for octet in frame:
                        writer.write(bytes((octet,)))
                        await writer.drain()
            self.answered += 1
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    prefix = await reader.readexactly(2)
    return prefix + await reader.readexactly(int.from_bytes(prefix, "big"))
