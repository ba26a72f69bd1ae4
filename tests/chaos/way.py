"""The way from one daemon to the primary: a proxy at the daemon's own loopback that sees each DNS message, and can be
slow, lose everything, reset connections, or hold an UPDATE back while its daemon is stopped: the moment between
observing and publishing. It changes no message.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Self

from tests.chaos.enclosure import inside
from tests.servers.running import Address, Place

_UPDATE = 5
_PREREQUISITE_FAILED = frozenset({3, 6, 7, 8})
_ANSWER_S_MAX = 5.0
_NO_FAREWELL = struct.pack("ii", 1, 0)
"""Closing resets the connection: SO_LINGER, for no time."""


class Held:
    """An UPDATE that is held back, from the moment that it came by until its answer came."""

    def __init__(self) -> None:
        self.caught = asyncio.Event()
        self.let_go = asyncio.Event()
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The answer's rcode."""
        self.zone = ""


class Way:
    """Listens where a daemon's primary seems to be."""

    def __init__(self, place: Place, upstream: Address) -> None:
        self.delay_s: Callable[[], float] | None = None
        """How long each message takes, if that is not no time."""
        self.cut = False
        """Whether nothing gets through."""
        self.resets: Callable[[], bool] | None = None
        """Whether a message is answered by a reset of its connection, on either side."""
        self.met: Counter[str] = Counter()
        """How many messages were ``delayed``, ``cut`` or ``reset``."""
        self.outcomes: Counter[int] = Counter()
        """The rcodes of answers to UPDATE messages that wanted to change something."""
        self._place = place
        self._upstream = upstream
        self._held: Held | None = None
        self._updates: dict[tuple[int, bytes], Held | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = iter(range(10**9))

    @property
    def refused(self) -> int:
        """How many UPDATE messages failed their prerequisites."""
        return sum(count for rcode, count in self.outcomes.items() if rcode in _PREREQUISITE_FAILED)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return host, port

    async def __aenter__(self) -> Self:
        self._socket = inside(self._place, _listening)
        self._server = await asyncio.start_server(self._accept, sock=self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold_next(self) -> Held:
        """Hold the next UPDATE back that wants to change something."""
        self._held = Held()
        return self._held

    def hold_none(self) -> None:
        """Hold nothing back any more that has not come yet."""
        self._held = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        number, ends = next(self._numbers), [writer]
        try:
            there, back = await self._connect()
            ends.append(back)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._there(number, reader, writer, back))
                both.create_task(self._back(number, there, writer, back))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # An end of either side ends both.
        finally:
            for end in ends:
                end.transport.abort()
            for place in [place for place in self._updates if place[0] == number]:
                del self._updates[place]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = inside(self._place, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.timeout(_ANSWER_S_MAX):
                await asyncio.get_running_loop().sock_connect(made, self._upstream)
        except BaseException:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def _there(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            frame = await _frame(reader)
            if _wants_to_change(frame):
                held, self._held = self._held, None
                self._updates[number, frame[2:4]] = held
                if held is not None:
                    held.zone = _zone_of(frame)
                    held.caught.set()
                    await held.let_go.wait()
            await self._pass(frame, back, writer)

    async def _back(
        self, number: int, there: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            frame = await _frame(there)
            place = (number, frame[2:4])
            if place in self._updates:
                held, rcode = self._updates.pop(place), frame[5] & 15
                self.outcomes[rcode] += 1
                if held is not None and not held.answered.done():
                    held.answered.set_result(rcode)
            await self._pass(frame, writer, back)

    async def _pass(self, frame: bytes, writer: asyncio.StreamWriter, other: asyncio.StreamWriter) -> None:
        if self.delay_s is not None:
            self.met["delayed"] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), self.delay_s())
        if self.resets is not None and self.resets():
            self.met["reset"] += 1
            for end in (writer, other):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
            raise ConnectionResetError
        if writer.is_closing():
            raise ConnectionResetError
        if self.cut:
            self.met["cut"] += 1
        else:
            writer.write(frame)


def _listening() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen()
    made.setblocking(False)
    return made


async def _frame(reader: asyncio.StreamReader) -> bytes:
    prefix = await reader.readexactly(2)
    return prefix + await reader.readexactly(int.from_bytes(prefix, "big"))


def _wants_to_change(frame: bytes) -> bool:
    """Tell whether a message is an UPDATE with records in its update section (RFC 2136 section 2.2)."""
    return len(frame) >= 14 and frame[4] >> 3 & 15 == _UPDATE and frame[10:12] != b"\0\0"


def _zone_of(frame: bytes) -> str:
    """Return the name in the zone section."""
    labels, at = [], 14
    while length := frame[at]:
        labels.append(frame[at + 1 : at + 1 + length].decode("ascii"))
        at += length + 1
    return ".".join(labels) + "."
