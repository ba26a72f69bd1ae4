"""Faults: each is begun, lasts, and is lifted again, whatever happens meanwhile; when it was is written into the
history. Which comes when is drawn from a seed. Nothing here judges what comes of it.
"""

import asyncio
import contextlib
import errno
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.pacing import came
from tests.chaos.effects import clock_is_elsewhere, is_closed, is_full, is_gone, is_silent, stood_still_at
from tests.chaos.history import PRIMARY, Down, Fault, Writer
from tests.chaos.kinds import (
    CLOCK,
    CUT,
    DATABASE_KILLED,
    FULL,
    HELD,
    KILLED,
    KINDS,
    LOST,
    PRIMARY_KILLED,
    RESET,
    SECONDARY_KILLED,
    SLOW,
    STOPPED,
    impossible,
)
from tests.chaos.observe import Asker, NoAnswer
from tests.chaos.stage import SECONDARIES, Member, Stage, libfaketime
from tests.servers.process import NotStarted
from tests.servers.running import Running

STOPPED_S = (4.5, 7.0)
"""Longer than every timeout of a daemon on this stage, and of its clients."""
_LASTS_S = (2.5, 5.0)
_DOWN_S = (0.2, 1.5)
_PAUSE_S = (0.1, 0.9)
_AT_ONCE_MAX = 3
_CAUGHT_S_MAX = 5.0
_OVERTAKEN_S_MAX = 8.0
_START_TRIES_MAX = 60
_START_AGAIN_S = 0.3
_PASSING = (75, -signal.SIGKILL)
"""What a daemon ends with if it may be started again: EX_TEMPFAIL, or killed here since it took too long."""
_RESET_SHARE = 0.2
"""Of the messages between a daemon and the primary."""
_CLOCKS = ("+30", "+250", "+3600", "-250", "-7200", "+86400")


@dataclass(slots=True)
class Struck:
    """A fault while it lasts."""

    effect: bool = False
    """Whether it showed where it should."""


class Storm:
    """Draws and carries out faults."""

    def __init__(self, stage: Stage, writer: Writer, seed: int, without: Collection[str] = ()) -> None:
        """Prepare; faults of the kinds in ``without`` are left out."""
        self.fired: Counter[str] = Counter()
        """How many faults there were that had an effect, by kind."""
        self.idle: Counter[str] = Counter()
        """How many had none."""
        self.impossible = impossible(enclosed=stage.enclosure is not None, clocked=libfaketime() is not None)
        self.held_rcodes: Counter[int] = Counter()
        """What became of UPDATE messages that were held back while their daemon stood still."""
        self._stage = stage
        self._writer = writer
        self._chance = random.Random(f"{seed} faults")
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        every: dict[str, Callable[[], Awaitable[None]]] = {
            KILLED: self._kill_daemon,
            STOPPED: self._stop_daemon,
            HELD: self._hold_update,
            CUT: self._cut,
            LOST: self._lose,
            RESET: self._reset,
            SLOW: self._slow,
            PRIMARY_KILLED: lambda: self._kill_server(PRIMARY_KILLED, PRIMARY),
            SECONDARY_KILLED: lambda: self._kill_server(SECONDARY_KILLED, self._chance.choice(SECONDARIES)),
            DATABASE_KILLED: self._kill_database,
            CLOCK: self._move_clock,
            FULL: self._fill_disk,
        }
        left_out = self.impossible.keys() | set(without)
        self._kinds = {kind: every[kind] for kind in KINDS if kind not in left_out}

    async def rage(self, seconds: float) -> None:
        """Let faults come for a time, each kind as often as any other; all are lifted when it returns."""
        end = time.monotonic() + seconds
        deck: list[str] = []
        try:
            while time.monotonic() < end:
                if not deck:
                    deck = [*self._kinds, HELD, HELD]
                    self._chance.shuffle(deck)
                    deck.sort(key=lambda kind: not self.fired[kind])  # drawn from the end: what never was comes first
                task = asyncio.create_task(self._carry_out(deck.pop()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                await _pause(self._chance.uniform(*_PAUSE_S))
                while len(self._tasks) >= _AT_ONCE_MAX:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for ended in [task for task in self._tasks if task.done()]:
                    ended.result()
        finally:
            for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _carry_out(self, kind: str) -> None:
        await self._kinds[kind]()

    @asynccontextmanager
    async def _fault(self, kind: str, *whom: str) -> AsyncIterator["Struck"]:
        """Note a fault, and whether it had an effect; who is hit by it is hit by no other one meanwhile."""
        self._busy.update(whom)
        begun, struck = time.monotonic(), Struck()
        try:
            yield struck
            (self.fired if struck.effect else self.idle)[kind] += 1
        finally:
            self._busy.difference_update(whom)
            self._writer.write(Fault(kind, begun, time.monotonic(), ", ".join(whom)))

    def _victim(self, *, small: bool = False) -> Member | None:
        """Draw a daemon that nothing has hit yet."""
        among = self._stage.everybody if small else self._stage.members
        free = [member for member in among if member.name not in self._busy and member.daemon.url is not None]
        return self._chance.choice(free) if free else None

    async def _kill_daemon(self) -> None:
        if (member := self._victim(small=True)) is None:
            return
        async with self._fault(KILLED, member.name) as struck:
            pid = member.daemon.pid
            await member.daemon.kill()
            struck.effect = is_gone(pid)
            await _pause(self._chance.uniform(*_DOWN_S))
            await started(member)

    async def _stop_daemon(self) -> None:
        if (member := self._victim(small=True)) is None:
            return
        async with self._fault(STOPPED, member.name) as struck:
            with stopped(member):
                await _pause(_PAUSE_S[0])
                then = stood_still_at(member.daemon.pid)
                await _pause(self._chance.uniform(*STOPPED_S))
                struck.effect = then is not None and stood_still_at(member.daemon.pid) == then

    async def _hold_update(self) -> None:
        """Stop a daemon when its UPDATE is on its way, let others go on, then let the UPDATE arrive."""
        if (member := self._victim()) is None:
            return
        held = member.way.hold_next()
        try:
            self._busy.add(member.name)
            if not await came(held.caught, _CAUGHT_S_MAX):
                return
            async with self._fault(HELD, member.name) as struck:
                with stopped(member):
                    struck.effect = await self._overtaken(held.zone)
                    held.let_go.set()
                    with contextlib.suppress(TimeoutError):
                        self.held_rcodes[await asyncio.wait_for(asyncio.shield(held.answered), 3.0)] += 1
        finally:
            member.way.hold_none()
            held.let_go.set()
            self._busy.discard(member.name)

    async def _overtaken(self, zone: str) -> bool:
        """Wait until others have moved a zone's fence, and for longer than any timeout; tell whether they have."""
        begun = time.monotonic()
        first: str | None = None
        with contextlib.closing(Asker(self._stage.servers[PRIMARY].address)) as asker:
            while (took := time.monotonic() - begun) < _OVERTAKEN_S_MAX:
                with contextlib.suppress(NoAnswer):
                    now, _, _ = await asker.ask(f"_dnsguard.{zone}", "TXT")
                    first = first or now
                    if now != first and took > STOPPED_S[0]:
                        return True
                await _pause(0.1)
        return False

    async def _cut(self) -> None:
        enclosure = self._stage.enclosure
        if enclosure is None:
            if (member := self._victim()) is None:
                return
            async with self._fault(CUT, member.name) as struck, meeting(struck, "cut", member):
                member.way.cut = True
                try:
                    await _pause(self._chance.uniform(*_LASTS_S))
                finally:
                    member.way.cut = False
            return
        names = [member.name for member in self._stage.members]
        daemon = self._chance.choice(names)
        host, *others = self._chance.choice(
            [
                (daemon,),
                (daemon, PRIMARY),
                (daemon, "database"),
                (daemon, PRIMARY, *SECONDARIES),
                (PRIMARY, *SECONDARIES),
                (PRIMARY, *names),
                ("database", *names),
                (self._chance.choice(SECONDARIES),),
            ]
        )
        if host in self._busy:
            return
        async with self._fault(CUT, host) as struck:
            await enclosure.cut(host, *others)
            try:
                await _pause(self._chance.uniform(*_LASTS_S))
            finally:
                struck.effect = await enclosure.mend(host) > 0

    async def _lose(self) -> None:
        enclosure = self._stage.enclosure
        host = self._chance.choice(
            [*(member.name for member in self._stage.members), PRIMARY, *SECONDARIES, "database"]
        )
        if enclosure is None or host in self._busy:
            return
        async with self._fault(LOST, host) as struck:
            await enclosure.lose(host, self._chance.choice([10, 20, 35]))
            try:
                await _pause(self._chance.uniform(*_LASTS_S))
            finally:
                struck.effect = await enclosure.mend(host) > 0

    async def _reset(self) -> None:
        if (member := self._victim(small=True)) is None or member.way.resets is not None:
            return
        chance = self._chance
        async with self._fault(RESET) as struck, meeting(struck, "reset", member):
            member.way.resets = lambda: chance.random() < _RESET_SHARE
            try:
                await _pause(chance.uniform(*_LASTS_S))
            finally:
                member.way.resets = None

    async def _kill_server(self, kind: str, name: str) -> None:
        if name in self._busy:
            return
        server: Running = self._stage.servers[name]
        async with self._fault(kind, name) as struck:
            since = time.monotonic()
            await server.kill()
            struck.effect = await is_silent(server.address, self._stage.zones[0])
            await _pause(self._chance.uniform(*_DOWN_S))
            await server.restart()
            self._writer.write(Down(name, since, time.monotonic()))

    async def _kill_database(self) -> None:
        if "database" in self._busy:
            return
        async with self._fault(DATABASE_KILLED, "database") as struck:
            await self._stage.database.kill()
            struck.effect = await is_closed(self._stage.database.address)
            await _pause(self._chance.uniform(*_DOWN_S))
            await self._stage.database.restart()

    async def _move_clock(self) -> None:
        member = next(member for member in self._stage.members if member.clock is not None)
        if member.clock is None or member.name in self._busy:
            return
        async with self._fault(CLOCK, member.name) as struck:
            member.clock.write_text(f"{self._chance.choice(_CLOCKS)}\n")
            try:
                await _pause(self._chance.uniform(*_LASTS_S))
                struck.effect = await clock_is_elsewhere(self._stage.session, member.daemon.url)
            finally:
                member.clock.write_text("+0\n")

    async def _slow(self) -> None:
        slowed = self._stage.members if self._chance.random() < 0.3 else [self._chance.choice(self._stage.members)]
        if any(member.way.delay_s is not None for member in slowed):
            return
        chance, longest = self._chance, self._chance.choice([0.3, 1.0, 2.5])
        async with self._fault(SLOW) as struck, meeting(struck, "delayed", *slowed):
            try:
                for member in slowed:
                    member.way.delay_s = lambda: chance.uniform(0, longest)
                await _pause(chance.uniform(*_LASTS_S))
            finally:
                for member in slowed:
                    member.way.delay_s = None

    async def _fill_disk(self) -> None:
        disk = self._stage.disk
        if disk is None or "disk" in self._busy:
            return
        ballast = disk / "ballast"
        async with self._fault(FULL, "disk") as struck:
            try:
                fill(ballast)
                struck.effect = is_full(disk)
                await _pause(self._chance.uniform(*_LASTS_S))
            finally:
                ballast.unlink(missing_ok=True)


async def started(member: Member) -> None:
    """Start a daemon, again and again while it ends because what it needs is away, as a service's supervisor does.

    Raises NotStarted if it ends otherwise: that says that a person has to change something, and nobody has.
    """
    for tries_left in reversed(range(_START_TRIES_MAX)):
        try:
            return await member.daemon.start()
        except NotStarted:
            status = await member.daemon.stop()
            if not tries_left or status not in _PASSING:
                raise
            await _pause(_START_AGAIN_S)
    return None


@asynccontextmanager
async def meeting(struck: Struck, what: str, *members: Member) -> AsyncIterator[None]:
    """Note whether messages on the ways of some daemons met with something."""
    before = sum(member.way.met[what] for member in members)
    yield
    struck.effect = sum(member.way.met[what] for member in members) > before


@contextlib.contextmanager
def stopped(member: Member) -> Iterator[None]:
    """Have a daemon stand still."""
    member.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        member.signal(signal.SIGCONT)


def fill(ballast: Path) -> None:
    """Write until there is no room."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            block = os.urandom(size)
            try:
                while True:
                    file.write(block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


async def _pause(seconds: float) -> None:
    await came(asyncio.Event(), seconds)
