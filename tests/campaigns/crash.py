"""The crash campaign: daemons under load, or their database, or their primary, are killed at random moments and
started again, while observers ask the name server all the time; a judge then decides from what was seen outside.

    python -m tests.campaigns.crash --kills 200 [--victim daemon|postgresql|primary] [--server bind|embedded]
                                    [--daemons 1|2] [--seed N] [--json]

Exit code 0 only if no invariant was broken and the run counts: all kills done, enough plans and observations; 1 if
not, 2 if it could not run.
"""

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from dnsguard.core.records import Key, Records
from tests.campaigns.account import Account, Kill
from tests.campaigns.daemons import Daemon
from tests.campaigns.judge import judge
from tests.campaigns.load import Planners
from tests.campaigns.observe import NoAnswer, Observers
from tests.campaigns.pacing import came
from tests.campaigns.scene import ZONE, Scene, Server, Store, scene
from tests.campaigns.testimony import Testimony
from tests.campaigns.wishes import Names
from tests.servers.process import NotStarted

ANSWERED_S_MAX = 60.0
CONVERGENCE_S_MAX = 30.0
_AIMS = {"parts": 35, "sending": 20, "accepted": 15, "any": 20, "starting": 10}
_BOTH = 0.1
"""The share of kills that take a second daemon with them."""
_AIM_S_MAX = 2.0
_LIFE_S_MAX = 0.8
_LIFE_PLANS_MAX = 10
"""A life lasts until some plans were accepted in it: a daemon that takes nothing in has nothing to lose."""
_JITTER_S_MAX = 0.02
_START_S_MAX = 1.2
_SERVER_LIFE_PLANS_MAX = 4
_DOWN_S_MAX = 0.1

Victim = Literal["daemon", "postgresql", "primary"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is run; the seed makes choices recur, though not what the machine makes of them."""

    kills: int = 200
    server: Server = "bind"
    daemons: int = 1
    seed: int = 1
    planner_pace_s: float = 0.12
    victim: Victim = "daemon"


class Killer:
    """Kills daemons or a server, aiming at moments of every kind, and starts them again at once."""

    def __init__(self, stage: Scene, observers: Observers, planners: Planners, seed: int) -> None:
        self.kills: list[Kill] = []
        self.restarted_s: list[float] = []
        """How long each start of a killed server took."""
        self._stage = stage
        self._observers = observers
        self._planners = planners
        self._chance = random.Random(f"{seed} killer")
        self._starting: dict[int, asyncio.Task[None]] = {}

    async def kill_server(
        self, kill: Callable[[], Awaitable[None]], restart: Callable[[], Awaitable[None]], count: int
    ) -> None:
        """Kill a database or a name server so many times, and start it again each time."""
        aims = {aim: weight for aim, weight in _AIMS.items() if aim != "starting"}
        while len(self.kills) < count:
            aimed = self._chance.choices(list(aims), list(aims.values()))[0]
            for _ in range(self._chance.randint(1, _SERVER_LIFE_PLANS_MAX)):
                await self._planners.accepted.heard(_AIM_S_MAX)
            await asyncio.gather(*(daemon.read_metrics() for daemon in self._stage.daemons))
            await self._heard(aimed)
            await kill()
            at, fence = time.monotonic(), self._observers.newest
            in_parts = fence is not None and fence.progress is not None
            under_way = in_parts or self._planners.newest_told > (0 if fence is None else fence.base)
            self.kills.append(Kill(at, 0, aimed, in_parts, under_way))
            await _pause(self._chance.uniform(0, _DOWN_S_MAX))
            begun = time.monotonic()
            await restart()
            self.restarted_s.append(time.monotonic() - begun)

    async def kill(self, count: int) -> None:
        """Kill daemons so many times."""
        while len(self.kills) < count:
            aimed = self._chance.choices(list(_AIMS), list(_AIMS.values()))[0]
            victim = self._chance.randrange(len(self._stage.daemons))
            await self._aim(aimed, victim)
            victims = [victim]
            if self._chance.random() < _BOTH:
                victims = list(range(len(self._stage.daemons)))
            await asyncio.gather(*(self._stage.daemons[index].kill() for index in victims))
            at = time.monotonic()
            fence = self._observers.newest
            if self._stage.bind is not None:
                with contextlib.suppress(NoAnswer):
                    fence = await self._observers.look_at_fence()
            base = 0 if fence is None else fence.base
            in_parts = fence is not None and fence.progress is not None
            under_way = in_parts or self._planners.newest_told > base
            for index in victims:
                self.kills.append(Kill(at, index, aimed, in_parts, under_way))
                self._start(index)

    async def all_started(self) -> None:
        """Wait until every daemon runs. Raises what kept one from starting."""
        await asyncio.gather(*self._starting.values())

    def _start(self, index: int) -> None:
        daemon: Daemon = self._stage.daemons[index]
        self._starting[index] = asyncio.create_task(daemon.start(), name=f"start {index}")

    async def _aim(self, aimed: str, victim: int) -> None:
        """Wait for a moment of the wanted kind, or for any moment if it does not come."""
        chance, starting = self._chance, self._starting.get(victim)
        if aimed == "starting":
            await _pause(chance.uniform(0, _START_S_MAX))
            return
        if starting is not None:
            await starting
        await _pause(chance.uniform(0.05, _LIFE_S_MAX))
        for _ in range(chance.randint(3, _LIFE_PLANS_MAX)):
            await self._planners.accepted.heard(_AIM_S_MAX)
        await self._stage.daemons[victim].read_metrics()
        await self._heard(aimed)

    async def _heard(self, aimed: str) -> None:
        """Wait for a moment of a kind, if it comes."""
        chance = self._chance
        match aimed:
            case "parts":
                await self._observers.in_parts.heard(_AIM_S_MAX)
                await _pause(chance.uniform(0, _JITTER_S_MAX / 4))
            case "sending":
                await self._planners.sending_many.heard(_AIM_S_MAX)
                await _pause(chance.uniform(0, _JITTER_S_MAX * 2))
            case "accepted":
                await self._planners.accepted.heard(_AIM_S_MAX)
                await _pause(chance.uniform(0, _JITTER_S_MAX))
            case _:
                await _pause(chance.uniform(0, _LIFE_S_MAX))


async def _pause(seconds: float) -> None:
    await came(asyncio.Event(), seconds)


async def run(options: Options, folder: Path) -> Account:
    """Run a campaign in a folder and return its account."""
    begun = time.monotonic()
    names = Names(ZONE)
    store: Store = "postgresql" if options.victim == "postgresql" else "sqlite"
    async with scene(folder, options.server, options.daemons, store) as stage:
        await asyncio.gather(*(daemon.start() for daemon in stage.daemons))
        zone_at_begin = await stage.transfer()
        observers = Observers(ZONE, names.keys, stage.address, options.seed)
        planners = Planners(ZONE, names, stage.doors, stage.token, options.seed, pace_s=options.planner_pace_s)
        killer = Killer(stage, observers, planners, options.seed)
        async with observers:
            async with planners:
                if options.victim == "postgresql" and (database := stage.postgresql) is not None:
                    await killer.kill_server(
                        partial(database.kill, signal.SIGKILL), partial(database.restart, signal.SIGKILL), options.kills
                    )
                elif options.victim == "primary" and (bind := stage.bind) is not None:
                    await killer.kill_server(bind.kill, bind.restart, options.kills)
                else:
                    await killer.kill(options.kills)
                killed_at = time.monotonic()
                await killer.all_started()
                with contextlib.suppress(TimeoutError):  # the account counts who has no answer
                    await planners.finish(ANSWERED_S_MAX)
            newest, converged_s = await converge(stage, observers, killed_at)
        testimony = await all_seen(stage, observers, planners, zone_at_begin, newest, converged_s)
        for daemon in stage.daemons:
            await daemon.read_metrics()
            await daemon.stop()
    return Account(
        victim=options.victim,
        server=options.server,
        daemons=options.daemons,
        seed=options.seed,
        asked=options.kills,
        took_s=time.monotonic() - begun,
        kills=killer.kills,
        testimony=testimony,
        violations=judge(testimony),
        started_s=killer.restarted_s or [seconds for daemon in stage.daemons for seconds in daemon.started_s],
        statuses=planners.statuses,
        resubmitted=planners.resubmitted,
        refused_writes=stage.refused(),
        words=[line for daemon in stage.daemons for line in daemon.words],
    )


async def all_seen(
    stage: Scene,
    observers: Observers,
    planners: Planners,
    zone_at_begin: Mapping[Key, Records],
    newest: int,
    converged_s: float | None,
) -> Testimony:
    """Put together what was seen, and read what is seen at the end: the history, the whole zone, the fence."""
    entries, changes = await stage.history()
    return Testimony(
        fences=tuple(observers.fences),
        looks=tuple(observers.looks),
        wishes=planners.wishes,
        replies=tuple(planners.replies),
        entries=entries,
        changes=changes,
        zone_at_begin=zone_at_begin,
        zone_at_end=await stage.transfer(),
        fence_at_end=await observers.look_at_fence(),
        newest=newest,
        converged_s=converged_s,
    )


async def converge(stage: Scene, observers: Observers, since: float) -> tuple[int, float | None]:
    """Wait until the zone stands at its newest generation with every plan settled; return it and how long it took."""
    while True:
        zone = await stage.get(f"/v1/zones/{ZONE}")
        newest, fence = int(zone["newest"]), observers.newest
        took_s = time.monotonic() - since
        if fence is not None and fence.base == newest and not zone["pending"]:
            return newest, took_s
        if took_s > CONVERGENCE_S_MAX:
            return newest, None
        await observers.moved.heard(0.1)


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.crash", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--victim", choices=["daemon", "postgresql", "primary"], default="daemon")
    parser.add_argument("--server", choices=["bind", "embedded"], default="bind")
    parser.add_argument("--daemons", type=int, choices=[1, 2], default=1)
    parser.add_argument("--seed", type=int, default=None, help="choices recur with it; a random one if absent")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args(arguments)
    if asked.server == "embedded" and asked.daemons != 1:
        parser.error("the embedded server belongs to one daemon; use --server bind with --daemons 2")
    if asked.server == "embedded" and asked.victim == "primary":
        parser.error("the embedded server dies with its daemon; use --server bind with --victim primary")
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    options = Options(asked.kills, asked.server, asked.daemons, seed, victim=asked.victim)
    try:
        with tempfile.TemporaryDirectory(prefix="dnsguard-campaign-") as folder:
            account = asyncio.run(run(options, Path(folder)))
    except (NotStarted, pytest.skip.Exception, pytest.fail.Exception) as error:
        sys.stderr.write(f"the campaign (seed {seed}) cannot run: {error}\n")
        return 2
    if asked.json:
        violations = [f"{each.number} {each.invariant}: {each.detail}" for each in account.violations]
        print(json.dumps(account.figures() | {"violated": violations, "missing": account.missing()}, indent=2))
    else:
        print(account.table())
    return 1 if account.violations or account.missing() else 0


if __name__ == "__main__":
    sys.exit(main())
