"""Clients that say exactly what they are told to, octet by octet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tests.api.house import PLANS, WRITER, Door

AUTHORIZED = f"Authorization: Bearer {WRITER}\r\nIf-Match: *\r\nContent-Type: application/json\r\nHost: localhost\r\n"
PROMISE = f"POST {PLANS} HTTP/1.1\r\n{AUTHORIZED}Content-Length: 1000\r\n\r\n".encode()
LIVE = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Socket:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read an answer's head."""
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()
        status, *fields = text.strip().split("\r\n")
        return int(status.split()[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in fields)}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read an answer."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def is_closed(self) -> bool:
        """Wait until the other side has closed."""
        try:
            return await asyncio.wait_for(self.reader.read(), 20) is not None
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(door: Door) -> AsyncIterator[Socket]:
    reader, writer = await asyncio.open_connection(*door.served.address)
    try:
        yield Socket(reader, writer)
    finally:
        writer.transport.abort()


async def crowd(door: Door, stack: AsyncExitStack, count: int, octets: bytes = b"") -> list[Socket]:
    """Connect many clients that say something and then nothing more."""
    sockets = [await stack.enter_async_context(connected(door)) for _ in range(count)]
    for socket in sockets:
        socket.send(octets)
    return sockets


async def lives(door: Door) -> float:
    """Ask for health on a connection of its own; return how many seconds the answer took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with connected(door) as socket:
        socket.send(LIVE)
        assert (await socket.answer())[0] == 200
    return loop.time() - started


async def until(door: Door, so: Callable[[], bool]) -> None:
    """Keep asking for health, on one connection, until something is so."""
    async with asyncio.timeout(20):
        while not so():
            assert (await door.get("/v1/health/live")).status == 200


async def until_so(so: Callable[[], bool]) -> None:
    """Let everything else go on until something is so, without a connection of one's own."""
    async with asyncio.timeout(20):
        while not so():
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
