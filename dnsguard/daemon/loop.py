"""The loop that runs a worker again: at once, when woken or due, or after a growing, jittered delay.
Written once, for every worker; no worker knows it, and no fault of a worker ends it. A fault of the loop itself ends
the daemon (`lasting`), since nobody would look after the zone any more.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from dnsguard.core.history import StoreUnavailable
from dnsguard.daemon.outages import StoreOutage
from dnsguard.workers.step import Step, Then

_BACKOFF_S_MIN = 0.05
_RUNS_AT_ONCE_MAX = 1_000
"""After so many runs in a row without a pause the loop pauses all the same."""
_SAME_AT_ONCE_MAX = 3
"""So often in a row a run may come to the same, with no message answered, and be followed by the next at once: a
primary that hangs up on every update is somebody else's trouble."""

log = structlog.get_logger()


class Loop:
    """Runs one worker for ever."""

    def __init__(
        self,
        name: str,
        zone: str,
        run_once: Callable[[], Awaitable[Step]],
        after: Callable[[Step], None],
        *,
        interval_s: float,
        backoff_s_max: float,
        rest_s: float = 0.0,
        first_s: float = 0.0,
        patience_s: Callable[[], float] = lambda: 0.0,
        outage: StoreOutage | None = None,
        is_known: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Prepare; ``rest_s`` is how long the worker rests after a run even if it is woken.

        ``first_s`` is how long it waits before its first run unless it is hurried. ``patience_s`` says how long to
        leave news to others who are better placed. A worker that finds the store away runs again as soon as ``outage``
        is over. ``is_known`` tells whether it is said already, for all zones, why the primary is away.
        """
        self._outage, self._is_known = outage or StoreOutage(), is_known
        self._patience_s = patience_s
        self.name, self._zone = name, zone
        self._run_once, self._after = run_once, after
        self._interval_s, self._backoff_s_max = interval_s, backoff_s_max
        self._rest_s, self._first_s = rest_s, first_s
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()
        self._said = ""

    def wake(self) -> None:
        """Say that there is news; remembered while the worker runs."""
        self._woken.set()

    def hurry(self) -> None:
        """Say that what stood in the way may be gone: a delay is cut short, too."""
        self._woken.set()
        self._hurried.set()

    async def run(self) -> None:
        """Run until cancelled."""
        delay_s = _BACKOFF_S_MIN
        runs_at_once = same = 0
        before: Step | None = None
        if self._first_s:
            await self._wait(self._hurried, self._first_s)
        while True:
            self._woken.clear()
            self._hurried.clear()
            step = await self._run()
            self._say(step)
            self._after(step)
            if step.messages:
                delay_s = _BACKOFF_S_MIN  # it gets on: what stands in its way now is something else
            same = same + 1 if step == before and not step.messages and not step.refused else 0
            before = step
            match step.then:
                case Then.AT_ONCE if runs_at_once < _RUNS_AT_ONCE_MAX and same < _SAME_AT_ONCE_MAX:
                    runs_at_once += 1
                    await asyncio.sleep(0)
                    continue
                case Then.WOKEN:
                    delay_s = _BACKOFF_S_MIN
                    await asyncio.sleep(self._rest_s)
                    await self._wait(self._woken, self._interval_s * random.uniform(0.8, 1.2))  # noqa: S311  spreads load, no secret
                    if self._woken.is_set() and (patience_s := self._patience_s()):
                        await self._wait(self._hurried, patience_s)
                case _:
                    await asyncio.sleep(self._rest_s)
                    await self._wait(self._hurried, delay_s * random.uniform(0.5, 1.0))  # noqa: S311  spreads load, no secret
                    delay_s = _BACKOFF_S_MIN if self._hurried.is_set() else min(delay_s * 2, self._backoff_s_max)
            runs_at_once = 0

    async def _run(self) -> Step:
        try:
            return await self._run_once()
        except StoreUnavailable as error:
            self._outage.begin(str(error), self.hurry)
            return Step("store.unavailable", Then.LATER, self._zone, detail=str(error))
        except Exception as error:
            log.exception("worker.failed", worker=self.name, zone=self._zone)
            return Step("worker.failed", Then.LATER, self._zone, detail=f"{type(error).__name__}: {error}")

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def _say(self, step: Step) -> None:
        """Log a step; what only repeats itself is said once."""
        saying = f"{step.event} {step.detail}"
        repeated, self._said = saying == self._said, saying
        match step.event:
            case "worker.failed":
                return
            case "zone.halted" | "repair.suspended" | "primary.shared":
                level = log.debug if repeated else log.error
            case "difference.found" | "repair.refused":
                level = log.debug if repeated else log.warning
            case "plan.rejected" | "repair.submitted":
                level = log.warning
            case "plan.waiting":
                level = log.debug if repeated else log.warning
            case "name.refused":
                level = log.debug if repeated else log.error
            case "name.mended" | "plan.resumed" | "withdrawal.refused":
                level = log.info
            case "primary.unreachable":
                level = log.debug if repeated or self._is_known(step.detail) else log.warning
            case "primary.refusing" | "publication.unclear" | "publication.unread":
                level = log.debug if repeated else log.warning
            case "publication.completed" if step.detail:
                level = log.error
            case "publication.completed" | "history.pruned":
                level = log.info
            case _:
                level = log.debug
        level(
            step.event,
            worker=self.name,
            zone=step.zone,
            **{
                name: value
                for name in ("generation", "detail", "messages", "rrsets", "refused")
                if (value := getattr(step, name))
            },
        )
