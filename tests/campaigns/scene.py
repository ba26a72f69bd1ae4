"""The scene of a campaign: a primary, one or two daemons on one history, a token, and the API's history at the end."""

import asyncio
import base64
import datetime as dt
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
import dns.asyncquery
import dns.message
import dns.name
import dns.rdatatype
import dns.tsig
import dns.zone

from dnsguard.core.fence import fence_key
from dnsguard.core.history import Entry, PlanState
from dnsguard.core.names import print_name
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records, make_records, parse_records
from tests.campaigns.daemons import Daemon
from tests.campaigns.load import Exchange, exchange
from tests.servers.bind import Bind
from tests.servers.postgresql import Postgresql

ZONE = "campaign.test."
KEY_NAME = "campaign."
MESSAGE_RRSETS_MAX = 10

Server = Literal["bind", "embedded"]
Store = Literal["sqlite", "postgresql"]


@dataclass(slots=True)
class Scene:
    """What runs, and how it is asked."""

    daemons: list[Daemon]
    token: str
    session: aiohttp.ClientSession
    bind: Bind | None
    secret: bytes
    postgresql: Postgresql | None = None

    def doors(self) -> list[str]:
        """Return where daemons answer at the moment."""
        return [daemon.url for daemon in self.daemons if daemon.url is not None]

    def address(self) -> tuple[str, int] | None:
        """Return where the name server answers at the moment."""
        return self.daemons[0].dns if self.bind is None else self.bind.address

    def refused(self) -> int:
        """Return how many fenced writes were refused, as far as the daemons' metrics were read."""
        return sum(daemon.refused for daemon in self.daemons)

    async def get(self, path: str) -> dict[str, Any]:
        """Read from the first daemon that is up."""
        found: Exchange = await exchange(
            self.session, "GET", self.doors()[0] + path, headers={"Authorization": f"Bearer {self.token}"}
        )
        if found.status != 200:
            raise RuntimeError(f"GET {path}: {found.status} {found.document}")
        return found.document

    async def history(self) -> tuple[tuple[Entry, ...], tuple[Change, ...]]:
        """Read every plan of the zone with all that it covers."""
        entries: list[Entry] = []
        path: str | None = f"/v1/zones/{ZONE}/plans?{urlencode({'limit': 500})}"
        while path is not None:
            page = await self.get(path)
            entries += [_entry(document) for document in page["plans"]]
            path = page["next"]
        slots = asyncio.Semaphore(4)

        async def read(entry: Entry) -> list[Change]:
            path: str | None = f"/v1/zones/{ZONE}/plans/{entry.generation}?limit=500"
            rrsets = []
            async with slots:
                while path is not None:
                    page = await self.get(path)
                    rrsets += page["rrsets"]
                    path = page["next"]
            return [Change(Key(rrset["name"], rrset["type"]), _wanted(rrset), entry.generation) for rrset in rrsets]

        stands = [entry for entry in entries if entry.state is not PlanState.REJECTED]
        changes = [change for some in await asyncio.gather(*map(read, stands)) for change in some]
        return tuple(entries), tuple(changes)

    async def transfer(self) -> Mapping[Key, Records]:
        """Read the whole zone from the name server by AXFR, without the SOA and the fence."""
        address = self.address()
        if address is None:
            raise RuntimeError("expected a name server that runs, found none")
        secret, name = self.secret, KEY_NAME
        if self.bind is None:
            secret = base64.b64decode((self.daemons[0].folder / "embedded.key").read_text())
            name = "dnsguard."
        origin = dns.name.from_text(ZONE)
        query = dns.message.make_query(origin, "AXFR")
        query.use_tsig(dns.tsig.Key(name, secret, dns.tsig.HMAC_SHA256))
        zone = dns.zone.Zone(origin, relativize=False)
        await dns.asyncquery.inbound_xfr(address[0], zone, query, port=address[1], timeout=10)
        found = {
            Key(print_name(owner), rdtype): make_records(
                rdtype, rdataset.ttl, (rdata.to_wire() or b"" for rdata in rdataset)
            )
            for owner, rdataset in zone.iterate_rdatasets()
            for rdtype in (dns.rdatatype.to_text(rdataset.rdtype),)
        }
        kept = {Key(ZONE, "SOA"), fence_key(ZONE)}
        return {key: records for key, records in found.items() if key not in kept}


@asynccontextmanager
async def scene(folder: Path, server: Server, daemons: int, store: Store = "sqlite") -> AsyncIterator[Scene]:
    """Start the name server and the database, and make the daemons ready to start; end all of it afterwards."""
    async with AsyncExitStack() as stack:
        token, secret = secrets.token_urlsafe(24), secrets.token_bytes(32)
        bind = None
        if server == "bind":
            key = dns.tsig.Key(KEY_NAME, secret, dns.tsig.HMAC_SHA256)
            zones = {dns.name.from_text(ZONE): [key.name]}
            bind = await stack.enter_async_context(await Bind.start(folder / "bind", zones=zones, keys={key.name: key}))
        postgresql, url = None, f"sqlite+aiosqlite:///{folder / 'history.sqlite'}"
        if store == "postgresql":
            postgresql = await stack.enter_async_context(await Postgresql.start())
            url = postgresql.url(await postgresql.database())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made: list[Daemon] = []
        for index in range(daemons):
            home = folder / f"daemon{index}"
            home.mkdir()
            configuration = home / "dnsguard.toml"
            configuration.write_text(_configuration(home, url, token, secret, bind))
            made.append(Daemon(home, configuration, session, token))
            stack.push_async_callback(made[-1].stop)
        yield Scene(made, token, session, bind, secret, postgresql)


def _configuration(home: Path, database: str, token: str, secret: bytes, bind: Bind | None) -> str:
    lines = [
        f'data_dir = "{home}"',
        f'database = "{database}"',
        '[http]\nlisten = "127.0.0.1:0"',
        '[dns]\nlisten = "127.0.0.1:0"',
        '[log]\nlevel = "warning"\nformat = "json"',
        f"[policy]\nmessage_rrsets_max = {MESSAGE_RRSETS_MAX}\nhistory_generations_min = 1000000",
        f'[tokens.campaign]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
    ]
    if bind is None:
        return "\n".join([*lines, f'[zones."{ZONE}"]\n'])
    host, port = bind.address
    lines += [
        f'[keys."{KEY_NAME}"]\nsecret = "{base64.b64encode(secret).decode()}"',
        f'[primaries.main]\nhost = "{host}"\nport = {port}\nkey = "{KEY_NAME}"',
        f'[zones."{ZONE}"]\nprimary = "main"\n',
    ]
    return "\n".join(lines)


def _entry(document: Mapping[str, Any]) -> Entry:
    return Entry(
        zone=document["zone"],
        generation=document["generation"],
        actor=document["actor"],
        reason=document["reason"],
        accepted_at=_seconds(document["accepted_at"]),
        based_on=document["based_on"],
        digest=document["digest"],
        state=PlanState(document["state"]),
        settled_at=None if document["settled_at"] is None else _seconds(document["settled_at"]),
        why=document["why"],
        rrsets=document["rrset_count"],
        reverts=document["reverts"],
    )


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _wanted(rrset: Mapping[str, Any]) -> Wanted:
    if rrset["absence"] is not None:
        return Absence(rrset["absence"])
    return parse_records(rrset["type"], rrset["ttl"], rrset["records"])
