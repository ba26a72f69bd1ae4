"""The zones that a daemon serves: for each its workers and their loops.
Zones come and go with the settings; a zone's loops end with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dnsguard.core.comparison import Verification
from dnsguard.core.guards import Guards
from dnsguard.core.policy import Policy
from dnsguard.daemon.config import WorkersSection
from dnsguard.daemon.doorway import Doorway
from dnsguard.daemon.examining import Examining
from dnsguard.daemon.following import Following
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.loop import Loop
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outages import PrimaryOutage, StoreOutage
from dnsguard.daemon.verifying import Verifying
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.effects import Clock, Publisher, Store
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Step, Then

STALLED_EVENTS = frozenset(
    {
        "primary.unreachable",
        "primary.refusing",
        "primary.shared",
        "store.unavailable",
        "worker.failed",
        "zone.halted",
        "zone.redirected",
    }
)


@dataclass(slots=True)
class ZoneRoom:
    """One zone at work."""

    planner: Planner
    publisher: Publisher
    loops: tuple[Loop, Loop]
    tasks: tuple[asyncio.Task[None], ...]
    refused: str = ""
    """Which names wait, apart from the zone's others, since the primary refuses what is on record there; mostly empty.
    """
    trouble: str = ""
    """Why nothing is being published at the moment; empty if nothing stands in the way."""
    is_away: bool = False
    """Whether the primary did not answer when it was asked last."""
    following: Following | None = None
    """The zone's way through its name servers, if it lists any."""
    verifying: Verifying | None = None
    """The zone's verifier, if it has been started."""

    @property
    def verified(self) -> Verification | None:
        """What this daemon's newest verification came to, None if there was none yet."""
        return None if self.verifying is None else self.verifying.last

    def wake(self) -> None:
        """Have the enactor look at once."""
        self.loops[0].wake()

    def hurry(self) -> None:
        """Have the enactor look at once, even if it waits for trouble to pass."""
        self.loops[0].hurry()

    async def close(self) -> None:
        """End the loops."""
        if self.following is not None:
            await self.following.close()
        if self.verifying is not None:
            await self.verifying.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def open_room(
    zone: str,
    *,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    guards: Guards,
    policy: Policy,
    workers: WorkersSection,
    metrics: Metrics,
    returned: Callable[[str], None],
    recorded: Callable[[], None],
    examining: Examining,
    outage: StoreOutage,
    primary_outage: PrimaryOutage,
    lasting: Lasting,
    patience_s: Callable[[str], float] = lambda _: 0.0,
) -> ZoneRoom:
    """Start a zone's workers. ``returned`` is called when what stood in the zone's way is gone, ``recorded`` when the
    outcome of a plan may be on record.

    ``patience_s`` says how long other daemons are to be let look first when there is something to publish.
    """
    enactor = Enactor(zone, store, publisher, clock, guards, policy)
    cleanup = Cleanup(zone, store, publisher, guards, policy)

    def enacted(step: Step) -> None:
        metrics.count("enactor", step)
        room.is_away = step.event == "primary.unreachable"
        if room.is_away:
            primary_outage.begin(zone, step.detail)
        elif step.event not in {"store.unavailable", "worker.failed"}:
            primary_outage.end(zone)
        if step.event == "publication.completed" and room.following is not None:
            room.following.hurry()
        if step.event in STALLED_EVENTS:
            room.trouble = step.detail or step.event
        elif room.trouble and (step.then is Then.WOKEN or step.messages):
            room.trouble = ""
            returned(zone)
        if step.event == "name.refused" or step.then is Then.WOKEN:
            room.refused = step.detail if step.event in {"name.refused", "plan.waiting"} else ""
        if step.event in {
            "publication.completed",
            "plan.rejected",
            "plan.waiting",
            "plan.resumed",
            "withdrawal.refused",
            "name.refused",
            "name.mended",
            "zone.current",
            *STALLED_EVENTS,
        }:
            recorded()

    def cleaned(step: Step) -> None:
        metrics.count("cleanup", step)

    backoff_s_max = workers.backoff_s_max
    loops = (
        Loop(
            "enactor",
            zone,
            lambda: examining.before(enactor.run_once),
            enacted,
            interval_s=workers.enactor_interval_s,
            backoff_s_max=backoff_s_max,
            patience_s=lambda: patience_s(zone),
            outage=outage,
            is_known=primary_outage.knows,
        ),
        Loop(
            "cleanup",
            zone,
            lambda: examining.before(cleanup.run_once),
            cleaned,
            interval_s=workers.cleanup_interval_s,
            backoff_s_max=backoff_s_max,
            outage=outage,
            is_known=primary_outage.knows,
        ),
    )
    tasks = tuple(lasting.start(loop.run(), f"{zone} {loop.name}") for loop in loops)
    planner = Planner(store, Doorway(publisher, lambda: room.is_away), guards, policy, lambda: room.verified)
    room = ZoneRoom(planner, publisher, loops, tasks)
    return room
