"""Primaries to publish to in tests: the same zone, keys and controls whatever the name server is."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

import dns.name
import dns.tsig

from dnsguard.core.fence import Fence, fence_rdata
from dnsguard.core.guards import GUARDED
from dnsguard.core.layout import INLINE
from dnsguard.core.message import Applied, Message, NamesRead
from dnsguard.core.plan import Before, Change, Wanted, fold
from dnsguard.core.publication import compose
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import Seen, Written
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.wire.server import EmbeddedServer
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.powerdns import PowerDns

ZONE = "example.test."
ORIGIN = dns.name.from_text(ZONE)
HISTORY = "0123456789abcdef"
SECRET = b"a secret of the tests, and of nobody else"
KEYS = {
    key.name: key
    for key in (
        dns.tsig.Key("updater.", SECRET, "hmac-sha256."),
        dns.tsig.Key("updater384.", SECRET, "hmac-sha384."),
        dns.tsig.Key("updater512.", SECRET, "hmac-sha512."),
        dns.tsig.Key("stranger.", SECRET, "hmac-sha256."),
    )
}
ZONES = {ORIGIN: [name for name in KEYS if name != dns.name.from_text("stranger.")]}

Connect = Callable[..., DnsPublisher]
"""Makes a publisher to the primary under test; keyword arguments replace fields of `Primary`, ``now`` the clock."""


OwnWay = Callable[[str], None]
"""Says that a server fulfils a claim in its own way, or not."""


class Server(Protocol):
    """A primary under test."""

    @property
    def address(self) -> tuple[str, int]: ...

    async def kill(self) -> None:
        """End it as abruptly as it can be ended."""

    async def restart(self) -> None:
        """Start it again where it was, with what it had acknowledged."""

    async def stop(self) -> None: ...


class Embedded:
    """The embedded server; being in this process, it cannot be killed, only stopped."""

    def __init__(self, server: EmbeddedServer, path: Path) -> None:
        self._server = server
        self._path = path

    @classmethod
    async def start(cls, folder: Path) -> "Embedded":
        path = folder.with_suffix(".db")
        return cls(await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path), path)

    @property
    def address(self) -> tuple[str, int]:
        return self._server.address

    async def kill(self) -> None:
        await self._server.stop()

    async def restart(self) -> None:
        host, port = self.address
        self._server = await EmbeddedServer.start(host=host, port=port, zones=ZONES, keys=KEYS, path=self._path)

    async def stop(self) -> None:
        await self._server.stop()


async def start_embedded(folder: Path) -> Server:
    return await Embedded.start(folder)


async def start_bind(folder: Path) -> Server:
    return await Bind.start(folder, zones=ZONES, keys=KEYS)


async def start_knot(folder: Path) -> Server:
    return await Knot.start(folder, zones=ZONES, keys=KEYS)


async def start_powerdns(folder: Path) -> Server:
    return await PowerDns.start(folder, zones=ZONES, keys=KEYS)


SERVERS = {"embedded": start_embedded, "bind": start_bind, "knot": start_knot, "powerdns": start_powerdns}


def make_publisher(
    address: tuple[str, int], *, now: Callable[[], float] = time.time, **changes: object
) -> DnsPublisher:
    fields: dict[str, object] = {
        "host": address[0],
        "port": address[1],
        "key_name": "updater.",
        "algorithm": "hmac-sha256",
        "secret": SECRET,
    }
    return DnsPublisher(Primary(**(fields | changes)), now)  # type: ignore[arg-type]  # the caller's keywords


def fence_at(generation: int, writer: int = 0) -> Fence:
    return Fence(HISTORY, generation, f"{writer:016x}")


def seen_at(fence: Fence | None) -> Seen:
    return Seen((), None) if fence is None else Seen((fence_rdata(fence),), fence)


def key(label: str, rdtype: str) -> Key:
    return Key(f"{label}.{ZONE}" if label else ZONE, rdtype)


def records(rdtype: str, *texts: str, ttl: int = 60) -> Records:
    return parse_records(rdtype, ttl, texts)


def changes(wanted: dict[Key, Wanted], before: Before = Before.GONE) -> tuple[Change, ...]:
    return fold(Change(key, contents, 1, before) for key, contents in wanted.items())


def guarded(
    seen: Seen,
    some: tuple[Change, ...],
    fence: Fence,
    wire: dict[Key, Records] | None = None,
) -> Message:
    read = frozenset(key.name for key in wire or {})
    return compose(INLINE.stages[0], Written(ZONE, seen, some, wire or {}, read), fence, GUARDED.write)


async def read(publisher: DnsPublisher, names: Collection[str], zone: str = ZONE) -> Mapping[Key, Records]:
    """Read names all of which can be read."""
    found = await publisher.read(zone, names)
    assert isinstance(found, NamesRead), found
    assert not found.unread
    return found.rrsets


async def publish(publisher: DnsPublisher, generation: int, wanted: dict[Key, Wanted]) -> Fence:
    """Publish over whatever stands, guarded."""
    seen = await publisher.observe(ZONE)
    assert isinstance(seen, Seen)
    fence = fence_at(generation)
    assert await publisher.publish(guarded(seen, changes(wanted), fence)) == Applied()
    return fence
