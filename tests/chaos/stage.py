"""The stage of a run: a primary with two secondaries, PostgreSQL, three daemons on it and a fourth on SQLite with a
small disk, each on a host of its own where an enclosure is allowed, else side by side on loopback. Everything is
ended by its own process id. Nothing here decides what goes wrong, or when.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.zone

from tests.campaigns.daemons import Daemon
from tests.chaos.enclosure import FOLDER, Enclosure, run
from tests.chaos.history import PRIMARY, Contents, contents_of
from tests.chaos.way import Way
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.postgresql import Postgresql
from tests.servers.running import HERE, Place, Running

ZONES = ("one.chaos.test.", "two.chaos.test.")
SMALL_ZONE = "small.chaos.test."
"""The zone of the daemon on SQLite."""
SECONDARIES = ("secondary1", "secondary2")
DAEMONS = 3
HANDOVERS = {SECONDARIES[1]: 1.0}
"""NSD starts new processes for a new zone before it ends the old ones: milliseconds, longer on a busy machine."""
KEPT = 400
"""Generations back to which a rollback is promised."""
CLOCKED = "daemon0"
"""The daemon whose clock can be moved. Under libfaketime threads wait for each other a hundred times as long, so
that it is no fair trial for the daemon on SQLite, and one of the others is enough."""
_KEY = dns.name.from_text("chaos.")
_MESSAGE_RRSETS_MAX = 10
_PRIMARY_TIMEOUT_S = 1.5
_FOLLOWER_TIMEOUT_S = 1.0
SMALL_DISK = "12M"
_FAKETIME = ("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1",)
Kind = Literal["bind", "knot"]


@dataclass(slots=True)
class Member:
    """A daemon with its way to the primary, its own clock, and the host where it is."""

    name: str
    daemon: Daemon
    way: Way
    clock: Path | None
    """Where its clock is set, None if it has the machine's."""
    place: Place
    folder: Path
    stopped: bool = False
    """Whether it was sent SIGSTOP."""

    def signal(self, which: signal.Signals) -> None:
        """Send a signal to its process, if it has one."""
        if (pid := self.daemon.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)


@dataclass(slots=True)
class Stage:
    """All that runs."""

    servers: dict[str, Running]
    database: Postgresql
    members: list[Member]
    small: Member | None
    enclosure: Enclosure | None
    session: aiohttp.ClientSession
    token: str
    key: dns.tsig.Key
    disk: Path | None = None

    @property
    def zones(self) -> list[str]:
        """All zones."""
        return [*ZONES, *([SMALL_ZONE] if self.small is not None else [])]

    @property
    def everybody(self) -> list[Member]:
        """All daemons."""
        return [*self.members, *([self.small] if self.small is not None else [])]

    def doors(self, zone: str) -> list[str]:
        """Return where daemons answer for a zone at the moment."""
        members = self.members if zone in ZONES else self.everybody[DAEMONS:]
        return [member.daemon.url for member in members if member.daemon.url is not None]

    @property
    def refused(self) -> int:
        """How many fenced writes the primary refused, as seen on the ways to it."""
        return sum(member.way.refused for member in self.everybody)

    async def transfer(self, server: str, zone: str) -> dict[str, Contents]:
        """Read a whole zone by AXFR, without SOA and fence. Raises TransferFailed."""
        origin = dns.name.from_text(zone)
        query = dns.message.make_query(origin, "AXFR")
        query.use_tsig(self.key)
        found = dns.zone.Zone(origin, relativize=False)
        host, port = self.servers[server].address
        try:
            await dns.asyncquery.inbound_xfr(host, found, query, port=port, timeout=5)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise TransferFailed(f"{server} does not transfer {zone}: {error}") from error
        contents: dict[str, Contents] = {
            f"{owner.to_text()} {dns.rdatatype.to_text(rdataset.rdtype)}": contents_of(
                rdataset.ttl, [rdata.to_text() for rdata in rdataset]
            )
            for owner, rdataset in found.iterate_rdatasets()
        }
        for key in (f"{zone} SOA", f"_dnsguard.{zone} TXT"):
            contents.pop(key, None)
        return contents


class TransferFailed(Exception):
    """A zone could not be transferred; the message says why."""


def libfaketime() -> str | None:
    """Return the library that moves a process's clock, None on a machine without it."""
    for pattern in _FAKETIME:
        path = Path(pattern.format(os.uname().machine))
        if path.exists():
            return str(path)
    return None


@asynccontextmanager
async def stage(folder: Path, primary: Kind, *, enclosed: bool, unguarded: bool) -> AsyncIterator[Stage]:
    """Set it all up in a folder, daemons not yet started; end all of it afterwards.

    An enclosure has a folder of its own, in which nothing outlives it.
    """
    async with AsyncExitStack() as stack:
        enclosure = None
        if enclosed:
            enclosure, folder = Enclosure(), FOLDER
            await enclosure.open()
        places = {
            name: HERE if enclosure is None else await enclosure.host(name)
            for name in (PRIMARY, *SECONDARIES, "database", *(f"daemon{index}" for index in range(DAEMONS)), "small")
        }
        zones = [*ZONES, SMALL_ZONE] if enclosed else list(ZONES)
        token, key = secrets.token_urlsafe(24), dns.tsig.Key(_KEY, secrets.token_bytes(32), dns.tsig.HMAC_SHA256)
        servers = await _servers(stack, folder, primary, places, zones, key)
        at = places["database"]
        database = await stack.enter_async_context(
            await Postgresql.start(
                folder / "postgresql",
                host=at.host,
                port=5432 if enclosed else None,
                prefix=at.prefix,
            )
        )
        url = database.url(await database.database())
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=5))
        )
        made = Stage(servers, database, [], None, enclosure, session, token, key)

        async def member(name: str, address: str, served: tuple[str, ...]) -> Member:
            home = folder / name
            home.mkdir()
            way = await stack.enter_async_context(Way(places[name], servers[PRIMARY].address))
            clock = home / "clock" if name == CLOCKED and libfaketime() is not None else None
            if clock is not None:
                clock.write_text("+0\n")
            configuration = home / "dnsguard.toml"
            # An unguarded daemon asks nobody beyond loopback.
            followers = {} if unguarded else {server: servers[server].address for server in SECONDARIES}
            configuration.write_text(
                _configuration(home, address, token, key, places[name], way.address, followers, served)
            )
            daemon = Daemon(
                home,
                configuration,
                session,
                token,
                prefix=places[name].prefix,
                arguments=("--unguarded",) if unguarded else (),
                environment=_environment(clock),
            )
            stack.push_async_callback(daemon.stop)
            return Member(name, daemon, way, clock, places[name], home)

        made.members = [await member(f"daemon{index}", url, ZONES) for index in range(DAEMONS)]
        if enclosed:
            made.disk = folder / "disk"
            made.disk.mkdir()
            await run("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(made.disk))
            made.small = await member("small", f"sqlite:///{made.disk / 'history.sqlite'}", (SMALL_ZONE,))
        yield made
        for each in made.everybody:
            each.signal(signal.SIGCONT)


async def _servers(
    stack: AsyncExitStack,
    folder: Path,
    primary: Kind,
    places: Mapping[str, Place],
    zones: list[str],
    key: dns.tsig.Key,
) -> dict[str, Running]:
    keys, served = {key.name: key}, {dns.name.from_text(zone): [key.name] for zone in zones}
    first: Bind | Knot
    if primary == "bind":
        first = await Bind.start(folder / PRIMARY, zones=served, keys=keys, place=places[PRIMARY])
    else:
        first = await Knot.start(folder / PRIMARY, zones=served, keys=keys, place=places[PRIMARY])
    stack.push_async_callback(first.stop)
    other = Knot if primary == "bind" else Bind
    second: Running = await other.start(
        folder / SECONDARIES[0], zones=served, keys=keys, primary=first.address, place=places[SECONDARIES[0]]
    )
    stack.push_async_callback(second.stop)
    third = await Nsd.start(
        folder / SECONDARIES[1], zones=served, keys=keys, primary=first.address, place=places[SECONDARIES[1]]
    )
    stack.push_async_callback(third.stop)
    await first.notify(second.address, third.address)
    return {PRIMARY: first, SECONDARIES[0]: second, SECONDARIES[1]: third}


def _environment(clock: Path | None) -> dict[str, str]:
    library = libfaketime()
    if clock is None or library is None:
        return {}
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _configuration(
    home: Path,
    database: str,
    token: str,
    key: dns.tsig.Key,
    place: Place,
    primary: tuple[str, int],
    followers: Mapping[str, tuple[str, int]],
    zones: tuple[str, ...],
) -> str:
    lines = [
        f'data_dir = "{home}"',
        f'database = "{database}"',
        f'[http]\nlisten = "{place.host}:0"',
        '[log]\nlevel = "info"\nformat = "json"',
        f'[policy]\nlayout = "inline"\nmessage_rrsets_max = {_MESSAGE_RRSETS_MAX}\nhistory_generations_min = {KEPT}',
        "[workers]\ncleanup_interval_s = 2.0",
        f'[tokens.chaos]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
        f'[keys."{key.name}"]\nsecret = "{base64.b64encode(key.secret).decode()}"',
        f'[primaries.main]\nhost = "{primary[0]}"\nport = {primary[1]}\nkey = "{key.name}"',
        f"timeout_s = {_PRIMARY_TIMEOUT_S}",
    ]
    lines += [
        f'[name_servers.{name}]\nhost = "{host}"\nport = {port}\ntimeout_s = {_FOLLOWER_TIMEOUT_S}'
        for name, (host, port) in followers.items()
    ]
    lines += [f'[zones."{zone}"]\nprimary = "main"\nname_servers = {json.dumps(list(followers))}' for zone in zones]
    return "\n".join(lines) + "\n"
