"""Actors: the processes of a simulation, each with its tasks, its timers, and the effects that it waits for.
A crashed one does nothing any more: what of it still unwinds finds every effect gone.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.moves import Waiting

Start = Callable[[], Coroutine[Any, Any, object]]
"""Makes the coroutine that an actor is; called in the actor's own context."""


class Crashed(BaseException):
    """Something of a crashed actor tried to go on."""


class Actor:
    """One life of one process: from its start to its end or crash."""

    __slots__ = (
        "alive", "busy", "ended", "free", "main", "may_crash", "may_wait", "name", "now", "parked", "ready",
        "restart", "tasks", "timers",
    )  # fmt: skip

    def __init__(
        self, name: str, *, restart: Start | None = None, may_crash: bool = True, may_wait: bool = False
    ) -> None:
        self.name = name
        self.restart = restart
        self.may_crash = may_crash
        self.may_wait = may_wait
        self.free = False
        """Its effects happen at once: it prepares the scene, or looks at what is left."""
        self.alive = True
        self.busy = False
        """It has callbacks that are due."""
        self.ended = False
        self.now = 0.0
        self.ready: deque[Callback | Timer] = deque()
        self.parked: deque[tuple[asyncio.Future[Turn], Waiting]] = deque()
        self.timers: list[tuple[float, int, Timer]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.main: asyncio.Task[object] | None = None

    def waiting(self) -> Waiting | None:
        """Return the effect that waits longest for its turn."""
        parked = self.parked
        while parked:
            if not parked[0][0].done():
                return parked[0][1]
            parked.popleft()
        return None

    def next_timer(self) -> "Timer | None":
        """Return the timer that fires next."""
        timers = self.timers
        while timers:
            if not timers[0][2].cancelled():
                return timers[0][2]
            heapq.heappop(timers)
        return None

    def kill(self) -> None:
        """End it as a power cut does: what still is to unwind finds every effect gone."""
        self.alive = False
        self.ready.clear()
        self.parked.clear()
        self.timers.clear()
        for task in self.tasks:
            if task.done():
                if not task.cancelled():
                    task.exception()
            else:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  asyncio's own do so
                coroutine = task.get_coro()
                if isinstance(coroutine, Coroutine):
                    context = copy_context()
                    context.run(ACTOR.set, self)
                    context.run(unwind, coroutine)
        self.tasks.clear()


ACTOR: ContextVar[Actor | None] = ContextVar("dnsguard_actor", default=None)


def unwind(coroutine: Coroutine[Any, Any, object]) -> None:
    """Close a coroutine that may await again while it is closed."""
    for _ in range(100):
        try:
            coroutine.close()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  whatever a dead process would still say, nobody hears
            if getattr(coroutine, "cr_frame", None) is None:
                return
        else:
            return


class Callback(asyncio.Handle):
    """A callback that is due."""

    __slots__ = ()

    _callback: Callable[..., object]
    _context: Context

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: asyncio.AbstractEventLoop, context: Context
    ) -> None:
        # asyncio.Handle's own does the same, and asks the loop about its debug mode: this is the hottest line here.
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._repr = None

    def fire(self) -> None:
        """Call it in its context."""
        self._context.run(self._callback, *self._args)


class Timer(asyncio.TimerHandle):
    """A callback that becomes due."""

    __slots__ = ()

    _callback: Callable[..., object]
    _context: Context

    def fire(self) -> None:
        """Call it in its context."""
        self._context.run(self._callback, *self._args)


def unseen_failure(task: asyncio.Task[Any]) -> bool:
    """Tell whether a task ended with an error that nobody has looked at."""
    return not task.cancelled() and bool(getattr(task, "_log_traceback", False))


def unseen_failures(actor: Actor) -> list[str]:
    """Return the errors of an actor's tasks that nobody has looked at."""
    return [
        f"{actor.name}: {type(error).__name__}: {error}"
        for task in actor.tasks
        if task is not actor.main and task.done() and unseen_failure(task) and (error := task.exception()) is not None
    ]
