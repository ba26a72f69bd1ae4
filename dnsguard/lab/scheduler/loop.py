"""A deterministic asyncio event loop: every callback belongs to the actor whose context made it, and time is virtual.
Inside an actor the order is asyncio's own, first come first served; an actor runs until it waits for an effect,
a timer, or for ever. It never looks at the wall clock; threads, sockets, processes and the loop's signals raise.
"""

import asyncio
import heapq
from asyncio import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple

from dnsguard.lab.scheduler.actor import ACTOR, Actor, Callback, Crashed, Timer, unseen_failure, unseen_failures
from dnsguard.lab.scheduler.escape import LOOP_DOORS, EscapedSimulation, closed_door
from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.moves import MoveTable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALLBACKS_MAX = 100_000
"""An actor that does so much without any effect will never stop by itself."""


class Spinning(Exception):
    """An actor runs for ever without any effect."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs callbacks, actor by actor. Who goes next at an effect, and when time passes, is decided above."""

    def __init__(self, table: MoveTable, *, timed: bool) -> None:
        self.table = table
        self.timed = timed
        self.open()

    def open(self) -> None:
        """Begin anew."""
        self.now = 0.0
        self.escaped: EscapedSimulation | None = None
        self.hidden: str | None = None
        """What happened between actors other than through an effect."""
        self.touched: tuple[int, int] | None = None
        """What the move under way read and wrote, where that was less than declared."""
        self.faults: list[str] = []
        self._busy: deque[Actor] = deque()
        self._current: Actor | None = None
        self._timers_made = 0
        self._running = False

    def enter(self) -> None:
        """Become the running loop. Raises RuntimeError inside another one."""
        if _get_running_loop() is not None:
            raise RuntimeError("expected no running event loop, found one: run simulations from plain functions")
        _set_running_loop(self)
        self._running = True

    def leave(self) -> None:
        """Stop being the running loop."""
        self._running = False
        _set_running_loop(None)

    def begin(self, actor: Actor, coroutine: Coroutine[Any, Any, object]) -> None:
        """Give an actor its first task."""
        context = copy_context()
        context.run(ACTOR.set, actor)
        actor.main = self.create_task(coroutine, context=context)

    def drain(self) -> None:
        """Run every actor until it waits. Raises Spinning."""
        busy = self._busy
        fired = 0
        try:
            while busy:
                actor = self._current = busy.popleft()
                ready = actor.ready
                while ready:
                    handle = ready.popleft()
                    if handle.cancelled():
                        continue
                    fired += 1
                    if fired > CALLBACKS_MAX:
                        raise Spinning(actor.name)
                    try:
                        handle.fire()
                    except Exception as error:  # noqa: BLE001  a callback's error must not end the others
                        self.faults.append(f"{actor.name}: {type(error).__name__}: {error}")
                actor.busy = False
                main = actor.main
                if main is not None and main.done() and not actor.ended:
                    self._end(actor, main)
        finally:
            self._current = None

    def _end(self, actor: Actor, main: asyncio.Task[object]) -> None:
        """End a process whose main task is done, with whatever else it was at."""
        actor.ended = True
        error = None if main.cancelled() else main.exception()
        if error is not None and not actor.free:
            self.faults.append(f"{actor.name}: {type(error).__name__}: {error}")
        self.faults += unseen_failures(actor)
        actor.kill()

    # asyncio's side

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Queue a callback with its actor."""
        if context is None:
            context = copy_context()
        handle = Callback(callback, args, self, context)
        actor = context.get(ACTOR)
        if actor is None:
            raise self.refuse_escape("a callback that belongs to no actor")
        self._queue(actor, handle)
        return handle

    def _queue(self, actor: Actor, handle: Callback | Timer) -> None:
        if not actor.alive:
            handle.cancel()
            return
        current = self._current
        if current is not actor and current is not None:
            self.hidden = f"{current.name} woke {actor.name}"
        if not actor.busy:
            actor.busy = True
            self._busy.append(actor)
        actor.ready.append(handle)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Queue a callback for later."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Queue a callback for a moment of virtual time."""
        if context is None:
            context = copy_context()
        timer = Timer(when, callback, args, self, context)
        actor = context.get(ACTOR)
        if actor is None:
            raise self.refuse_escape("a timer that belongs to no actor")
        if actor.alive:
            self._timers_made += 1
            heapq.heappush(actor.timers, (when, self._timers_made, timer))
        return timer

    def fire_timer(self, actor: Actor, timer: Timer) -> None:
        """Let an actor's next timer come due."""
        heapq.heappop(actor.timers)
        when = timer.when()
        actor.now = max(actor.now, when)
        self.now = max(self.now, when)
        self._queue(actor, timer)

    def advance(self, actors: Iterable[Actor]) -> list[str]:
        """Pass to the next moment at which timers fire, and fire all of that moment. Returns whose, in order."""
        upcoming = [(timer.when(), actor) for actor in actors if (timer := actor.next_timer()) is not None]
        if not upcoming:
            return []
        moment = max(self.now, min(when for when, _ in upcoming))
        fired = []
        for _, actor in upcoming:
            while (timer := actor.next_timer()) is not None and timer.when() <= moment:
                self.fire_timer(actor, timer)
                fired.append(actor.name)
        self.now = moment
        return fired

    def time(self) -> float:
        """Return virtual seconds. Untimed, each actor has a clock of its own: a shared one would be a hidden effect."""
        if self.timed:
            return self.now
        actor = ACTOR.get()
        return 0.0 if actor is None else actor.now

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # later Pythons pass more
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None, **_: object
    ) -> asyncio.Task[T]:
        """Make a task of the actor in whose context this is."""
        actor = ACTOR.get() if context is None else context.get(ACTOR)
        if actor is None:
            coro.close()
            raise self.refuse_escape("a task that belongs to no actor")
        if not actor.alive:
            coro.close()
            raise Crashed(actor.name)
        task = asyncio.Task(coro, loop=self, name=actor.name if name is None else str(name), context=context)
        tasks = actor.tasks
        tasks.append(task)
        if len(tasks) % 256 == 0:
            tasks[:] = [task for task in tasks if not task.done() or unseen_failure(task)]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody handled, for the run's outcome."""
        error = context.get("exception")
        said = f"{context.get('message', '')}" + (f" ({type(error).__name__}: {error})" if error is not None else "")
        self.faults.append(said)

    def refuse_escape(self, what: str) -> EscapedSimulation:
        """Note an attempt to leave, so that the run fails even if the error is caught; return the error."""
        actor = ACTOR.get()
        who = "nobody" if actor is None else actor.name
        error = EscapedSimulation(
            f"expected only declared effects in a simulation, found {what} (by {who}): put it behind a gate"
        )
        self.escaped = self.escaped or error
        return error

    def is_running(self) -> bool:
        """Tell whether a run is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Tell that it can be used again."""
        return False

    def get_debug(self) -> bool:
        """Tell that asyncio's debug mode, which measures wall time, is off."""
        return False

    async def shutdown_asyncgens(self) -> None:
        """Have nothing to shut down: asynchronous generators end with their actor."""

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is, until it would be next."""


for _name in LOOP_DOORS:
    setattr(SimulatedLoop, _name, closed_door(_name))


class SimulatedGate:
    """A `Gate` at which effects wait until they are chosen."""

    __slots__ = ("_loop",)

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    async def pass_through(
        self, label: str, *, reads: Iterable[str] = (), writes: Iterable[str] = (), losable: bool = False
    ) -> Turn:
        """Return when it is this effect's turn. Raises Crashed in what is left of a crashed actor."""
        actor = ACTOR.get()
        if actor is None:
            raise self._loop.refuse_escape(f"the effect {label} of no actor")
        if not actor.alive:
            raise Crashed(actor.name)
        if actor.free:
            return Turn.GO
        future: asyncio.Future[Turn] = asyncio.Future(loop=self._loop)
        waiting = self._loop.table.waiting(actor.name, label, reads, writes, losable=losable, may_crash=actor.may_crash)
        actor.parked.append((future, waiting))
        return await future

    def touched(self, *, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
        """Narrow what the move under way counts as having touched."""
        actor = ACTOR.get()
        if actor is not None and not actor.free:
            self._loop.touched = self._loop.table.footprint(tuple(reads), tuple(writes))
