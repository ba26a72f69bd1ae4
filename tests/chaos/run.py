"""A run from its first plan to its account: load, then faults, then quiet; what everybody saw goes into one history,
and a checker that knows nothing else judges it.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.campaigns.load import NoReply
from tests.campaigns.pacing import came
from tests.chaos.account import ACCEPTED_PER_S_MIN, Account, Conditions
from tests.chaos.checker import check
from tests.chaos.faults import Storm
from tests.chaos.history import PRIMARY, Contents, Ended, Handover, Transferred, Writer, read
from tests.chaos.observe import Asker, NoAnswer, Order
from tests.chaos.planners import Chronicler, Doors, Planners, keys_of
from tests.chaos.stage import HANDOVERS, KEPT, SECONDARIES, SMALL_ZONE, Kind, Stage, TransferFailed, stage
from tests.chaos.story import stories
from tests.servers.process import Process

WAITED_S_MAX = 20.0
"""How long quiet is waited for after the last fault; what was not there in time is said."""
UNGUARDED_WAITED_S_MAX = 2.0
_CALM_S, _CALMS_MAX = 5.0, 4
"""Load alone, before the first fault: for so long, and so many times until there is enough of it."""
_PLANNERS = 12
"""For each zone of the daemons that share a database. So many that load shows on a busy machine, too."""
_CALM_PACE_S, _PACE_S = 0.15, 0.45
"""How long a planner rests after a plan, before the first fault and from then on."""
_SMALL_PLANNERS, _SMALL_PACE_S = 6, 1.0
_ROOT = Path(__file__).resolve().parents[2]
_OBSERVERS = {PRIMARY: 3, SECONDARIES[0]: 1, SECONDARIES[1]: 1}
_LOOKS_PACE_S = 0.016


@dataclass(frozen=True, slots=True)
class Options:
    """What is run; the seed makes choices recur, though not what the machine makes of them."""

    minutes: float = 20.0
    seed: int = 1
    primary: Kind = "bind"
    unguarded: bool = False
    enclosed: bool = True
    without: frozenset[str] = frozenset()
    """Kinds of fault that are left out."""


async def chaos(options: Options, folder: Path, histories: Path) -> Account:
    """Run it on a stage in a folder; histories stay in another. Raises what keeps it from running."""
    clients, eyes = histories / "clients.jsonl", histories / "observers.jsonl"
    async with AsyncExitStack() as stack:
        writer = stack.enter_context(contextlib.closing(Writer(clients)))
        made = await stack.enter_async_context(
            stage(folder, options.primary, enclosed=options.enclosed, unguarded=options.unguarded)
        )
        for member in made.everybody:
            await member.daemon.start()
        for server, lasts_s in HANDOVERS.items():
            writer.write(Handover(server, lasts_s))
        for zone in made.zones:
            writer.write(Transferred(zone, PRIMARY, await made.transfer(PRIMARY, zone)))
        try:
            conditions = await _storm(options, made, writer, folder, eyes)
        finally:
            for member in made.everybody:
                (histories / f"{member.name}.log").write_text("\n".join(member.daemon.tail) + "\n", encoding="utf-8")
    told = stories(read([clients, eyes]))
    violations = [violation for story in told.values() for violation in check(story)]
    return Account(conditions, told, sorted(violations, key=lambda each: each.number))


async def _storm(options: Options, made: Stage, writer: Writer, folder: Path, eyes: Path) -> Conditions:
    seed, over = options.seed, asyncio.Event()
    patience_s = UNGUARDED_WAITED_S_MAX if options.unguarded else WAITED_S_MAX
    doors = {zone: Doors(lambda zone=zone: made.doors(zone), made.token, made.session) for zone in made.zones}  # type: ignore[misc]  # mypy infers no default
    planners = [
        Planners(zone, doors[zone], writer, seed, pace_s=pace_s, count=count)
        for zone in made.zones
        for count, pace_s in [(_SMALL_PLANNERS, _SMALL_PACE_S) if zone == SMALL_ZONE else (_PLANNERS, _CALM_PACE_S)]
    ]
    chroniclers = [
        Chronicler(each.zone, doors[each.zone], writer, seed, kept=KEPT, rollbacks=each.rollbacks) for each in planners
    ]
    storm = Storm(made, writer, seed, options.without)
    async with _observers(made, seed, folder, eyes), AsyncExitStack() as stack:
        for each in planners:
            await stack.enter_async_context(each)
        following = [asyncio.create_task(each.follow(over)) for each in chroniclers]
        began, stormed = await _calm(planners)
        for each in planners:
            each.pace_s = max(each.pace_s, _PACE_S)  # what faults cost is not to be hidden by what load costs
        await storm.rage(options.minutes * 60)
        since = time.monotonic()
        for each in planners:
            each.stop()
        with contextlib.suppress(TimeoutError):  # the account tells who has no answer
            async with asyncio.timeout(patience_s):
                await asyncio.gather(*(each.finish() for each in planners))
        await asyncio.gather(*(_converge(made, doors[zone], writer, zone, since, patience_s) for zone in made.zones))
        await asyncio.gather(*(_transfer_last(made, writer, zone, patience_s) for zone in made.zones))
        over.set()
        await asyncio.gather(*following)
        await asyncio.gather(*(_settled(each, patience_s) for each in chroniclers))
        await came(asyncio.Event(), 0.2)  # one more look of each observer
    for member in made.everybody:
        await member.daemon.stop()
    return Conditions(
        primary=options.primary,
        mode="unguarded" if options.unguarded else "guarded",
        enclosed=options.enclosed,
        seed=seed,
        began=began,
        stormed=stormed,
        impossible=storm.impossible,
        without=options.without,
        fired=storm.fired,
        idle=storm.idle,
        refused_writes=made.refused,
        held_rcodes=storm.held_rcodes,
        unanswered=[said for each in planners for said in each.unanswered],
        turned_away=sum(each.turned_away for each in planners if each.zone == SMALL_ZONE),
        unread=sum(each.unread for each in chroniclers),
        words=[line for member in made.everybody for line in member.daemon.words],
    )


async def _calm(planners: Sequence[Planners]) -> tuple[float, float]:
    """Wait until load is there, if it comes; return from when until when it was measured."""
    began = time.monotonic()
    for _ in range(_CALMS_MAX):
        began, before = time.monotonic(), sum(each.accepted for each in planners)
        await came(asyncio.Event(), _CALM_S)
        took = time.monotonic() - began
        if sum(each.accepted for each in planners) - before >= ACCEPTED_PER_S_MIN * took:
            break
    return began, time.monotonic()


@asynccontextmanager
async def _observers(made: Stage, seed: int, folder: Path, eyes: Path) -> AsyncIterator[None]:
    """Have the observers at work."""
    order = Order(
        servers={name: server.address for name, server in made.servers.items()},
        zones={zone: keys_of(zone) for zone in made.zones},
        observers=_OBSERVERS,
        pace_s=_LOOKS_PACE_S,
        seed=seed,
        path=str(eyes),
    )
    path = folder / "observers.json"
    path.write_bytes(msgspec.json.encode(order))
    process = Process(
        [sys.executable, "-m", "tests.chaos.observe", str(path)],
        ready="^observing",
        folder=_ROOT,
    )
    await process.started()
    try:
        yield
    finally:
        status = await process.stop(signal.SIGTERM)
    if status:
        raise RuntimeError(f"the observers ended with {status}:\n{process.tail()}")


async def _converge(made: Stage, doors: Doors, writer: Writer, zone: str, since: float, patience_s: float) -> None:
    """Wait until the primary stands at the newest generation and no plan is pending; note when that was."""
    chance = random.Random(zone)
    newest, at, end = 0, None, time.monotonic() + patience_s
    with contextlib.closing(Asker(made.servers[PRIMARY].address)) as asker:
        while at is None and time.monotonic() < end:
            with contextlib.suppress(NoReply, NoAnswer):
                found = await doors.ask(chance, "GET", f"/v1/zones/{zone}")
                shown, _, _ = await asker.ask(f"_dnsguard.{zone}", "TXT")
                if found.status == 200:
                    newest = int(found.document["newest"])
                    stands = newest == 0 or (f" g={newest} " in f"{shown} " and " base=" not in f"{shown}")
                    if stands and not found.document["pending"]:
                        at = time.monotonic()
                        break
            await came(asyncio.Event(), 0.1)
    writer.write(Ended(zone, newest, since, at))


async def _transfer_last(made: Stage, writer: Writer, zone: str, patience_s: float) -> None:
    """Read the zone from every server, once the secondaries have what the primary has or had their time for it."""
    expected = await made.transfer(PRIMARY, zone)
    writer.write(Transferred(zone, PRIMARY, expected, last=True))
    end = time.monotonic() + patience_s
    for server in SECONDARIES:
        found: dict[str, Contents] = {}
        while found != expected and time.monotonic() < end:
            with contextlib.suppress(TransferFailed):
                found = await made.transfer(server, zone)
            await came(asyncio.Event(), 0.1)
        writer.write(Transferred(zone, server, found, last=True))


async def _settled(chronicler: Chronicler, patience_s: float) -> None:
    """Read the history to its end."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with contextlib.suppress(NoReply):
            await chronicler.read()
            if chronicler.settled:
                return
        await came(asyncio.Event(), 0.1)


def keep_out_of(
    environment: Sequence[str] = ("DNSGUARD_CONFIG", "DNSGUARD_DATA_DIR", "DNSGUARD_DNS", "DNSGUARD_HTTP"),
) -> None:
    """Forget settings of the caller's own daemon."""
    for name in environment:
        os.environ.pop(name, None)
