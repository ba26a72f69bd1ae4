"""A whole house behind the door, without a daemon: the real store on SQLite, the real workers, and the embedded
name server. The enactor runs when it is woken, unless a test holds it back.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import dns.name
import dns.tsig
from prometheus_client import CollectorRegistry, Gauge

from dnsguard.api.app import make_app
from dnsguard.api.desk import WaitFor
from dnsguard.api.limits import Limits
from dnsguard.api.serve import Served, serve
from dnsguard.api.tokens import Token, Tokens, make_tokens
from dnsguard.core import propagation
from dnsguard.core.comparison import Verification
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import UNSETTLED, Entry
from dnsguard.core.message import Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.verification_state import VerificationState
from dnsguard.core.written import Seen
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.wire.server.server import EmbeddedServer
from dnsguard.workers.adoption import Adopted, Adoption, Wish
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.resync import Keep, resync
from dnsguard.workers.step import Then
from dnsguard.workers.verifier import Postponed, Verifier

ZONE = "example.test."
OTHER_ZONE = "other.test."
PLANS = "/v1/zones/example.test/plans"
SECRET = b"a key made for a test and nothing else"
T0 = 1_800_000_000.0
VERIFIER_INTERVAL_S = 1_000.0

ADMIN, WRITER, READER, OTHERS = "admin-token", "writer-token", "reader-token", "others-token"


def _token(name: str, secret: str, access: Any, zones: frozenset[str] | None = None) -> Token:
    return Token(name, hashlib.sha256(secret.encode()).hexdigest(), access, zones)


TOKENS = make_tokens(
    (
        _token("ada", ADMIN, "admin"),
        _token("will", WRITER, "write"),
        _token("rita", READER, "read"),
        _token("olaf", OTHERS, "write", frozenset({OTHER_ZONE})),
    )
)


class StillClock:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> float:
        self.at += 1
        return self.at

    def hex_digits(self, count: int) -> str:
        return "5" * count

    async def sleep(self, seconds: float) -> None:
        assert seconds == 0


@dataclass
class House:
    """A `Desk` around one store and one primary."""

    store: SqlStore
    publisher: DnsPublisher
    server: EmbeddedServer
    policy: Policy = field(default_factory=Policy)
    clock: StillClock = field(default_factory=StillClock)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    mode: str = "guarded"
    held: bool = False
    """Whether the enactor is kept from running."""
    trouble: dict[str, str] = field(default_factory=dict)
    verifiers: dict[str, Verifier] = field(default_factory=dict)
    fault: Exception | None = None
    """What is raised by whoever asks for the time."""
    woken: list[str] = field(default_factory=list)
    running: list[asyncio.Task[None]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    served: dict[str, tuple[propagation.Served, ...]] = field(default_factory=dict)
    """How name servers stand, by zone."""
    waits: int = 0
    looks: int = 0

    @property
    def histories(self) -> SqlStore:
        return self.store

    def now(self) -> float:
        if self.fault is not None:
            raise self.fault
        return self.clock.now()

    def is_alive(self, daemon: str) -> bool:
        return bool(daemon)

    def planner(self, zone: str) -> Planner | None:
        if zone not in {ZONE, OTHER_ZONE}:
            return None
        return Planner(self.store, self.publisher, GUARDED, self.policy, lambda: self.verifier(zone).last)

    def stands_in_the_way(self, zone: str) -> str | None:
        return self.trouble.get(f"zone {zone}")

    def wake(self, zone: str) -> None:
        self.woken.append(zone)
        if not self.held:
            self.running.append(asyncio.create_task(self.enact(zone)))

    async def enact(self, zone: str = ZONE) -> None:
        enactor = Enactor(zone, self.store, self.publisher, self.clock, GUARDED, self.policy)
        for _ in range(20):
            if (await enactor.run_once()).then is not Then.AT_ONCE:
                break
        self.news.set()
        self.news = asyncio.Event()

    def followed(self, zone: str) -> tuple[propagation.Served, ...]:
        return self.served.get(zone, ())

    async def settled(self, zone: str, generation: int, timeout_s: float, wait_for: WaitFor = "published") -> Entry:
        end = asyncio.get_running_loop().time() + timeout_s
        self.waits += 1
        try:
            while True:
                news = self.news
                entry, _ = await self.store.plan(zone, generation)
                left = end - asyncio.get_running_loop().time()
                waits_on = wait_for == "propagated" and self.followed(zone) and entry.propagated_at is None
                waits_on = waits_on or entry.state in UNSETTLED
                if not waits_on or left <= 0:
                    return entry
                try:
                    await asyncio.wait_for(news.wait(), left)
                except TimeoutError:
                    continue
        finally:
            self.waits -= 1

    async def observe(self, zone: str) -> Seen | Unreachable:
        return await self.publisher.observe(zone)

    async def withdraw(self, zone: str, generation: int, why: str, actor: str) -> Refusal | None:
        refusal = await self.store.withdraw(zone, generation, why, actor, self.now())
        self.wake(zone)
        return refusal

    async def resync(self, zone: str, keep: Keep, actor: str, reason: str) -> int:
        return await resync(
            zone,
            keep,
            actor,
            reason,
            store=self.store,
            publisher=self.publisher,
            clock=self.clock,
            guards=GUARDED,
        )

    def verifier(self, zone: str) -> Verifier:
        if zone not in self.verifiers:
            clock = self.clock
            self.verifiers[zone] = Verifier(zone, self.store, self.publisher, clock, GUARDED, self.policy)
        return self.verifiers[zone]

    async def verify(self, zone: str) -> Verification | Unreachable | Postponed:
        return await self.verifier(zone).look()

    def verification_state(self, zone: str) -> VerificationState | None:
        verifier = self.verifier(zone)
        return VerificationState(T0, VERIFIER_INTERVAL_S, verifier.attempted_at, verifier.last, verifier.failure)

    def suspended(self, zone: str) -> tuple[Key, ...]:
        return self.verifier(zone).suspended

    async def adopt(self, wish: Wish, actor: str, *, dry_run: bool) -> Adopted:
        adoption = Adoption(self.store, self.publisher, self.clock, GUARDED, self.policy)
        adopted = await adoption.adopt(wish, actor, dry_run=dry_run)
        self.wake(wish.zone)
        return adopted

    async def missing(self) -> Mapping[str, str]:
        self.looks += 1
        return dict(self.trouble)


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    """Open everything behind the door."""
    name = dns.name.from_text("key.test.")
    key = dns.tsig.Key(name, SECRET, dns.tsig.HMAC_SHA256)
    zones = {dns.name.from_text(zone): [name] for zone in (ZONE, OTHER_ZONE)}
    server = await EmbeddedServer.start(zones=zones, keys={name: key})
    clock = StillClock()
    publisher = DnsPublisher(Primary(*server.address, "key.test.", "hmac-sha256", SECRET), _wall)
    engine = make_engine(f"sqlite:///{folder / 'history.db'}")
    await migrate(engine)
    store = SqlStore(engine)
    for index, zone in enumerate((ZONE, OTHER_ZONE)):
        await store.ensure_zone(zone, f"{index:016x}")
    house = House(store, publisher, server, clock=clock)
    Gauge("dnsguard_test", "A number for the test.", registry=house.registry).set(42)
    try:
        yield house
    finally:
        for task in house.running:
            task.cancel()
        await asyncio.gather(*house.running, return_exceptions=True)
        await publisher.close()
        await store.close()
        await server.stop()


def _wall() -> float:
    import time

    return time.time()


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def guard(self) -> Any:
        return self.body.get("guard")


@dataclass
class Door:
    """An open door with somebody in front of it."""

    house: House
    served: Served
    app: aiohttp.web.Application
    session: aiohttp.ClientSession
    stopped: bool = False

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.served.address)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = WRITER,
        body: Any = None,
        raw: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        if raw is not None or body is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if isinstance(data, bytes) and len(data) > 2**20:
            data = BytesIO(data)
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            text = await response.read()
            is_json = response.content_type.endswith("json")
            return Reply(response.status, response.headers, json.loads(text) if is_json and text else text.decode())

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.ask("GET", path, **more)

    async def submit(self, body: Any, *, if_match: str | None = "*", query: str = "", **more: Any) -> Reply:
        headers = dict(more.pop("headers", {}))
        if if_match is not None:
            headers["If-Match"] = if_match
        return await self.ask("POST", PLANS + query, body=body, headers=headers, **more)

    async def newest(self) -> int:
        return (await self.house.store.zone(ZONE)).newest

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self.served.stop()


@asynccontextmanager
async def open_door(house: House, limits: Limits | None = None, tokens: Tokens = TOKENS) -> AsyncIterator[Door]:
    """Open the door of a house on a free port of loopback."""
    app = make_app(house, tokens, limits or Limits())
    served = await serve(app, "127.0.0.1", 0, limits or Limits())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        door = Door(house, served, app, session)
        try:
            yield door
        finally:
            await door.stop()


def rrset(name: str = "www", *records: str, rdtype: str = "A", ttl: int = 300) -> dict[str, Any]:
    """One RRset of a plan's body."""
    return {"name": name, "type": rdtype, "ttl": ttl, "records": list(records or ("192.0.2.1",))}


def plan(*rrsets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan's body."""
    return {"rrsets": list(rrsets or (rrset(),))} | more


def clear(reply: Reply, status: int) -> None:
    """Check that an answer is a problem for people, and not a traceback."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.body["status"] == status
    assert reply.body["type"].startswith("/problems/")
    assert reply.body["title"]
    assert reply.body["detail"]
    assert "Traceback" not in reply.body["detail"]


async def nothing_stored(door: Door) -> None:
    """Check that a request left no trace."""
    assert await door.newest() == 0
    assert door.house.woken == []
