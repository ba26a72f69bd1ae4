"""Many daemons on one PostgreSQL: what does their order at a zone save, and how long are a dead one's zones delayed?

    python -m tests.campaigns.spread --daemons 3 --zones 30 [--plans 10] [--at-once 2] [--kills 3] [--json]

First every zone gets plans at random daemons, once with daemons that let the right one look first, once with daemons
that all look at once; fenced writes that the primary refused are counted. Then, again and again, one daemon accepts a
plan for every zone and is killed (SIGKILL) right after its last answer: measured is how long each plan took from
accepted to published, by whomever. Exit code 0 if every plan was published, none of a dead daemon's later than
DELAY_S_MAX, and the order did not cost more refusals than its absence.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import dns.name
import dns.tsig
import pytest

from tests.campaigns.daemons import Daemon
from tests.campaigns.load import exchange
from tests.campaigns.many_zones_account import share_of
from tests.campaigns.pacing import came
from tests.servers.bind import Bind
from tests.servers.postgresql import Postgresql
from tests.servers.process import NotStarted

DELAY_S_MAX = 15.0
WAIT_S = 60
KEY_NAME = "campaign."
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Options:
    """What is run."""

    daemons: int = 3
    zones: int = 30
    plans: int = 10
    """For each zone, in each of the two ways."""
    at_once: int = 2
    """Zones that wait for a plan at the same moment: the more, the longer each takes, and others lose patience."""
    kills: int = 3
    seed: int = 1


DEFAULTS = Options()


@dataclass(slots=True)
class Phase:
    """What one part came to."""

    name: str
    plans: int = 0
    refused: int = 0
    published_s: list[float] = field(default_factory=list)
    """From accepted to published, by the daemons' clocks."""
    orphans_s: list[float] = field(default_factory=list)
    """The same, of those plans that were not published yet when their daemon had been killed."""


@dataclass(slots=True)
class Stage:
    """What runs, and how it is asked."""

    daemons: list[Daemon]
    zones: list[str]
    session: aiohttp.ClientSession
    token: str
    bind: Bind
    postgresql: Postgresql

    async def ask(self, daemon: Daemon, path: str, plan: dict[str, Any] | None = None, *, wait_s: int = 0) -> Any:
        """Read, or submit a plan; return the document. Raises RuntimeError on a refusal."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "If-Match": "*"}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        body = None if plan is None else json.dumps(plan).encode()
        method = "GET" if plan is None else "POST"
        found = await exchange(
            self.session, method, f"{daemon.url}{path}", headers=headers, body=body, timeout_s=WAIT_S + 10
        )
        if found.status not in {200, 202}:
            raise RuntimeError(f"{method} {path}: {found.status} {found.document}")
        return found.document

    async def submit(self, daemon: Daemon, zone: str, number: int, *, wait_s: int = 0) -> Any:
        """Submit a plan for one address."""
        rrset = {"name": "www", "type": "A", "ttl": 60, "records": [f"192.0.2.{number % 250 + 1}"]}
        return await self.ask(daemon, f"/v1/zones/{zone}/plans", {"rrsets": [rrset]}, wait_s=wait_s)

    async def settled(self, daemon: Daemon, zone: str, generation: int) -> Any:
        """Wait until a plan is published, or superseded; return it."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            plan = await self.ask(daemon, f"/v1/zones/{zone}/plans/{generation}")
            if plan["state"] not in {"accepted", "publishing"}:
                return plan
            await came(asyncio.Event(), _LOOK_S)
        raise RuntimeError(f"generation {generation} of {zone} was not published in {WAIT_S} s")

    async def refused(self) -> int:
        """Return how many fenced writes were refused to all daemons, in all their lives."""
        await asyncio.gather(*(daemon.read_metrics() for daemon in self.daemons))
        return sum(daemon.refused for daemon in self.daemons)

    async def acquainted(self) -> None:
        """Wait until every daemon that is up knows of all others that are, and of no more."""
        up = [daemon for daemon in self.daemons if daemon.url is not None]
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            shown = [await self.ask(daemon, "/v1/zones") for daemon in up]
            if all(sum(one["alive"] for one in each["daemons"]) == len(up) for each in shown):
                return
            await came(asyncio.Event(), _LOOK_S)
        raise RuntimeError(f"{len(up)} daemons did not get to know each other in {WAIT_S} s")


@asynccontextmanager
async def stage(
    folder: Path, daemons: int, zones: int, *, module: str = "dnsguard", settings: str = ""
) -> AsyncIterator[Stage]:
    """Start a primary and an empty database, and make the daemons ready to be started."""
    async with AsyncExitStack() as stack:
        token, secret = secrets.token_urlsafe(24), secrets.token_bytes(32)
        key = dns.tsig.Key(KEY_NAME, secret, dns.tsig.HMAC_SHA256)
        names = [f"z{index:03}.spread.test." for index in range(zones)]
        bind = await stack.enter_async_context(
            await Bind.start(
                folder / "bind",
                zones={dns.name.from_text(name): [key.name] for name in names},
                keys={key.name: key},
            )
        )
        postgresql = await stack.enter_async_context(await Postgresql.start())
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        made = []
        for index in range(daemons):
            home = folder / f"daemon{index}"
            home.mkdir()
            lines = [
                f'data_dir = "{home}"',
                f'database = "{postgresql.url()}"',
                '[http]\nlisten = "127.0.0.1:0"',
                '[log]\nformat = "json"',
                settings,
                f'[tokens.campaign]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
                f'[keys."{KEY_NAME}"]\nsecret = "{base64.b64encode(secret).decode()}"',
                f'[primaries.main]\nhost = "{bind.address[0]}"\nport = {bind.address[1]}\nkey = "{KEY_NAME}"',
                *(f'[zones."{name}"]\nprimary = "main"' for name in names),
            ]
            configuration = home / "dnsguard.toml"
            configuration.write_text("\n".join(lines) + "\n")
            made.append(Daemon(home, configuration, session, token, module=module))
            stack.push_async_callback(made[-1].stop)
        yield Stage(made, names, session, token, bind, postgresql)


async def run(options: Options, folder: Path) -> list[Phase]:
    """Run all parts, one after the other."""
    phases = []
    for name, module in (("one looks first", "dnsguard"), ("all look at once", "tests.campaigns.hasty")):
        home = folder / module
        home.mkdir()
        async with stage(home, options.daemons, options.zones, module=module) as on:
            await asyncio.gather(*(daemon.start() for daemon in on.daemons))
            await on.acquainted()
            phases.append(await load(options, on, name))
            if module == "dnsguard":
                phases.append(await kill(options, on))
    return phases


async def load(options: Options, on: Stage, name: str) -> Phase:
    """Have every zone's plans published, one after the other, by daemons at random."""
    phase, chance = Phase(name), random.Random(options.seed)
    turns = asyncio.Semaphore(options.at_once)

    async def plan(zone: str, daemons: Sequence[Daemon]) -> None:
        for number, daemon in enumerate(daemons):
            async with turns:
                shown = await on.submit(daemon, zone, number, wait_s=WAIT_S)
            _measure(phase, shown)

    before = await on.refused()
    await asyncio.gather(*(plan(zone, chance.choices(on.daemons, k=options.plans)) for zone in on.zones))
    phase.refused = await on.refused() - before
    return phase


async def kill(options: Options, on: Stage) -> Phase:
    """Kill daemons that have just accepted a plan for every zone; wait until the others have published all of them."""
    phase, chance = Phase("one is killed"), random.Random(options.seed)
    before = await on.refused()
    for number in range(options.kills):
        victim = chance.choice(on.daemons)
        other = next(daemon for daemon in on.daemons if daemon is not victim)
        accepted = await asyncio.gather(*(on.submit(victim, zone, 100 + number) for zone in on.zones))
        await victim.kill()
        at_death = time.time()
        shown = await asyncio.gather(*(on.settled(other, one["zone"], one["generation"]) for one in accepted))
        for plan in shown:
            _measure(phase, plan)
            if datetime.fromisoformat(plan["settled_at"]).timestamp() > at_death:
                phase.orphans_s.append(phase.published_s[-1])
        if number + 1 < options.kills:
            await victim.start()
            await on.acquainted()
    phase.refused = await on.refused() - before
    return phase


def _measure(phase: Phase, plan: dict[str, Any]) -> None:
    settled, accepted = (datetime.fromisoformat(plan[at]) for at in ("settled_at", "accepted_at"))
    phase.plans += 1
    phase.published_s.append((settled - accepted).total_seconds())


def figures(phase: Phase) -> dict[str, Any]:
    """Return what is said of a part."""
    return {
        "plans": phase.plans,
        "fenced writes refused": phase.refused,
        "accepted to published, median s": _rounded(share_of(phase.published_s, 0.5)),
        "the longest, s": _rounded(max(phase.published_s, default=None)),
        "published after their daemon's death": len(phase.orphans_s),
        "of these the longest, s": _rounded(max(phase.orphans_s, default=None)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def faults(phases: Sequence[Phase]) -> list[str]:
    """Return what is not as it should be."""
    by_name = {phase.name: phase for phase in phases}
    found = []
    orderly, at_once = by_name["one looks first"], by_name["all look at once"]
    if orderly.refused > at_once.refused:
        found.append(f"the order cost refusals: {orderly.refused} with it, {at_once.refused} without")
    longest = max(by_name["one is killed"].published_s, default=0.0)
    if longest > DELAY_S_MAX:
        found.append(f"a dead daemon's zone was delayed by {longest:.1f} s, more than {DELAY_S_MAX:g} s")
    return found


def table(phases: Sequence[Phase]) -> str:
    """Show all parts side by side."""
    columns = [figures(phase) for phase in phases]
    rows = [["", *(phase.name for phase in phases)]]
    rows += [[name, *("-" if each[name] is None else str(each[name]) for each in columns)] for name in columns[0]]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.spread", description=__doc__)
    parser.add_argument("--daemons", type=int, default=DEFAULTS.daemons, help="how many, at least two")
    parser.add_argument("--zones", type=int, default=DEFAULTS.zones)
    parser.add_argument("--plans", type=int, default=DEFAULTS.plans, help="for each zone")
    parser.add_argument("--at-once", type=int, default=DEFAULTS.at_once, help="plans that wait at the same moment")
    parser.add_argument("--kills", type=int, default=DEFAULTS.kills)
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    if given.daemons < 2 or min(given.zones, given.plans, given.at_once, given.kills) < 1:
        parser.error("expected at least two daemons, and one of everything else")
    options = Options(given.daemons, given.zones, given.plans, given.at_once, given.kills, given.seed)
    with tempfile.TemporaryDirectory(prefix="dnsguard-spread-") as folder:
        try:
            phases = asyncio.run(run(options, Path(folder)))
        except (NotStarted, RuntimeError, pytest.skip.Exception, pytest.fail.Exception) as error:
            print(f"spread: {error}", file=sys.stderr)
            return 2
    said = faults(phases)
    if given.json:
        shown = {phase.name: figures(phase) for phase in phases}
        print(json.dumps({"options": asdict(options), "phases": shown, "faults": said}))
    else:
        print(f"{options.daemons} daemons, {options.zones} zones")
        print(table(phases))
        print("\n".join(said))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
