"""Several hundred zones on several primaries in one daemon, and one of the primaries dies: what do the others notice?

    python -m tests.campaigns.many_zones --zones 300 [--primaries 4] [--seconds 20] [--every 3] [--json]

A third way to the last primary leads through a gate, which is open first, then takes connections and never answers,
then takes none. In each phase every zone gets plans; what is measured is how long those of the *other* primaries take
from accepted to published, side by side in one run. Exit code 0 if no plan failed, every zone converged, and the
medians while that primary is silent or refuses are not several times what they are while all are alive.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import dns.name
import dns.tsig
import pytest

from tests.campaigns.daemons import Daemon
from tests.campaigns.gate import Gate, Manner
from tests.campaigns.load import exchange
from tests.campaigns.many_zones_account import AGAIN, IDLE, Phase, figures, table, verdict
from tests.campaigns.pacing import came
from tests.servers.bind import Bind
from tests.servers.process import NotStarted

WAIT_S = 30
CONVERGENCE_S_MAX = 60.0
KEY_NAME = "campaign."


@dataclass(frozen=True, slots=True)
class Options:
    """What is run."""

    zones: int = 300
    primaries: int = 4
    seconds: float = 20.0
    every_s: float = 3.0
    seed: int = 1


DEFAULTS = Options()


@dataclass(slots=True)
class Stage:
    """What runs: zones of the primaries that stay alive, and of the one behind the gate."""

    daemon: Daemon
    session: aiohttp.ClientSession
    token: str
    gate: Gate
    others: list[str]
    mortal: list[str]

    async def submit(self, zone: str, name: str, number: int, *, wait: bool) -> tuple[int, dict[str, Any], float]:
        """Submit a plan; return status, document and how long the answer took, in seconds."""
        rrset = {"name": name, "type": "A", "ttl": 60, "records": [f"192.0.2.{number % 250 + 1}"]}
        # Each phase counts anew, and so says again what an earlier one has said: that is to be published, too.
        body = {"rrsets": [rrset], "republish": True}
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "If-Match": "*",
        } | ({"Prefer": f"wait={WAIT_S}"} if wait else {})
        begun = time.perf_counter()
        found = await exchange(
            self.session,
            "POST",
            f"{self.daemon.url}/v1/zones/{zone}/plans",
            headers=headers,
            body=json.dumps(body).encode(),
            timeout_s=WAIT_S + 10,
        )
        return found.status, found.document, time.perf_counter() - begun

    async def zones(self) -> list[dict[str, Any]]:
        """Return the status of every zone."""
        found = await exchange(
            self.session, "GET", f"{self.daemon.url}/v1/zones", headers={"Authorization": f"Bearer {self.token}"}
        )
        zones: list[dict[str, Any]] = found.document["zones"]
        return zones

    async def converged(self) -> float:
        """Wait until everything accepted is published and has propagated; return how long it took, in seconds."""
        begun = time.monotonic()
        while time.monotonic() < begun + CONVERGENCE_S_MAX:
            if all(zone["newest"] == zone["published"] == zone["propagated"] for zone in await self.zones()):
                return time.monotonic() - begun
            await _pause(0.1)
        waiting = [zone for zone in await self.zones() if zone["newest"] != zone["propagated"]]
        raise RuntimeError(f"{len(waiting)} zones did not converge in {CONVERGENCE_S_MAX:g} s: {waiting[:2]}")

    def cpu_s(self) -> float:
        """Return the processor time that the daemon has taken."""
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def stage(options: Options, folder: Path) -> AsyncIterator[Stage]:
    """Start the primaries, the gate and the daemon."""
    async with AsyncExitStack() as stack:
        token, secret = secrets.token_urlsafe(24), secrets.token_bytes(32)
        key = dns.tsig.Key(KEY_NAME, secret, dns.tsig.HMAC_SHA256)
        names = [f"z{index:03}.many.test." for index in range(options.zones)]
        shares = [names[index :: options.primaries] for index in range(options.primaries)]
        binds = []
        for index, share in enumerate(shares):
            zones = {dns.name.from_text(name): [key.name] for name in share}
            binds.append(
                await stack.enter_async_context(
                    await Bind.start(folder / f"bind{index}", zones=zones, keys={key.name: key})
                )
            )
        gate = await stack.enter_async_context(Gate(binds[-1].address))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        home = folder / "daemon"
        home.mkdir()
        configuration = home / "dnsguard.toml"
        ways = [*(bind.address for bind in binds[:-1]), gate.address]
        configuration.write_text(_configuration(home, token, secret, shares, ways, [bind.address for bind in binds]))
        daemon = Daemon(home, configuration, session, token)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        yield Stage(daemon, session, token, gate, [name for share in shares[:-1] for name in share], shares[-1])


def _configuration(
    home: Path,
    token: str,
    secret: bytes,
    shares: Sequence[Sequence[str]],
    ways: Sequence[tuple[str, int]],
    servers: Sequence[tuple[str, int]],
) -> str:
    lines = [
        f'data_dir = "{home}"',
        '[http]\nlisten = "127.0.0.1:0"\nconnections_max = 2048',
        '[log]\nlevel = "warning"\nformat = "json"',
        f'[tokens.campaign]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
        f'[keys."{KEY_NAME}"]\nsecret = "{base64.b64encode(secret).decode()}"',
    ]
    for index, ((host, port), (server, at)) in enumerate(zip(ways, servers, strict=True)):
        lines.append(f'[primaries.p{index}]\nhost = "{host}"\nport = {port}\nkey = "{KEY_NAME}"')
        lines.append(f'[name_servers.s{index}]\nhost = "{server}"\nport = {at}')
        lines += [f'[zones."{name}"]\nprimary = "p{index}"\nname_servers = ["s{index}"]' for name in shares[index]]
    return "\n".join(lines) + "\n"


async def run(options: Options, folder: Path) -> list[Phase]:
    """Run all phases: nobody asks for anything, then all alive, silent, refusing, and all alive again."""
    async with stage(options, folder) as on:
        phases = []
        warm = Phase("warming up")
        await asyncio.gather(*(_plan_once(on, zone, warm) for zone in (*on.others, *on.mortal)))
        await on.converged()
        if warm.failed:
            raise RuntimeError(f"{len(warm.failed)} first plans failed: {warm.failed[:2]}")
        phases.append(await _phase(options, on, IDLE, load=False))
        for manner in (Manner.OPEN, Manner.SILENT, Manner.CLOSED, Manner.OPEN):
            await on.gate.turn(manner)
            phase = await _phase(options, on, manner.value, load=True)
            phase.connections = on.gate.held_max
            if manner is not Manner.OPEN:
                await on.gate.turn(Manner.OPEN)
            phase.healed_s = await on.converged()
            phases.append(phase)
        phases[-1].manner = AGAIN
        return phases


async def _plan_once(on: Stage, zone: str, phase: Phase) -> None:
    status, document, _ = await on.submit(zone, "www", 1, wait=True)
    if status != 200:
        phase.failed.append(f"{zone} {status} {document}")


async def _phase(options: Options, on: Stage, manner: str, *, load: bool) -> Phase:
    phase, over = Phase(manner), asyncio.Event()
    chance = random.Random(f"{options.seed} {manner}")
    begun, cpu = time.monotonic(), on.cpu_s()
    tasks = []
    if load:
        for zones, others in ((on.others, True), (on.mortal, False)):
            for zone in zones:
                first_s = chance.uniform(0, options.every_s)
                tasks.append(asyncio.create_task(_plan(options, on, zone, phase, over, first_s, others=others)))
    await _pause(options.seconds)
    over.set()
    await asyncio.gather(*tasks)
    phase.cpu = (on.cpu_s() - cpu) / (time.monotonic() - begun)
    return phase


async def _plan(
    options: Options, on: Stage, zone: str, phase: Phase, over: asyncio.Event, first_s: float, *, others: bool
) -> None:
    """Submit a plan every now and then until it is over; every other one for a name that is new."""
    number, pause_s = 1, first_s
    while not await came(over, pause_s):
        number += 1
        name = "www" if number % 2 else f"new{number}-{phase.manner}"
        status, document, took_s = await on.submit(zone, name, number, wait=others)
        if status != (200 if others else 202):
            phase.failed.append(f"{zone} {status} {document.get('detail', document.get('state'))}")
        elif others:
            phase.plans += 1
            phase.answered_ms.append(took_s * 1000)
            settled, accepted = (datetime.fromisoformat(document[at]) for at in ("settled_at", "accepted_at"))
            phase.published_ms.append((settled - accepted).total_seconds() * 1000)
        else:
            phase.accepted_ms.append(took_s * 1000)
        pause_s = options.every_s


async def _pause(seconds: float) -> None:
    await came(asyncio.Event(), seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.many_zones", description=__doc__)
    parser.add_argument("--zones", type=int, default=DEFAULTS.zones)
    parser.add_argument("--primaries", type=int, default=DEFAULTS.primaries, help="how many, at least two")
    parser.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="how long each phase lasts")
    parser.add_argument("--every", type=float, default=DEFAULTS.every_s, help="seconds between a zone's plans")
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    if given.primaries < 2 or given.zones < given.primaries:
        parser.error("expected at least two primaries and a zone on each")
    options = Options(given.zones, given.primaries, given.seconds, given.every, given.seed)
    with tempfile.TemporaryDirectory(prefix="dnsguard-many-") as folder:
        try:
            phases = asyncio.run(run(options, Path(folder)))
        except (NotStarted, RuntimeError, pytest.skip.Exception, pytest.fail.Exception) as error:
            print(f"many_zones: {error}", file=sys.stderr)
            return 2
    against = verdict(phases)
    if given.json:
        columns = {each.manner: figures(each) for each in phases}
        print(json.dumps({"options": asdict(options), "phases": columns, "against": against}))
    else:
        print(f"{options.zones} zones on {options.primaries} primaries, a plan each every {options.every_s:g} s")
        print(table(phases))
        print("\n".join(against[:10]))
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
