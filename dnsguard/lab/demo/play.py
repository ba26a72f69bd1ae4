"""The play: both sides at once on the same script, then the wedge, its copy under guards, and the repair by hand.
It only starts things and waits for them; what the workers do, nobody tells them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time as real_time

from dnsguard.core.guards import GUARDED, UNGUARDED
from dnsguard.lab.demo.clock import StoryClock
from dnsguard.lab.demo.hands import copy_history, copy_zone, repair
from dnsguard.lab.demo.journal import OPERATOR, ZONE_LANE, Event, Journal, Sent
from dnsguard.lab.demo.script import LAST_PLAN, Script
from dnsguard.lab.demo.side import Setting, Side, open_side
from dnsguard.lab.demo.wording import short

UNGUARDED_SIDE, GUARDED_SIDE, RESCUED_SIDE = "unguarded", "guarded", "rescued"


@dataclass(slots=True)
class Run:
    """A run of the demo, as far as it got. Times are story seconds."""

    script: Script
    server: str
    speed: float
    sides: dict[str, Side] = field(default_factory=dict)
    lost: dict[str, tuple[int, ...]] = field(default_factory=dict)
    chapters: dict[str, float] = field(default_factory=dict)
    """When something began: empty, copied, healed, switched off, repaired, switched on, ended."""

    def journal(self, side: str) -> Journal:
        """Return a side's journal."""
        return self.sides[side].journal

    @property
    def story(self) -> float:
        """Now, or when it ended."""
        now = next(iter(self.sides.values())).setting.clock.story if self.sides else 0.0
        return self.chapters.get("ended", now)

    def hurry(self) -> None:
        """Let it end at once, and in order; what comes then is not the story any more."""
        for side in self.sides.values():
            side.setting.clock.hurry()

    def events(self) -> list[Event]:
        """Return what was told on all sides, in order."""
        told = [event for side in self.sides.values() for event in side.journal.events if event.at <= self.story]
        return sorted(told, key=lambda event: event.at)


async def perform(run: Run, *, opened: Callable[[Run], None] = lambda _: None) -> None:
    """Play it all; the run is filled as it goes. Raises ServerUnavailable."""
    script = run.script
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dnsguard-demo-")))
        clock = StoryClock(run.speed, str(script.seed), real_time())
        setting = Setting(script, run.server, folder, clock)
        for name, guards in ((UNGUARDED_SIDE, UNGUARDED), (GUARDED_SIDE, GUARDED), (RESCUED_SIDE, GUARDED)):
            run.sides[name] = await stack.enter_async_context(open_side(name, guards, setting))
        left, right = run.sides[UNGUARDED_SIDE], run.sides[GUARDED_SIDE]
        clock.restart()
        opened(run)
        async with asyncio.TaskGroup() as group:
            always = []
            for side in (left, right):
                side.start(group)
                group.create_task(_beats(side, script))
                always += [group.create_task(side.watch()), group.create_task(side.ask())]
            await _first_empty(run, left)
            always.append(group.create_task(await _rescue(run, left, group)))
            await _repair(run, left)
            await _resume(run, group)
            run.chapters["ended"] = clock.story
            for name, side in run.sides.items():
                run.lost[name] = await side.lost()
            for task in always:
                task.cancel()
            clock.hurry()
            for side in run.sides.values():
                await side.stop()


async def _beats(side: Side, script: Script) -> None:
    async with asyncio.TaskGroup() as looks:
        for beat in script.beats:
            await side.setting.clock.until(beat.at)
            looks.create_task(side.play(beat))


async def _first_empty(run: Run, side: Side) -> None:
    """Wait until the main endpoint is empty, or until it is clear that it will not be."""
    clock = side.setting.clock
    while clock.story < run.script.incident_by:
        if (span := side.journal.first(ZONE_LANE, "empty")) is not None:
            run.chapters["empty"] = span.start
            return
        await clock.sleep(run.script.watch_every_s)


def _began(run: Run) -> float:
    """Return when what follows the incident begins to be counted."""
    return run.chapters.get("empty", run.script.incident_by)


async def _rescue(run: Run, wedged: Side, group: asyncio.TaskGroup) -> Coroutine[None, None, None]:
    """Start guarded enactors on a copy of the wedged zone and of its history. Returns what watches them."""
    rescued = run.sides[RESCUED_SIDE]
    clock = rescued.setting.clock
    await clock.until(_began(run) + run.script.copied_after)
    with clock.working():
        await copy_zone(wedged.plain, rescued.plain)
        await copy_history(wedged.database, rescued.database)
    rescued.generations = dict(wedged.generations)
    for number in await rescued.lost():
        del rescued.generations[number]  # Thrown away before it was copied.
    run.chapters["copied"] = clock.story
    rescued.journal.tell(OPERATOR, "zone.copied", "the wedged zone and its history are given to guarded enactors")
    rescued.start(group)
    rescued.wake()
    return rescued.watch()


async def _repair(run: Run, side: Side) -> None:
    """Switch the automation off, and repair by hand."""
    clock = side.setting.clock
    await clock.until(_began(run) + run.script.repaired_after)
    run.chapters["switched off"] = clock.story
    side.journal.tell(OPERATOR, "automation.stopped", "people switch the automation off")
    await side.stop()
    at = clock.story
    with clock.working():
        message = await repair(side.plain, run.script.plan(max(side.generations)))
    if message is None:
        return
    run.chapters["repaired"] = clock.story
    about = ", ".join(short(update.key.name) for update in message.updates)
    sent = Sent(at, clock.story, OPERATOR, "by hand", "repair", about, None, message, "applied")
    side.journal.sent.append(sent)
    side.journal.tell(OPERATOR, "repair.applied", f"a plain UPDATE by hand puts records at {about}", sent)


async def _resume(run: Run, group: asyncio.TaskGroup) -> None:
    """Switch the automation on again, with a new plan on both sides."""
    left, right = run.sides[UNGUARDED_SIDE], run.sides[GUARDED_SIDE]
    clock = left.setting.clock
    await clock.until(_began(run) + run.script.resumed_after)
    run.chapters["switched on"] = clock.story
    left.journal.tell(OPERATOR, "automation.started", "people switch the automation on again")
    left.start(group)
    for side in (left, right):
        await side.submit(LAST_PLAN)
        side.wake()
    await clock.until(_began(run) + run.script.ended_after)
