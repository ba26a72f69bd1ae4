"""One identity does everything that it may, as fast as it can: what do the others notice?

    python -m tests.campaigns.noisy_neighbour [--zones 300] [--seconds 120] [--json]

A daemon serves many zones. Quiet clients of one token submit plans and wait for their publication, and ask whether the
daemon is ready; first alone, then beside a noisy one in a process of its own. The noisy one lists, compares, verifies,
submits small and large plans, waits for a zone whose primary is away, and sends bodies that never end. Exit code 0 if
the quiet ones' 99th percentiles stay below 3 times what they are alone, or below 50 ms, and nothing of theirs failed.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import random
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import dns.name
import dns.tsig
import pytest

from tests.campaigns.daemons import Daemon
from tests.campaigns.load import NoReply, exchange
from tests.campaigns.many_zones_account import share_of
from tests.campaigns.pacing import came
from tests.servers.bind import Bind
from tests.servers.process import NotStarted

RATIO_MAX = 3.0
FLOOR_MS = 50.0
"""Below this a percentile is good enough, whatever it is in quiet."""
WAIT_S = 30
EVERY_S = 0.05
LARGE_RRSETS = 2_000
EACH = 8
"""Connections of the noisy client for each kind of request."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is run."""

    zones: int = 300
    seconds: float = 120.0
    seed: int = 1
    connections: int = 600
    """Of the noisy client: so many wait for a publication, and so many send bodies that never end."""


DEFAULTS = Options()


@dataclass(slots=True)
class Phase:
    """What the quiet clients saw."""

    name: str
    plan_ms: list[float] = field(default_factory=list)
    """From the request to the answer that says "published"."""
    ready_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    noise: dict[str, int] = field(default_factory=dict)
    """The noisy client's requests, by kind and status."""


@dataclass(frozen=True, slots=True)
class Client:
    """One token's way to the daemon."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def ask(
        self, method: str, path: str, body: object = None, wait_s: int = 0
    ) -> tuple[int, dict[str, Any], float]:
        """Ask, and return status, document and how long it took, in milliseconds."""
        headers = {"Authorization": f"Bearer {self.token}", "If-Match": "*", "Content-Type": "application/json"}
        headers |= {"Prefer": f"wait={wait_s}"} if wait_s else {}
        octets = None if body is None else json.dumps(body).encode()
        begun = time.perf_counter()
        found = await exchange(
            self.session, method, f"{self.url}{path}", headers=headers, body=octets, timeout_s=WAIT_S + 10
        )
        return found.status, found.document, (time.perf_counter() - begun) * 1000


def zone_name(index: int) -> str:
    """Return a zone's name. The first is the one whose primary is away, the first half is the noisy client's."""
    return f"z{index:03}.noise.test."


def plan(count: int, number: int) -> dict[str, Any]:
    """Return a plan that changes so many RRsets."""
    address = f"192.0.2.{number % 250 + 1}"
    return {"rrsets": [{"name": f"n{index}", "type": "A", "ttl": 60, "records": [address]} for index in range(count)]}


async def run(options: Options, folder: Path) -> tuple[Phase, Phase]:
    """Run both phases and return what the quiet clients saw in each."""
    async with AsyncExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        quiet, noisy = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        configuration = folder / "dnsguard.toml"
        key = dns.tsig.Key("k.", secrets.token_bytes(32), dns.tsig.HMAC_SHA256)
        zones = {dns.name.from_text(zone_name(index)): [key.name] for index in range(1, options.zones)}
        bind = await stack.enter_async_context(await Bind.start(folder / "bind", zones=zones, keys={key.name: key}))
        ways = {"main": bind.address, "away": hole.getsockname()}
        configuration.write_text(_configuration(options, folder, quiet, noisy, key.secret, ways))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        daemon = Daemon(folder, configuration, session, quiet)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        client = Client(session, daemon.url or "", quiet)
        alone = await _phase(options, client, "alone")
        noise = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.campaigns.noisy_neighbour", "--attack", client.url, "--zones",
            str(options.zones), "--seconds", str(options.seconds + 5), "--connections", str(options.connections),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert noise.stdin is not None
        noise.stdin.write(noisy.encode() + b"\n")
        await came(asyncio.Event(), 3.0)
        beside = await _phase(options, client, "beside a noisy neighbour")
        said, _ = await noise.communicate()
        beside.noise = json.loads(said)
        return alone, beside


def _configuration(
    options: Options, folder: Path, quiet: str, noisy: str, secret: bytes, ways: Mapping[str, tuple[str, int]]
) -> str:
    half = options.zones // 2
    lines = [
        f'data_dir = "{folder}/data"',
        '[http]\nlisten = "127.0.0.1:0"',
        '[log]\nlevel = "warning"\nformat = "json"',
        f'[keys.k]\nsecret = "{base64.b64encode(secret).decode()}"',
        *(f'[primaries.{name}]\nhost = "{host}"\nport = {port}\nkey = "k"' for name, (host, port) in ways.items()),
    ]
    for name, token, indices in (("quiet", quiet, range(half, options.zones)), ("noisy", noisy, range(half))):
        zones = ", ".join(f'"{zone_name(index)}"' for index in indices)
        lines.append(f'[tokens.{name}]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\nzones = [{zones}]')
    lines += [
        f'[zones."{zone_name(index)}"]\nprimary = "{"main" if index else "away"}"' for index in range(options.zones)
    ]
    return "\n".join(lines) + "\n"


async def _phase(options: Options, client: Client, name: str) -> Phase:
    phase, over = Phase(name), asyncio.Event()
    chance = random.Random(f"{options.seed} {name}")
    zones = [zone_name(index) for index in range(options.zones // 2, options.zones)]

    async def submit() -> None:
        number = 0
        while not await came(over, EVERY_S):
            number += 1
            path = f"/v1/zones/{chance.choice(zones)}/plans"
            await _measure(phase, phase.plan_ms, client.ask("POST", path, plan(1, number), WAIT_S))

    async def ready() -> None:
        while not await came(over, EVERY_S):
            await _measure(phase, phase.ready_ms, client.ask("GET", "/v1/health/ready"))

    tasks = [asyncio.create_task(submit()), asyncio.create_task(ready())]
    await came(asyncio.Event(), options.seconds)
    over.set()
    await asyncio.gather(*tasks)
    return phase


async def _measure(phase: Phase, times: list[float], asked: Awaitable[tuple[int, dict[str, Any], float]]) -> None:
    try:
        status, document, took_ms = await asked
    except NoReply as error:
        phase.failed.append(str(error))
        return
    if status == 200:
        times.append(took_ms)
    else:
        phase.failed.append(f"{status} {document.get('detail', document.get('state'))}")


async def attack(url: str, zones: int, seconds: float, connections: int, token: str) -> dict[str, int]:
    """Be the noisy client; return how often each kind of request was answered how."""
    seen: Counter[str] = Counter()
    over = asyncio.get_running_loop().time() + seconds
    own = [zone_name(index) for index in range(1, zones // 2)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(session, url, token)
        await client.ask("POST", f"/v1/zones/{own[0]}/plans", plan(LARGE_RRSETS, 1), WAIT_S)
        requests: dict[str, Callable[[int], Awaitable[tuple[int, dict[str, Any], float]]]] = {
            "list": lambda _: client.ask("GET", f"/v1/zones/{own[0]}/rrsets?limit=500"),
            "show": lambda _: client.ask("GET", f"/v1/zones/{own[0]}/plans/1?limit=500"),
            "compare": lambda _: client.ask("GET", f"/v1/zones/{own[0]}/differences?from=0&limit=1"),
            "zones": lambda _: client.ask("GET", "/v1/zones"),
            "verify": lambda n: client.ask("POST", f"/v1/zones/{own[n % len(own)]}/verifications"),
            "plan": lambda n: client.ask("POST", f"/v1/zones/{own[n % len(own)]}/plans", plan(1, n)),
            "large plan": lambda n: client.ask("POST", f"/v1/zones/{own[0]}/plans", plan(LARGE_RRSETS, n)),
        }
        waits = {"wait": lambda n: client.ask("POST", f"/v1/zones/{zone_name(0)}/plans", plan(1, n), 300)}
        tasks = [
            asyncio.create_task(_repeat(kind, ask, seen, over))
            for count, kinds in ((EACH, requests), (connections, waits))
            for kind, ask in kinds.items()
            for _ in range(count)
        ]
        tasks += [asyncio.create_task(_drip(url, token, seen, over)) for _ in range(connections)]
        await asyncio.wait(tasks, timeout=seconds + 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return dict(sorted(seen.items()))


async def _repeat(
    kind: str,
    ask: Callable[[int], Awaitable[tuple[int, dict[str, Any], float]]],
    seen: Counter[str],
    over: float,
) -> None:
    number = random.randrange(1_000)  # loads differ from client to client
    while asyncio.get_running_loop().time() < over:
        number += 1
        try:
            status, _, _ = await ask(number)
        except NoReply:
            status = 0
        seen[f"{kind} {status or 'no answer'}"] += 1


async def _drip(url: str, token: str, seen: Counter[str], over: float) -> None:
    """Send a body of which an octet comes now and then."""
    address = urlsplit(url)
    head = (
        f"POST /v1/zones/{zone_name(1)}/plans HTTP/1.1\r\nHost: {address.netloc}\r\nIf-Match: *\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    while asyncio.get_running_loop().time() < over:
        try:
            _, writer = await asyncio.open_connection(address.hostname, address.port)
        except OSError:
            seen["drip refused"] += 1
            await came(asyncio.Event(), 0.5)
            continue
        seen["drip"] += 1
        try:
            writer.write(head.encode())
            while asyncio.get_running_loop().time() < over:
                writer.write(b" ")
                await writer.drain()
                if await came(asyncio.Event(), 1.0):
                    break
        except OSError:
            continue
        finally:
            writer.transport.abort()


def figures(phase: Phase) -> dict[str, Any]:
    """Return what is said of a phase."""
    times = {
        f"{name} {word}, ms": share_of(values, share)
        for name, values in (("plan", phase.plan_ms), ("ready", phase.ready_ms))
        for word, share in (("median", 0.5), ("p99", 0.99))
    }
    return {
        "plans": len(phase.plan_ms),
        **{name: None if value is None else round(value, 1) for name, value in times.items()},
        "failed": len(phase.failed),
    }


def verdict(alone: Phase, beside: Phase) -> list[str]:
    """Return what speaks against the daemon; empty if the neighbour's noise was next to nothing to the others."""
    found = [f"{phase.name}: {said}" for phase in (alone, beside) for said in phase.failed[:10]]
    for name, quiet, noisy in (("plan", alone.plan_ms, beside.plan_ms), ("ready", alone.ready_ms, beside.ready_ms)):
        before, after = share_of(quiet, 0.99), share_of(noisy, 0.99)
        if before is None or after is None:
            found.append(f"expected answers to '{name}' in both phases, found none")
        elif after > (bound := max(RATIO_MAX * before, FLOOR_MS)):
            found.append(
                f"p99 of '{name}' is {after:.0f} ms beside a noisy neighbour and {before:.0f} ms alone; "
                f"expected at most {bound:.0f} ms"
            )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.noisy_neighbour", description=__doc__)
    parser.add_argument("--zones", type=int, default=DEFAULTS.zones)
    parser.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="how long each phase lasts")
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed)
    parser.add_argument("--connections", type=int, default=DEFAULTS.connections, help="that only wait, and that drip")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--attack", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.attack is not None:
        token = sys.stdin.readline().strip()
        print(json.dumps(asyncio.run(attack(given.attack, given.zones, given.seconds, given.connections, token))))
        return 0
    if given.zones < 4:
        parser.error("expected at least 4 zones")
    options = Options(given.zones, given.seconds, given.seed, given.connections)
    with tempfile.TemporaryDirectory(prefix="dnsguard-noise-") as folder:
        try:
            alone, beside = asyncio.run(run(options, Path(folder)))
        except (NotStarted, RuntimeError, pytest.skip.Exception, pytest.fail.Exception) as error:
            print(f"noisy_neighbour: {error}", file=sys.stderr)
            return 2
    against = verdict(alone, beside)
    columns = {phase.name: figures(phase) for phase in (alone, beside)}
    if given.json:
        print(json.dumps({"phases": columns, "noise": beside.noise, "against": against}))
    else:
        for name, column in columns.items():
            print(f"{name}: " + ", ".join(f"{what} {value}" for what, value in column.items()))
        print("noise: " + ", ".join(f"{what} {count}" for what, count in beside.noise.items()))
        print("\n".join(against))
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
