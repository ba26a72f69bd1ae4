"""A commit of which nobody knows how it ended: the connection to PostgreSQL breaks when it was sent, and stays away.
Clients are told what is known and what to do, and what they are told to do settles it.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import dns.name
import dns.tsig
import pytest

from dnsguard.api.app import make_app
from dnsguard.api.limits import Limits
from dnsguard.api.serve import serve
from dnsguard.api.tokens import Token, make_tokens
from dnsguard.daemon.config import Settings, ZoneSection
from dnsguard.daemon.desk import DaemonDesk
from dnsguard.store import sql
from dnsguard.store.engine import make_engine
from dnsguard.store.sql import SqlStore
from dnsguard.wire.primary import Primary
from dnsguard.wire.server.server import EmbeddedServer
from tests.cli.rig import clean_environment
from tests.servers.postgresql import Postgresql
from tests.store.wire_proxy import Cut, WireProxy

ZONE = "example.test."
TOKEN = "a-token-made-for-a-test"
KEY = dns.tsig.Key("one.", b"a secret of one")
MARK = "cut when this is committed"
WAIT_S_MAX = 30


@dataclass
class Rig:
    """A daemon in this process, behind a proxy before its database."""

    url: str
    proxy: WireProxy
    session: aiohttp.ClientSession
    server: EmbeddedServer

    async def submit(self, address: str, **headers: str) -> tuple[int, dict[str, Any]]:
        body = {"rrsets": [{"name": "www", "type": "A", "ttl": 60, "records": [address]}], "reason": MARK}
        async with self.session.post(
            f"{self.url}/v1/zones/{ZONE}/plans", json=body, headers={"If-Match": "*"} | headers
        ) as response:
            return response.status, await response.json(content_type=None)

    async def reasons(self) -> list[str]:
        """Read the plans as soon as the database answers."""
        self.proxy.open()
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                async with self.session.get(f"{self.url}/v1/zones/{ZONE}/plans") as response:
                    if response.status == 200:
                        return [plan["reason"] for plan in (await response.json())["plans"]]

    async def cli(self, *args: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "dnsguard", *args],
            capture_output=True,
            text=True,
            timeout=WAIT_S_MAX,
            check=False,
            env=clean_environment({"DNSGUARD_URL": self.url, "DNSGUARD_TOKEN": TOKEN}),
        )


@pytest.fixture
async def rig(postgresql: Postgresql, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(sql, "UNCLEAR_TRIES_MAX", 3)
    async with AsyncExitStack() as stack:
        zone = dns.name.from_text(ZONE)
        server = await EmbeddedServer.start(zones={zone: (KEY.name,)}, keys={KEY.name: KEY})
        stack.push_async_callback(server.stop)
        proxy = await stack.enter_async_context(WireProxy(postgresql.address))
        store = SqlStore(make_engine(postgresql.url(postgresql_url.rpartition("/")[2], via=proxy.address)))
        stack.push_async_callback(store.close)
        desk = DaemonDesk(store)
        stack.push_async_callback(desk.close)
        primary = Primary(*server.address, "one.", "hmac-sha256", KEY.secret)
        await desk.apply(Settings(zones={ZONE: ZoneSection()}), {ZONE: primary}, {})
        tokens = make_tokens([Token("tests", hashlib.sha256(TOKEN.encode()).hexdigest(), "admin", None)])
        served = await serve(make_app(desk, tokens, Limits()), "127.0.0.1", 0, Limits())
        stack.push_async_callback(served.stop)
        session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})
        await stack.enter_async_context(session)
        host, port = served.address
        yield Rig(f"http://{host}:{port}", proxy, session, server)


@pytest.mark.parametrize("when", [Cut.BEFORE, Cut.AFTER])
async def test_without_a_key_a_client_is_told_to_look_before_it_asks_again(rig: Rig, when: Cut) -> None:
    rig.proxy.cut_at(MARK.encode(), when)
    status, problem = await rig.submit("192.0.2.1")
    assert (status, problem["type"], rig.proxy.cuts) == (503, "/problems/unclear", 1)
    assert problem["title"] == "Whether the change was accepted is not known"
    for said in ("found the connection gone", "could be done twice", "read the zone's newest plans"):
        assert said in problem["detail"]
    assert "Traceback" not in problem["detail"]
    assert await rig.reasons() == ([MARK] if when is Cut.AFTER else [])


@pytest.mark.parametrize("when", [Cut.BEFORE, Cut.AFTER])
async def test_with_a_key_the_same_request_settles_it_and_is_done_once(rig: Rig, when: Cut) -> None:
    rig.proxy.cut_at(MARK.encode(), when)
    status, problem = await rig.submit("192.0.2.1", **{"Idempotency-Key": "monday"})
    assert (status, problem["type"]) == (503, "/problems/unclear")
    assert "Idempotency-Key monday: it is then never done twice" in problem["detail"]
    await rig.reasons()
    status, accepted = await rig.submit("192.0.2.1", **{"Idempotency-Key": "monday"})
    assert (accepted["generation"], accepted["repeated"]) == (1, when is Cut.AFTER)
    assert await rig.reasons() == [MARK]


async def test_the_command_line_names_the_key_and_the_command_repeated_with_it_is_done_once(rig: Rig) -> None:
    rig.proxy.cut_at(MARK.encode(), Cut.AFTER)
    command = ["set", "www", "A", "60", "192.0.2.1", "--reason", MARK, "--zone", ZONE]
    done = await rig.cli(*command)
    assert done.returncode == 2
    assert "whether it was done is not known" in done.stderr
    assert "Traceback" not in done.stderr
    _, found, advice = done.stderr.partition("repeat it with '")
    assert found, done.stderr
    again = advice.partition("'")[0].split()
    assert again[0] == "--idempotency-key"
    await rig.reasons()
    done = await rig.cli(*command, *again, "--json")
    assert (done.returncode, json.loads(done.stdout)["repeated"]) == (0, True), done.stderr
    assert await rig.reasons() == [MARK]


async def test_what_was_accepted_stays_so_for_a_client_that_waits_while_the_database_goes(rig: Rig) -> None:
    await rig.server.stop()
    waiting = asyncio.create_task(rig.submit("192.0.2.1", Prefer=f"wait={WAIT_S_MAX}"))
    async with asyncio.timeout(WAIT_S_MAX):
        while await rig.reasons() != [MARK]:
            pass
    rig.proxy.cut(1, Cut.BEFORE, for_good=True)
    status, accepted = await waiting
    assert (status, accepted["generation"], accepted["state"]) == (202, 1, "accepted")
    assert rig.proxy.cuts == 1
