"""The power campaign: a daemon with SQLite, and the embedded name server with it, on a file system that forgets what
was not synced; it is cut again and again while planners submit, and after each cut the database is looked at.

    python -m tests.campaigns.power --cuts 60 [--careless] [--seed N] [--json]

Exit code 0 only if no acknowledged plan was lost or doubled and no database was corrupt; with --careless (SQLite's
synchronous at NORMAL) only if the loss was noticed. 1 if not, 2 if it could not run.
"""

import argparse
import asyncio
import hashlib
import json
import random
import secrets
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.campaigns.daemons import Daemon
from tests.campaigns.forgetful import Forgetful, NotMounted
from tests.campaigns.load import NoReply, exchange
from tests.campaigns.pacing import Bell, came
from tests.servers.process import NotStarted

ZONE = "power.test."
_PLANNERS = 4
_ANSWER_S_MAX = 3.0
_LIFE_PLANS_MAX = 25
_LIFE_S_MAX = 20.0
_JITTER_S_MAX = 0.03
_ACCEPTED_PER_CUT_MIN = 3
_CONVERGED_S_MAX = 20.0


@dataclass(slots=True)
class Account:
    """What a campaign came to."""

    asked: int
    careless: bool
    seed: int
    cuts: int = 0
    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    forgotten_pages: int = 0
    synced: int = 0
    took_s: float = 0.0
    converged: bool = False

    @property
    def broken(self) -> bool:
        """Whether something was acknowledged in vain."""
        return bool(self.lost or self.doubled or self.corrupt)

    def missing(self) -> list[str]:
        """Return why the run does not count; empty if it does."""
        found = []
        for what, least, number in (
            ("cuts", self.asked, self.cuts),
            ("plans accepted", self.asked * _ACCEPTED_PER_CUT_MIN, self.accepted),
            ("pages that a cut could forget", 1, self.forgotten_pages),
        ):
            if number < least:
                found.append(f"expected at least {least} {what}, found {number}")
        if not self.converged and not self.careless:
            found.append("the zone did not come to its newest generation after the last cut")
        return found

    def figures(self) -> dict[str, object]:
        """Return every figure, by its name for people."""
        return {
            "synchronous": "NORMAL" if self.careless else "FULL",
            "seed": self.seed,
            "seconds": round(self.took_s, 1),
            "cuts": self.cuts,
            "plans accepted": self.accepted,
            "syncs": self.synced,
            "pages that were not durable at a cut": self.forgotten_pages,
            "plans lost": len(self.lost),
            "plans doubled": len(self.doubled),
            "corrupt databases": len(self.corrupt),
            "published in the end": self.converged,
        }

    def table(self) -> str:
        """Return the figures and whatever was wrong, for people."""
        figures = self.figures()
        width = max(map(len, figures))
        lines = [f"{name:<{width}}  {figure}" for name, figure in figures.items()]
        lines += [f"LOST: {each}" for each in self.lost[:10]]
        lines += [f"DOUBLED: {each}" for each in self.doubled[:10]]
        lines += [f"CORRUPT: {each}" for each in self.corrupt[:10]]
        lines += [f"DOES NOT COUNT: {what}" for what in self.missing()]
        return "\n".join(lines)


class Submitters:
    """Planners that note what was acknowledged, and forget whatever was not."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self.acknowledged: dict[int, int] = {}
        """Generations by the plans' numbers."""
        self.accepted = Bell()
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "If-Match": "*"}
        self._last = 0

    async def submit(self, url: str, over: asyncio.Event) -> None:
        """Submit one plan after the other until it is over or nobody answers."""
        while not over.is_set():
            self._last += 1
            number = self._last
            rrset = {"name": f"n{number % 50}", "type": "TXT", "ttl": 60, "records": [f'"plan={number}"']}
            body = json.dumps({"rrsets": [rrset], "reason": f"plan {number}"}).encode()
            headers = self._headers | {"Idempotency-Key": f"power-{number}"}
            path = f"{url}/v1/zones/{ZONE}/plans"
            try:
                found = await exchange(self._session, "POST", path, headers=headers, body=body, timeout_s=_ANSWER_S_MAX)
            except NoReply:
                return
            if found.status in {200, 202}:
                self.acknowledged[number] = int(found.document["generation"])
                self.accepted.ring()

    async def converged(self, url: str) -> bool:
        """Wait until everything is published; tell whether it came to that."""
        end = time.monotonic() + _CONVERGED_S_MAX
        while time.monotonic() < end:
            try:
                found = await exchange(self._session, "GET", f"{url}/v1/zones/{ZONE}", headers=self._headers)
            except NoReply:
                return False
            if found.status == 200 and not found.document["pending"] and found.document["newest"]:
                return not found.document["halted"]
            await came(asyncio.Event(), 0.1)
        return False


async def run(cuts: int, seed: int, folder: Path, *, careless: bool = False) -> Account:
    """Run a campaign in a folder. Raises NotMounted where such a file system is not allowed."""
    begun, chance = time.monotonic(), random.Random(f"{seed} cuts")
    account = Account(cuts, careless, seed)
    disk, looked_at = folder / "disk", folder / "looked-at"
    disk.mkdir()
    looked_at.mkdir()
    token = secrets.token_urlsafe(24)
    configuration = folder / "dnsguard.toml"
    configuration.write_text(
        f'data_dir = "{disk}"\n[http]\nlisten = "127.0.0.1:0"\n[dns]\nlisten = "127.0.0.1:0"\n'
        f'[log]\nlevel = "warning"\nformat = "json"\n[policy]\nhistory_generations_min = 1000000\n'
        f'[tokens.power]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n[zones."{ZONE}"]\n'
    )
    async with AsyncExitStack() as stack:
        forgetful = stack.enter_context(Forgetful(disk, seed))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        module = "tests.campaigns.careless" if careless else "dnsguard"
        daemon = Daemon(folder, configuration, session, token, module=module)
        stack.push_async_callback(daemon.kill)
        submitters = Submitters(session, token)
        gone: set[int] = set()
        while account.cuts < cuts:
            await daemon.start()
            await _life(daemon, submitters, chance)
            account.cuts += 1
            forgetful.cut()
            _look(forgetful, looked_at, submitters.acknowledged, gone, account)
        await daemon.start()
        account.converged = await submitters.converged(daemon.url or "")
        await daemon.stop()
        account.accepted = len(submitters.acknowledged)
        account.forgotten_pages, account.synced = forgetful.forgotten, forgetful.synced
    account.took_s = time.monotonic() - begun
    return account


async def _life(daemon: Daemon, submitters: Submitters, chance: random.Random) -> None:
    """Let a daemon live until it has accepted some plans, and a moment longer; it is killed in the middle of more."""
    over, url = asyncio.Event(), daemon.url or ""
    tasks = [asyncio.create_task(submitters.submit(url, over)) for _ in range(_PLANNERS)]
    end = time.monotonic() + _LIFE_S_MAX
    for _ in range(chance.randint(_ACCEPTED_PER_CUT_MIN, _LIFE_PLANS_MAX)):
        await submitters.accepted.heard(max(0.0, end - time.monotonic()))
    await came(over, chance.uniform(0, _JITTER_S_MAX))
    await daemon.kill()
    over.set()
    await asyncio.gather(*tasks)


def _look(forgetful: Forgetful, folder: Path, acknowledged: dict[int, int], gone: set[int], account: Account) -> None:
    """Look at what the cut left, on a copy: is it whole, and is every acknowledged plan there once?"""
    for name in ("dnsguard.sqlite", "dnsguard.sqlite-wal"):
        (folder / name).unlink(missing_ok=True)
        forgetful.copy(name, folder / name)
    try:
        with closing(sqlite3.connect(folder / "dnsguard.sqlite")) as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            rows = connection.execute("SELECT reason, generation FROM plans").fetchall() if said == ["ok"] else []
    except sqlite3.DatabaseError as error:
        said, rows = [str(error)], []
    if said != ["ok"]:
        account.corrupt.append(f"after cut {account.cuts}: {said[0]}")
        return
    _compare(rows, acknowledged, gone, account)


def _compare(rows: Sequence[tuple[str, int]], acknowledged: dict[int, int], gone: set[int], account: Account) -> None:
    """Note each plan that was acknowledged and is not there, or is there twice; each once."""
    there = dict(rows)
    for reason, times in Counter(reason for reason, _ in rows).items():
        if times > 1 and reason not in account.doubled:
            account.doubled.append(reason)
    for number, generation in acknowledged.items():
        if number not in gone and there.get(f"plan {number}") != generation:
            gone.add(number)
            account.lost.append(f"plan {number}, generation {generation}, by cut {account.cuts}")


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.power", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--cuts", type=int, default=60)
    parser.add_argument("--careless", action="store_true", help="synchronous at NORMAL: expects losses")
    parser.add_argument("--seed", type=int, default=None, help="choices recur with it; a random one if absent")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args(arguments)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    try:
        with tempfile.TemporaryDirectory(prefix="dnsguard-power-") as folder:
            account = asyncio.run(run(asked.cuts, seed, Path(folder), careless=asked.careless))
    except (NotMounted, NotStarted) as error:
        sys.stderr.write(f"the campaign (seed {seed}) cannot run: {error}\n")
        return 2
    if asked.json:
        print(json.dumps(account.figures() | {"missing": account.missing()}, indent=2))
    else:
        print(account.table())
    return 0 if not account.missing() and account.broken == asked.careless else 1


if __name__ == "__main__":
    sys.exit(main())
