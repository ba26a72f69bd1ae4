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
from dnsguard.lab.demo.journal import OPERATOR, PLAN, ZONE_LANE, Event, Journal, Sent
from dnsguard.lab.demo.script import ALL_LOOK, LAST_PLAN, WAITING_PLAN, Beat, Script
from dnsguard.lab.demo.side import Setting, Side, open_side
from dnsguard.lab.demo.wording import short

SIDES = UNGUARDED_SIDE, GUARDED_SIDE, RESCUED_SIDE = "unguarded", "guarded", "rescued"


@dataclass(slots=True)
class Run:
    """A run of the demo, as far as it got. Times are story seconds."""

    script: Script
    server: str
    speed: float
    sides: dict[str, Side] = field(default_factory=dict)
    lost: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """The planner's plans that were thrown away, by side."""
    lost_before: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Those that were thrown away already when a side was given the history."""
    served: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    """By side, and endpoint by endpoint: the plan whose addresses the name server answered with at the end."""
    chapters: dict[str, float] = field(default_factory=dict)
    """When something began: empty, copied, switched off, repaired, switched on, current, ended."""

    def journal(self, side: str) -> Journal:
        """Return a side's journal."""
        return self.sides[side].journal

    @property
    def story(self) -> float:
        """Now, or when it ended."""
        now = next(iter(self.sides.values())).setting.clock.story if self.sides else 0.0
        return self.chapters.get("ended", now)

    @property
    def newest(self) -> int:
        """The newest plan that the planner has made."""
        return max((number for side in self.sides.values() for number in side.generations), default=0)

    def serves_newest(self, side: str) -> bool:
        """Tell whether a side answered, when it was asked last, with the newest plan's addresses everywhere."""
        return set(self.served.get(side, ())) == {self.newest}

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
            await _go_on(run, group)
            always.append(group.create_task(await _rescue(run, left, group)))
            await _repair(run, left)
            await _resume(run, group)
            await _current(run)
            run.chapters["ended"] = clock.story
            for name, side in run.sides.items():
                run.lost[name], run.served[name] = await side.lost(), await side.serves()
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


async def _go_on(run: Run, group: asyncio.TaskGroup) -> None:
    """Have the planner go on: one plan more, which waits on the wedged side when that is copied."""
    clock = run.sides[UNGUARDED_SIDE].setting.clock
    await clock.until(_began(run) + run.script.waiting_after)
    for name in (UNGUARDED_SIDE, GUARDED_SIDE):
        group.create_task(run.sides[name].play(Beat(clock.story, (WAITING_PLAN,), ALL_LOOK)))


async def _rescue(run: Run, wedged: Side, group: asyncio.TaskGroup) -> Coroutine[None, None, None]:
    """Start guarded enactors on a copy of the wedged zone and of its history. Returns what watches them."""
    rescued = run.sides[RESCUED_SIDE]
    clock = rescued.setting.clock
    await clock.until(_began(run) + run.script.copied_after)
    with clock.working():
        await copy_zone(wedged.plain, rescued.plain)
        await copy_history(wedged.database, rescued.database)
        rescued.generations = dict(wedged.generations)
        run.lost_before[RESCUED_SIDE] = await rescued.lost()
    rescued.journal.inherit(wedged.journal)
    run.chapters["copied"] = clock.story
    rescued.journal.tell(OPERATOR, "zone.copied", "the wedged zone and its history are given to guarded enactors")
    rescued.start(group)
    group.create_task(rescued.play(Beat(clock.story, (), ALL_LOOK)))
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
        number = max(side.generations)
        message = await repair(side.plain, run.script.plan(number))
    if message is None:
        return
    run.chapters["repaired"] = clock.story
    about, label = ", ".join(short(update.key.name) for update in message.updates), f"{PLAN}{number}"
    sent = Sent(at, clock.story, OPERATOR, "by hand", "repair", about, None, number, label, message, "applied")
    side.journal.sent.append(sent)
    side.journal.tell(OPERATOR, "repair.applied", f"a plain UPDATE by hand puts {label}'s records at {about}", sent)


async def _resume(run: Run, group: asyncio.TaskGroup) -> None:
    """Switch the automation on again, with a new plan on all sides."""
    left = run.sides[UNGUARDED_SIDE]
    clock = left.setting.clock
    await clock.until(_began(run) + run.script.resumed_after)
    run.chapters["switched on"] = clock.story
    left.journal.tell(OPERATOR, "automation.started", "people switch the automation on again")
    left.start(group)
    for side in run.sides.values():
        group.create_task(side.play(Beat(clock.story, (LAST_PLAN,), ALL_LOOK)))


async def _current(run: Run) -> None:
    """Wait until every side serves the newest plan at all endpoints, or until it is clear that one will not."""
    clock = run.sides[UNGUARDED_SIDE].setting.clock
    while clock.story < _began(run) + run.script.current_by:
        await clock.sleep(run.script.client_every_s)
        for name, side in run.sides.items():
            run.served[name] = await side.serves()
        if run.newest == LAST_PLAN and all(run.serves_newest(name) for name in run.sides):
            run.chapters["current"] = clock.story
            await clock.sleep(run.script.epilogue_s)
            return
