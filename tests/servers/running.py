"""What the real name servers in the tests have in common: where they run, what they serve, how they live and die.

A zone's file begins with what the embedded server makes; what a server wrote stays across its restarts.
"""

import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import dns.name
import dns.tsig

from dnsguard.wire.server import initial_contents
from tests.servers.process import PortTaken, Process, free_port

Address = tuple[str, int]
Zones = Mapping[dns.name.Name, Sequence[dns.name.Name]]
"""Origins, and the names of the keys that may update and transfer; the first is the one secondaries use."""
Keys = Mapping[dns.name.Name, dns.tsig.Key]

_PORT_TRIES = 5
_Server = TypeVar("_Server", bound="Running")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs. Port 0 means any that is free; ``prefix`` goes before its command line.

    BIND listens only on addresses that an interface has: on loopback, 127.0.0.1 alone.
    For a network namespace: ``Place("10.9.0.2", 53, ("ip", "netns", "exec", "one"))``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None


HERE = Place()


class Running:
    """A running name server; also an async context manager that stops it."""

    TRANSFERRED = ""
    """The line of the log about a zone and its serial that came from the primary, as a pattern."""

    def __init__(self, folder: Path, place: Place, ports: Sequence[int], launch: Callable[[], Process]) -> None:
        self.folder = folder
        self.place = place
        self._ports = tuple(ports)
        self._launch = launch
        self._process = launch()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        """Where it listens, both UDP and TCP."""
        return self.place.host, self._ports[0]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_lines(self) -> list[str]:
        """The last lines of its log."""
        return list(self._process.lines)

    async def started(self) -> None:
        """Wait until it serves."""
        await self._process.started()

    async def logged(self, pattern: str) -> str:
        """Wait for a line of its log, since its start, in which a pattern is found."""
        return await self._process.logged(pattern)

    async def transferred(self, origin: dns.name.Name, serial: int | None = None) -> None:
        """Wait until it took a zone over from its primary, with this serial or any."""
        await self.logged(
            self.TRANSFERRED.format(
                zone=re.escape(origin.to_text(omit_final_dot=True)), serial="[0-9]+" if serial is None else serial
            )
        )

    async def stop(self) -> None:
        """End it in order."""
        await self._process.stop()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self._process.stop(signal.SIGKILL)

    async def restart(self) -> None:
        """Start it again on the same ports, with its zones and journals as they are."""
        await self._process.stop()
        self._process = self._launch()
        await self._process.started()


async def on_free_ports(
    place: Place, count: int, build: Callable[[list[int]], _Server], awaited: Iterable[dns.name.Name] = ()
) -> _Server:
    """Build a server with so many ports and wait until it serves; with other ports when one was taken meanwhile.

    Zones that are ``awaited`` come from a primary. A server that does not come up is stopped.
    """
    for tries_left in reversed(range(_PORT_TRIES)):
        ports = [free_port() for _ in range(count)]
        if place.port:
            ports[0] = place.port
        server = build(ports)
        try:
            await server.started()
        except PortTaken:
            if not tries_left:
                raise
            continue
        try:
            for origin in awaited:
                await server.transferred(origin)
        except BaseException:
            await server.stop()
            raise
        return server
    raise AssertionError("unreachable: the last try returns or raises")


def zone_text(origin: dns.name.Name) -> str:
    """A zone's initial contents as a master file."""
    rrsets = ((rrset.name, rrset.rdataset) for rrset in initial_contents(origin))
    return "".join(f"{rdataset.to_text(name)}\n" for name, rdataset in rrsets if rdataset is not None)


def zone_file(origin: dns.name.Name) -> str:
    """The name of a zone's file."""
    return f"{origin.to_text(omit_final_dot=True).replace('/', '_')}.zone"


def write_zones(folder: Path, origins: Iterable[dns.name.Name]) -> None:
    """Make a folder, and in it the files of zones that have none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for origin in origins:
        path = folder / zone_file(origin)
        if not path.exists():
            path.write_text(zone_text(origin))
