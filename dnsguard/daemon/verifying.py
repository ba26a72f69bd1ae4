"""A zone's verifier as the daemon runs it: one comparison at a time, a few zones of a primary at once, periodic and on
demand. However many ask for one meanwhile, they share the next.
It is quiet when all is as it should be; what it finds goes to the metrics, and a repair wakes the enactor.
"""

import asyncio
import random
from collections.abc import Callable

from dnsguard.core.comparison import Verification
from dnsguard.core.message import Unreachable
from dnsguard.core.records import Key
from dnsguard.core.verification_state import VerificationState
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.loop import Loop
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outages import StoreOutage
from dnsguard.workers.step import Step
from dnsguard.workers.verifier import Postponed, Verifier

AT_ONCE_MAX = 2
"""Zones of one primary that a daemon compares at the same moment: each takes the memory of a whole zone."""


class Verifying:
    """One zone's verifier, its loop and its turns."""

    def __init__(
        self,
        verifier: Verifier,
        turns: asyncio.Semaphore,
        metrics: Metrics,
        wake_enactor: Callable[[], None],
        *,
        interval_s: float,
        backoff_s_max: float,
        outage: StoreOutage | None = None,
        is_known: Callable[[str], bool] = lambda _: False,
        lasting: Lasting | None = None,
    ) -> None:
        """Start; the first periodic comparison is some random part of an interval away. ``turns`` is the primary's."""
        self._verifier, self._turns, self._metrics, self._wake_enactor = verifier, turns, metrics, wake_enactor
        self._started_at, self._interval_s = verifier.clock.now(), interval_s
        metrics.watch_verification(verifier.zone, lambda: self.state, verifier.clock.now)
        self._one_at_a_time = asyncio.Lock()
        self._awaited: asyncio.Task[Verification | Unreachable | Postponed] | None = None
        self._looks: set[asyncio.Task[Verification | Unreachable | Postponed]] = set()
        self._loop = Loop(
            "verifier",
            verifier.zone,
            self._run_once,
            self._after,
            interval_s=interval_s,
            backoff_s_max=max(interval_s, backoff_s_max),
            first_s=interval_s * random.random(),  # noqa: S311  spreads load, no secret
            outage=outage,
            is_known=is_known,
        )
        self._task = (lasting or Lasting()).start(self._loop.run(), f"{verifier.zone} verifier")

    @property
    def last(self) -> Verification | None:
        """What the newest comparison came to, None if there was none yet."""
        return self._verifier.last

    @property
    def state(self) -> VerificationState:
        """How current that is, and why it is not."""
        verifier = self._verifier
        return VerificationState(
            self._started_at, self._interval_s, verifier.attempted_at, verifier.last, verifier.failure
        )

    @property
    def suspended(self) -> tuple[Key, ...]:
        """What is repaired no more for the time being."""
        return self._verifier.suspended

    async def look(self) -> Verification | Unreachable | Postponed:
        """Compare now; if something differs that the policy wants repaired, that follows by itself."""
        looking = self._awaited
        if looking is None:
            looking = self._awaited = asyncio.create_task(self._look(), name=f"{self._verifier.zone} verification")
            self._looks.add(looking)
            looking.add_done_callback(self._looks.discard)
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if not looking.cancelled() or (asker is not None and asker.cancelling()):
                raise
            return Postponed("the zone's settings have changed meanwhile; ask again")

    async def _look(self) -> Verification | Unreachable | Postponed:
        async with self._one_at_a_time, self._turns:
            self._awaited = None  # who asks from now on may mean what happened since
            found = await self._verifier.look()
        self._show()
        if isinstance(found, Verification) and found.total and self._verifier.policy.verify == "repair":
            self._loop.hurry()
        return found

    async def close(self) -> None:
        """End the loop, and what somebody still waits for."""
        tasks = (self._task, *self._looks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_once(self) -> Step:
        async with self._one_at_a_time, self._turns:
            return await self._verifier.run_once()

    def _after(self, step: Step) -> None:
        self._metrics.count("verifier", step)
        self._show()
        if step.rrsets:
            self._wake_enactor()

    def _show(self) -> None:
        if self.last is not None:
            self._metrics.verified(self.last, len(self._verifier.suspended))
