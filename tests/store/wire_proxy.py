"""A proxy before PostgreSQL that counts round trips and cuts connections where a test asks for it.

It reads no more of the protocol than the lengths and types of messages (PostgreSQL's documentation, "Frontend/Backend
Protocol"): a Sync or a Query asks for an answer, a ReadyForQuery ends it.
"""

import asyncio
import struct
from enum import Enum
from typing import Self

_ASKS = (b"S", b"Q")
_READY = b"Z"
_NOTIFICATION = b"A"
_NO_SSL = b"N"
_SSL_REQUEST = 80877103


class Cut(Enum):
    """When a connection is cut off."""

    BEFORE = "the request does not arrive"
    MEANWHILE = "the request is sent, and nobody waits for what comes of it"
    AFTER = "the server has answered, and the answer does not arrive"


class WireProxy:
    """Passes connections on to a server; also an async context manager that ends it."""

    def __init__(self, target: tuple[str, int], *, deaf: bool = False) -> None:
        """Prepare; ``deaf``: what NOTIFY sends is lost on its way, and nothing else."""
        self._target, self._deaf = target, deaf
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._cuts: tuple[int, Cut] | None = None
        self.round_trips = 0
        """Requests that were answered, those for connecting apart."""
        self.cuts = 0
        self.lost = 0
        """Notifications that did not arrive."""
        self._closed = self._for_good = False
        self._octets: bytes | None = None
        self._when = Cut.AFTER

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def address(self) -> tuple[str, int]:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def cut(self, nth: int, when: Cut, *, for_good: bool = False) -> None:
        """Cut the connection that makes the nth request from now on.

        ``for_good``: all others with it, and no new one is taken before the proxy is opened again.
        """
        self._cuts, self._for_good = (nth, when), for_good

    def cut_at(self, octets: bytes, when: Cut) -> None:
        """Cut the connection that makes a request with these octets in it for good; see `cut`."""
        self._octets, self._when, self._for_good = octets, when, True

    def open(self) -> None:
        """Take connections again."""
        self._closed = False

    def drop(self) -> None:
        """Cut all connections now, but for the one that is being served by whoever asks."""
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            return
        there, onward = await asyncio.open_connection(*self._target)
        cutting = asyncio.Event()
        passing = self._messages(there, writer) if self._deaf else self._answers(there, writer, cutting)
        back = asyncio.create_task(passing)
        try:
            started = found = False
            while True:
                kind = b"" if not started else await reader.readexactly(1)
                size = await reader.readexactly(4)
                body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
                if not started:
                    started = body[:4] != struct.pack("!I", _SSL_REQUEST)
                found = found or (self._octets is not None and self._octets in body)
                if kind in _ASKS and (when := self._due(found=found)) is not None:
                    if self._for_good:
                        self._closed = True
                        self.drop()
                    if when is Cut.BEFORE:
                        return
                    cutting.set()
                    onward.write(kind + size + body)
                    await onward.drain()
                    if when is Cut.AFTER:
                        await back
                    return
                onward.write(kind + size + body)
        finally:
            back.cancel()
            onward.close()

    def _due(self, *, found: bool) -> Cut | None:
        self.round_trips += 1
        if found:
            self._octets = None
            self.cuts += 1
            return self._when
        if self._cuts is None:
            return None
        nth, when = self._cuts
        self._cuts = (nth - 1, when) if nth > 1 else None
        self.cuts += nth == 1
        return when if nth == 1 else None

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, cutting: asyncio.Event) -> None:
        """Pass answers on; once the connection is to be cut, wait for the end of the answer and pass on nothing."""
        while octets := await there.read(65536):
            if cutting.is_set():
                if octets[-6:-5] == _READY:
                    return
            else:
                writer.write(octets)
        writer.close()

    async def _messages(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on message by message what is no notification; the answer to an SSLRequest is a single octet."""
        kind = await there.read(1)
        if kind == _NO_SSL:
            writer.write(kind)
            kind = await there.read(1)
        while kind:
            size = await there.readexactly(4)
            body = await there.readexactly(struct.unpack("!I", size)[0] - 4)
            if kind == _NOTIFICATION:
                self.lost += 1
            else:
                writer.write(kind + size + body)
            kind = await there.read(1)
        writer.close()
