"""The embedded server's sockets: UDP, and TCP with several requests on one connection (RFC 7766).

Everything is bounded: connections, their idle time, datagrams being answered. No exception leaves a
listener; a message whose handling broke is logged and answered SERVFAIL.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import structlog

from dnsguard.wire.server.service import Service, failure

log = structlog.get_logger(__name__)
_PORT_TRIES = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the listeners; what is beyond them is dropped."""

    connections_max: int = 200
    datagrams_max: int = 500
    idle_seconds_max: float = 30.0


class NotLoopback(ValueError):
    """The embedded server was asked to listen where others could reach it."""


def open_sockets(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bind UDP and TCP to the same port of a loopback address; port 0 picks one that is free for both.

    Raises NotLoopback for any other address, and OSError for a port that is taken.
    """
    family = _loopback_family(host)
    for tries_left in reversed(range(_PORT_TRIES)):
        stream = socket.socket(family, socket.SOCK_STREAM)
        datagram = socket.socket(family, socket.SOCK_DGRAM)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.bind((host, port))
            datagram.bind((host, stream.getsockname()[1]))
        except OSError:
            stream.close()
            datagram.close()
            if port or not tries_left:
                raise
            continue
        stream.setblocking(False)
        datagram.setblocking(False)
        return datagram, stream
    raise AssertionError("unreachable: the last try returns or raises")


def _loopback_family(host: str) -> socket.AddressFamily:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise NotLoopback(
            f"expected a loopback address such as 127.0.0.1 or ::1 for the embedded server, found {host!r}; "
            "to serve others, configure BIND, Knot or PowerDNS as the zone's primary"
        )
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


async def _answers(service: Service, wire: bytes, *, stream: bool) -> AsyncGenerator[bytes, None]:
    """The service's replies; SERVFAIL where it breaks."""
    # A listener outlives any message: the fault is logged with its trace.
    try:
        async with aclosing(service.replies(wire, stream=stream)) as replies:
            async for reply in replies:
                yield reply
    except Exception:
        log.exception("message.failed", octets=len(wire))
        broken = failure(wire)
        if broken is not None:
            yield broken


class Datagrams(asyncio.DatagramProtocol):
    """The UDP side."""

    def __init__(self, service: Service, limits: Limits) -> None:
        """Answer what arrives, once `create_datagram_endpoint` has connected this to a socket."""
        self._service = service
        self._limits = limits
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer through."""
        # Not asked with isinstance: CPython 3.11's own datagram transport does not inherit from the class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        if exc is not None:
            log.warning("datagrams.lost", fault=str(exc))
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one datagram, or drop it when too many are being answered."""
        if len(self._tasks) >= self._limits.datagrams_max:
            log.debug("datagram.dropped", limit=self._limits.datagrams_max)
            return
        task = asyncio.get_running_loop().create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def error_received(self, exc: Exception) -> None:
        """Note that an answer could not be delivered: its client is gone."""
        log.debug("datagram.undelivered", fault=str(exc))

    async def close(self) -> None:
        """Close the socket and wait for the answers under way."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, wire: bytes, client: tuple[str, int]) -> None:
        async for reply in _answers(self._service, wire, stream=False):
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(reply, client)


class Streams:
    """The TCP side: requests of one connection are answered one after the other, in their order."""

    def __init__(self, service: Service, limits: Limits) -> None:
        """Begin without a socket; see `listen`."""
        self._service = service
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._closing = False

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._server = await asyncio.start_server(self._accept, sock=sock)

    async def close(self) -> None:
        """Stop accepting, cut the connections, and wait for what they were doing."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closing:
            # Accepted by the system before the socket closed, and only now made known.
            writer.transport.abort()
            return
        if len(self._connections) >= self._limits.connections_max:
            log.warning("connection.dropped", limit=self._limits.connections_max)
            writer.transport.abort()
            return
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()

        def rearm() -> asyncio.TimerHandle:
            return loop.call_later(self._limits.idle_seconds_max, writer.transport.abort)

        idle = rearm()
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                wire = await reader.readexactly(length)
                async with aclosing(_answers(self._service, wire, stream=True)) as replies:
                    async for reply in replies:
                        writer.write(len(reply).to_bytes(2) + reply)
                        await writer.drain()
                        idle.cancel()
                        idle = rearm()
        except (asyncio.IncompleteReadError, ConnectionError) as end:
            log.debug("connection.closed", fault=str(end))
        finally:
            idle.cancel()
            writer.close()
