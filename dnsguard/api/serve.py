"""The door itself: a listening socket in front of the application, with bounds that no client can stretch.
It opens and closes; what a request means is decided elsewhere.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from dnsguard.api.app import reconfigure
from dnsguard.api.connections import Connection, Crowd
from dnsguard.api.limits import Limits
from dnsguard.api.room import ROOM, Room

_BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted."""
_ACCEPTED_AT_ONCE_MAX = 16
"""Connections accepted in one turn of the event loop: a burst of them leaves turns for requests that have arrived."""
_STOP_S = 0.3
"""How long answers under way may take once the door closes; waits for publication end at once."""


@dataclass(frozen=True, slots=True)
class Served:
    """An open door."""

    address: tuple[str, int]
    runner: web.AppRunner
    servers: tuple[asyncio.Server, ...]
    crowd: Crowd
    sweeping: asyncio.Task[None]

    async def stop(self) -> None:
        """Close the door in less than a second: waits are answered early, all else is cut off."""
        for server in self.servers:
            server.close()
        self.sweeping.cancel()
        await asyncio.gather(self.sweeping, return_exceptions=True)
        await self.runner.cleanup()
        self.crowd.close_all()


async def serve(
    app: web.Application, host: str, port: int, limits: Limits, local: socket.socket | None = None
) -> Served:
    """Serve an application on TCP, port 0 picks one, and on a local socket that listens already.

    Raises OSError as it is if the address is not free; the local socket is closed then.
    """
    reconfigure(app, limits=limits)
    room = app[ROOM]
    runner = web.AppRunner(app, shutdown_timeout=_STOP_S)
    await runner.setup()
    crowd = Crowd(lambda: room.limits)

    def connect() -> Connection:
        if runner.server is None:
            raise ConnectionAbortedError("the door is closed")
        return Connection(runner.server, crowd, lambda: room.limits)

    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    try:
        if local is not None:
            servers.append(await loop.create_unix_server(connect, sock=local, backlog=_ACCEPTED_AT_ONCE_MAX))
        servers.append(await loop.create_server(connect, host, port, backlog=_ACCEPTED_AT_ONCE_MAX))
        _lengthen_backlog(servers)
    except BaseException:
        for server in servers:
            server.close()
        await runner.cleanup()
        raise
    found = servers[-1].sockets[0].getsockname()
    return Served((found[0], found[1]), runner, tuple(servers), crowd, asyncio.create_task(_sweep(crowd, room)))


def _lengthen_backlog(servers: Sequence[asyncio.Server]) -> None:
    """Let the kernel keep more connections than asyncio accepts in one turn; asyncio has one number for both."""
    for server in servers:
        for listening in server.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(_BACKLOG)


async def _sweep(crowd: Crowd, room: Room) -> None:
    loop = asyncio.get_running_loop()
    while True:
        limits = room.limits
        await asyncio.sleep(min(1.0, limits.head_s_max / 4, limits.idle_s_max / 4))
        crowd.sweep(loop.time())
