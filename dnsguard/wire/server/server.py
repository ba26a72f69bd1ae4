"""The embedded authoritative server: started, found, and stopped here.

For first steps, tests and demos only: it listens on loopback addresses and nowhere else, has no secondaries,
no DNSSEC and no IXFR. What UPDATE changed survives a restart when a file is given.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.tsig
import structlog

from dnsguard.wire.server.draft import Change
from dnsguard.wire.server.listeners import Datagrams, Limits, Streams, open_sockets
from dnsguard.wire.server.service import Service
from dnsguard.wire.server.storage import Storage

log = structlog.get_logger(__name__)
INITIAL_TTL = 300


class UnknownKey(ValueError):
    """A zone names a key that was not given."""


def initial_contents(origin: dns.name.Name) -> tuple[Change, ...]:
    """What a new zone holds: SOA with serial 1, one NS, and that server's address."""
    server, mailbox = (dns.name.from_text(label, origin) for label in ("ns1", "hostmaster"))
    records = (
        (origin, dns.rdatatype.SOA, f"{server} {mailbox} 1 3600 600 604800 60"),
        (origin, dns.rdatatype.NS, f"{server}"),
        (server, dns.rdatatype.A, "127.0.0.1"),
    )
    return tuple(
        Change(
            name,
            rdtype,
            dns.rdatatype.NONE,
            dns.rdataset.from_text(dns.rdataclass.IN, rdtype, INITIAL_TTL, text),
        )
        for name, rdtype, text in records
    )


class EmbeddedServer:
    """A running server."""

    def __init__(self, address: tuple[str, int], service: Service, streams: Streams, datagrams: Datagrams) -> None:
        """Hold what `start` made."""
        self._address = address
        self._service = service
        self._streams = streams
        self._datagrams = datagrams

    @classmethod
    async def start(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        zones: Mapping[dns.name.Name, Sequence[dns.name.Name]],
        keys: Mapping[dns.name.Name, dns.tsig.Key],
        path: Path | None = None,
        limits: Limits | None = None,
    ) -> "EmbeddedServer":
        """Serve zones over UDP and TCP on one port of a loopback address; port 0 picks a free one.

        `zones` maps each origin to the names of the keys that may update and transfer it. A zone that is
        not in the file yet is made with a SOA (serial 1), one NS and its address; without a file everything
        is in memory only.
        Raises NotLoopback, UnknownKey, StorageUnavailable, and OSError for a port that is taken.
        """
        for origin, names in zones.items():
            for name in names:
                if name not in keys:
                    raise UnknownKey(f"expected a key {name} for the zone {origin}, found none: add it to keys")
        limits = limits or Limits()
        udp, tcp = open_sockets(host, port)
        service: Service | None = None
        streams: Streams | None = None
        try:
            storage = await Storage.open(path) if path else None
            service = Service({origin: frozenset(names) for origin, names in zones.items()}, keys, storage)
            for origin in zones:
                await service.add_zone(origin, initial_contents(origin))
            streams = Streams(service, limits)
            await streams.listen(tcp)
            _, datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Datagrams(service, limits), sock=udp
            )
        except BaseException:
            if streams is not None:
                await streams.close()
            if service is not None:
                await service.close()
            udp.close()
            tcp.close()
            raise
        address = (host, tcp.getsockname()[1])
        log.info("server.started", host=host, port=address[1], zones=len(zones))
        return cls(address, service, streams, datagrams)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, both UDP and TCP."""
        return self._address

    async def stop(self) -> None:
        """Close the sockets and every connection, finish updates under way, and close the file."""
        await self._streams.close()
        await self._datagrams.close()
        await self._service.close()
        log.info("server.stopped", port=self._address[1])
