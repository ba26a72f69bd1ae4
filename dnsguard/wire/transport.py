"""One persistent, pipelined TCP connection to a primary: signed messages out, proven answers back. Any number of
zones share it, each with a key of its own if it likes, and take turns on it.
An exchange ends with an authentic answer or with `Unanswered`, and is never tried again here. A connection on
which an answer is overdue takes no new exchanges; the next one opens another. Of all rooms of `wire`, only this
one and `transfer` use asyncio's timers.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Hashable
from typing import cast

import structlog

from dnsguard.fair_semaphore import FairSemaphore
from dnsguard.wire.encode import MESSAGE_OCTETS_MAX, MessageTooLarge
from dnsguard.wire.primary import Primary
from dnsguard.wire.tsig import NotAuthentic, Responses, Signer

log = structlog.get_logger(__name__)

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
TRANSFERS_MAX = 2
"""Transfers from one primary at once: each is a connection of its own."""

_HEADER_OCTETS = 12
_RESPONSE_BIT = 0x80
_OPCODE_BITS = 0x78


class Unanswered(Exception):
    """No authentic answer came; the message says why, for people. The request may have been taken.

    ``rcode`` is the word of an answer that nobody signed, empty if there was none.
    """

    def __init__(self, message: str, rcode: str = "") -> None:
        super().__init__(message)
        self.rcode = rcode


class Connection:
    """The way to one primary. Connects on first use, and again after a loss."""

    def __init__(self, primary: Primary, now: Callable[[], float]) -> None:
        """Prepare; ``now`` gives seconds since the epoch, for signatures."""
        self.transfers = FairSemaphore(TRANSFERS_MAX)
        """Turns for what is done beside this connection."""
        self._primary = primary
        self._now = now
        self._signer = Signer(primary)
        self._places = FairSemaphore(primary.in_flight_max)
        self._pipes: set[_Pipe] = set()
        self._current: _Pipe | None = None
        self._connecting: asyncio.Task[_Pipe | Unanswered] | None = None
        self._closed = False

    async def exchange(self, message: bytes, signer: Signer | None = None, party: Hashable = None) -> bytes:
        """Send a message and return the authentic answer to it, without its TSIG record.

        ``signer`` is for another key than the primary's own; turns go round among parties, such as zones. The
        message's id is chosen here. Raises Unanswered, and MessageTooLarge before anything is sent. When
        cancelled, the message may have been sent, and its answer is dropped when it comes.
        """
        signer = signer or self._signer
        octets = len(message) + signer.octets
        if octets > MESSAGE_OCTETS_MAX:
            raise MessageTooLarge(octets)
        pipe = await self._turn(party)
        ident = pipe.free_id()
        request = signer.sign(ident.to_bytes(2, "big") + message[2:], self._now())
        wire = await pipe.send(ident, request.wire)
        try:
            answer = Responses(signer, request).open(wire, self._now())
        except NotAuthentic as reason:
            # Many servers do not sign a no to what they do not know at all; whoever asked says it where it matters.
            level = log.debug if reason.rcode else log.warning
            level("answer.distrusted", server=str(self._primary), reason=str(reason))
            raise Unanswered(str(reason), reason.rcode) from None
        if (
            not answer[2] & _RESPONSE_BIT
            or (answer[2] ^ message[2]) & _OPCODE_BITS
            or not same_question(answer, message)
        ):
            raise Unanswered("the server answered another question than the one asked")
        return answer

    async def close(self) -> None:
        """Drop the connection; exchanges under way end unanswered, and later ones at once."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        pipes = tuple(self._pipes)
        for pipe in pipes:
            pipe.drop("the connection was closed on this side")
        for pipe in pipes:
            await pipe.lost

    async def _turn(self, party: Hashable) -> "_Pipe":
        """Wait until one more message may be in flight, and for a connection."""
        try:
            async with asyncio.timeout(self._primary.timeout_s):
                await self._places.acquire(party)
                try:
                    return await self._usable()
                except BaseException:
                    self._places.release()
                    raise
        except TimeoutError:
            raise Unanswered(
                f"no connection to {self._primary}, or no turn on it, within {self._primary.timeout_s:g} s"
            ) from None

    async def _usable(self) -> "_Pipe":
        while self._current is None or not self._current.usable:
            if self._closed:
                raise Unanswered("the connection was closed on this side")
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
                self._connecting.add_done_callback(self._connected)
            # The attempt is everybody's: who is cancelled while waiting must not end it for the others.
            attempt = self._connecting
            await asyncio.wait((attempt,))
            if attempt.cancelled():
                continue  # By `close`, and by nobody else.
            result = attempt.result()
            if isinstance(result, Unanswered):
                raise Unanswered(str(result))
            self._current = result
        return self._current

    def _connected(self, _: "asyncio.Task[_Pipe | Unanswered]") -> None:
        self._connecting = None

    async def _connect(self) -> "_Pipe | Unanswered":
        primary = self._primary
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(primary.timeout_s):
                _, pipe = await loop.create_connection(
                    lambda: _Pipe(primary, self._places.release, self._pipes), primary.host, primary.port
                )
        except (OSError, TimeoutError) as error:
            return Unanswered(f"no connection to {primary}: {worded(error)}")
        log.debug("connection.opened", server=str(primary))
        return pipe


class _Exchange:
    """A message on its way: who waits for its answer (perhaps nobody any more), and until when."""

    __slots__ = ("answer", "overdue")

    def __init__(self, answer: "asyncio.Future[bytes]", overdue: asyncio.TimerHandle) -> None:
        self.answer = answer
        self.overdue = overdue


class _Pipe(asyncio.Protocol):
    """One TCP connection. An id is taken until its answer came, even if nobody waits for it any more."""

    def __init__(self, primary: Primary, freed: Callable[[], None], pipes: "set[_Pipe]") -> None:
        self.usable = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._primary = primary
        self._freed = freed
        self._pipes = pipes
        self._waiting: dict[int, _Exchange] = {}
        self._last_id = 0
        self._received = bytearray()
        self._why = "the server closed the connection"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acknowledge_at_once()
        self._pipes.add(self)
        self.usable = True

    def _acknowledge_at_once(self) -> None:
        # Linux falls back to delayed acknowledgements by itself, and pipelined small messages then stall 40 ms.
        if _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def free_id(self) -> int:
        """Return an id that no message in flight has."""
        while True:
            self._last_id = (self._last_id + 1) & 0xFFFF
            if self._last_id not in self._waiting:
                return self._last_id

    async def send(self, ident: int, wire: bytes) -> bytes:
        """Write a message and wait for the response with its id. Raises Unanswered.

        The turn that was taken for it is given back when the response came, or the connection is gone:
        not earlier, even if nobody waits, for the server is still at work on it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting[ident] = _Exchange(answer, loop.call_later(self._primary.timeout_s, self._expire, ident))
        self._transport.write(len(wire).to_bytes(2, "big") + wire)
        return await answer

    def data_received(self, data: bytes) -> None:
        self._acknowledge_at_once()
        self._received += data
        while len(self._received) >= 2 and len(self._received) >= (
            end := 2 + int.from_bytes(self._received[:2], "big")
        ):
            response = bytes(self._received[2:end])
            del self._received[:end]
            if len(response) < _HEADER_OCTETS:
                self.drop("the server sent something that is no DNS message")
                return
            self._take(response)

    def _take(self, response: bytes) -> None:
        exchange = self._waiting.pop(int.from_bytes(response[:2], "big"), None)
        if exchange is None:
            return
        exchange.overdue.cancel()
        self._freed()
        if not exchange.answer.done():
            exchange.answer.set_result(response)
        self._close_if_idle()

    def _expire(self, ident: int) -> None:
        """Give up on an answer, and with it on the connection: what comes next must not wait behind it."""
        self.usable = False
        exchange = self._waiting[ident]
        if not exchange.answer.done():
            exchange.answer.set_exception(
                Unanswered(f"no answer from {self._primary} within {self._primary.timeout_s:g} s")
            )
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self.usable and all(exchange.answer.done() for exchange in self._waiting.values()):
            self._transport.abort()

    def drop(self, why: str) -> None:
        """Close the connection now."""
        self._why = why
        self.usable = False
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._pipes.discard(self)
        why = self._why if exc is None else f"the connection was lost: {worded(exc)}"
        for exchange in self._waiting.values():
            exchange.overdue.cancel()
            self._freed()
            if not exchange.answer.done():
                exchange.answer.set_exception(Unanswered(why))
        self._waiting.clear()
        log.debug("connection.closed", server=str(self._primary), reason=why)
        self.lost.set_result(None)


def worded(error: Exception) -> str:
    """Say for people what happened to a connection."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)


def same_question(answer: bytes, asked: bytes) -> bool:
    """Tell whether a response repeats the question, or leaves it out as RFC 2136 section 3.8 allows for UPDATE."""
    if answer[4:6] == b"\0\0":
        return True
    at = _HEADER_OCTETS
    while asked[at]:
        at += asked[at] + 1
    name, fixed = slice(_HEADER_OCTETS, at + 1), slice(at + 1, at + 5)
    return answer[name].lower() == asked[name].lower() and answer[fixed] == asked[fixed]
