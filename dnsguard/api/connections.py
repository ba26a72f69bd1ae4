"""Connections of the HTTP API: which are idle, which are being answered, and which must go when there are too many.
An idle connection may be closed. A request that is being worked on never is; one that only waits, for a publication
or for its client, is ended early. The identity that has the most idle and waiting connections makes room, so one that
opens many takes no place from others. Connections without a request yet count as those of one identity.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web_protocol import RequestHandler

from dnsguard.api import loggable
from dnsguard.api.limits import Limits
from dnsguard.api.problems import INTERNAL, MALFORMED, Kind, ProblemRaised

LINGER_S = 2.0
"""How long the rest of an unwanted body is read and dropped, so that the client sees the answer."""

log = structlog.get_logger()


class Crowd:
    """All connections of one door. Those that wait are kept in the order in which they began to."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._idle: dict[str | None, dict[Connection, float]] = {}
        """By identity, the longest idle first; those that have sent no request yet under None."""
        self._idle_count = 0
        self._waiting_reserved: dict[Connection, float] = {}
        self._answered: set[Connection] = set()
        self._parked: dict[str, dict[Connection, Callable[[], None]]] = {}
        """Those being answered that wait for something else: by identity, the longest wait first, with what ends it."""
        self._ending: dict[Connection, None] = {}
        """Those of which the wait was ended, and that close once they are answered."""

    def __len__(self) -> int:
        return self._idle_count + len(self._waiting_reserved) + len(self._answered)

    @property
    def answered(self) -> int:
        """How many connections are being answered now."""
        return len(self._answered)

    def came(self, connection: "Connection", now: float) -> None:
        """Take a connection in. If there are too many, an idle one is closed, or the wait of a busy one is ended.

        Where all are in work, the new one is reserved for health and metrics.
        """
        limits = self._limits()
        if len(self) - len(self._ending) >= limits.connections_max:
            if self._idle or self._parked:
                self._make_room(limits.connections_reserved // 2)
            else:
                connection.reserved = connection.closes = True
                if len(self) >= limits.connections_max + limits.connections_reserved:
                    self._close(next(iter(self._waiting_reserved), connection), "crowded")
        if connection.transport is not None:
            self.waits(connection, now)

    def park(self, connection: "Connection", identity: str, end: Callable[[], None]) -> None:
        """Note that the request of a connection waits for something else, and how to end that."""
        self._parked.setdefault(identity, {})[connection] = end

    def unpark(self, connection: "Connection", identity: str) -> None:
        """Note that it waits no more."""
        if (parked := self._parked.get(identity)) is not None:
            parked.pop(connection, None)
            if not parked:
                del self._parked[identity]

    def _make_room(self, ending_max: int) -> None:
        """Take a place from the identity that could give up the most: its longest idle connection, or longest wait."""
        identity = max((*self._idle, *self._parked), key=self._spare)
        if (idle := self._idle.get(identity)) is not None:
            self._close(next(iter(idle)), "crowded")
        elif identity is not None:
            self._end_a_wait(identity, ending_max)

    def _spare(self, identity: str | None) -> int:
        parked = 0 if identity is None else len(self._parked.get(identity, ()))
        return len(self._idle.get(identity, ())) + parked

    def _end_a_wait(self, identity: str, ending_max: int) -> None:
        """End the longest wait of an identity: it gets its answer now, and its connection closes.

        A client that does not read its answer does not keep its place either: only so many may be about to close.
        """
        connection, end = next(iter(self._parked[identity].items()))
        self.unpark(connection, identity)
        connection.closes = True
        self._ending[connection] = None
        end()
        if len(self._ending) > ending_max:
            self._close(next(iter(self._ending)), "crowded")

    def waits(self, connection: "Connection", now: float) -> None:
        """Note that a connection waits for its next request."""
        self._answered.discard(connection)
        if connection.transport is None:
            return
        if connection.reserved:
            self._waiting_reserved[connection] = now
        else:
            self._leave_idle(connection)
            self._idle.setdefault(connection.identity, {})[connection] = now
            self._idle_count += 1

    def _leave_idle(self, connection: "Connection") -> None:
        idle = self._idle.get(connection.identity)
        if idle is not None and idle.pop(connection, None) is not None:
            self._idle_count -= 1
            if not idle:
                del self._idle[connection.identity]

    def begins(self, connection: "Connection") -> None:
        """Note that a request of a connection is being answered."""
        self._leave_idle(connection)
        self._waiting_reserved.pop(connection, None)
        self._answered.add(connection)

    def went(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._leave_idle(connection)
        self._waiting_reserved.pop(connection, None)
        self._answered.discard(connection)
        self._ending.pop(connection, None)

    def _all_idle(self) -> Iterator[tuple["Connection", float]]:
        return chain.from_iterable(idle.items() for idle in self._idle.values())

    def sweep(self, now: float) -> None:
        """Close connections that have been silent, or whose request's head has been on its way, for too long."""
        limits = self._limits()
        for connection, since in [*self._all_idle(), *self._waiting_reserved.items()]:
            if connection.head_since is not None and now - connection.head_since > limits.head_s_max:
                self._close(connection, "head too slow")
            elif now - since > limits.idle_s_max:
                self._close(connection, "idle")

    def close_all(self) -> None:
        """Close every connection at once, whatever is still to be sent."""
        for connection in [*dict(self._all_idle()), *self._waiting_reserved, *self._answered]:
            self._close(connection, "stopping")

    def _close(self, connection: "Connection", why: str) -> None:
        log.debug("connection.closed", why=why)
        self.went(connection)
        if connection.transport is not None:
            connection.transport.abort()


class Connection(RequestHandler):
    """aiohttp's connection, which tells the crowd what it is about and is never left to a client's pace."""

    __slots__ = ("_crowd", "_limits", "_lost", "_octets", "closes", "head_since", "identity", "reserved")

    def __init__(self, manager: web.Server, crowd: Crowd, limits: Callable[[], Limits]) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log_class=_NoAccessLog,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._crowd = crowd
        self._limits = limits
        self._lost: asyncio.Future[None] | None = None
        self._octets = 0
        """Octets received since the newest answer."""
        self.head_since: float | None = None
        """When the first octets of a request's head came, or the connection itself; None while there is none."""
        self.reserved = False
        """Whether this connection was let in beyond the limit, for health and metrics only."""
        self.identity: str | None = None
        """The name of the token of the newest request, empty if it had none; None before the first request. It changes
        only while a request is answered.
        """
        self.closes = False
        """Whether it closes once the request in work is answered."""

    @property
    def lost(self) -> asyncio.Future[None]:
        """A future that is done once the client is gone."""
        if self._lost is None:
            self._lost = self._loop.create_future()
            if self.transport is None:
                self._lost.set_result(None)
        return self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in."""
        super().connection_made(transport)
        self.head_since = self._loop.time()
        self._crowd.came(self, self.head_since)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Go."""
        self._crowd.went(self)
        super().connection_lost(exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take octets in; the first ones after an answer begin a request's head."""
        if self.head_since is None and data:
            self.head_since = self._loop.time()
        self._octets += len(data)
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001  asyncio would log it with its message, which may quote the request
            log.error("connection.failed", frames=loggable.frames(error), remote=self._remote)  # noqa: TRY400
            self._abort()

    @contextmanager
    def parked(self, end: Callable[[], None]) -> Iterator[None]:
        """Let the request in work be ended while it waits for something else, if connections run short."""
        identity = self.identity or ""
        self._crowd.park(self, identity, end)
        try:
            yield
        finally:
            self._crowd.unpark(self, identity)

    def begins(self) -> None:
        """Note that a request's head has arrived and is being answered."""
        self._crowd.begins(self)
        self.identity = self.identity or ""

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, but not for longer than the deadline: a client that does not read is left."""
        try:
            async with asyncio.timeout(self._limits().deadline_s):
                with self.parked(self._abort):
                    return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.info("request.abandoned", why="the client does not read the answer")
            self._abort()
            return resp, True
        finally:
            self.head_since = None
            self._octets = 0
            self._crowd.waits(self, self._loop.time())

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    @property
    def _remote(self) -> str:
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else "local socket"

    def log_exception(self, *_args: object, **kwargs: object) -> None:
        """Log that aiohttp's own code failed; its message is left out, since it may quote the request."""
        error = kwargs.get("exc_info")
        where = loggable.frames(error) if isinstance(error, BaseException) else None
        log.error("connection.failed", frames=where, remote=self._remote)

    def log_debug(self, *_args: object, **_kwargs: object) -> None:
        """Log nothing."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it quotes the request
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or broke outside the application, with a problem and without a traceback."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status == MALFORMED.status:
            found = loggable.malformation(exc)
            log.info("request.malformed", found=found, octets=self._octets, remote=self._remote)
            return _closing(MALFORMED, f"the request is not valid HTTP/1.1: found {found}")
        log.error("request.failed", frames=None if exc is None else loggable.frames(exc), remote=self._remote)
        return _closing(INTERNAL, "something broke in the daemon; its log says what")


def _closing(kind: Kind, detail: str) -> web.Response:
    return ProblemRaised(kind, detail, close=True).response()


class _NoAccessLog(AbstractAccessLogger):
    """aiohttp's access log is off; the gate writes ours."""

    @property
    def enabled(self) -> bool:
        return False

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write nothing."""
