"""Following zones through their name servers: one loop for each zone that lists some, what it found for those who
ask, and a word in the log when a server falls silent, lags, goes backwards, or comes round again.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from dnsguard.core.propagation import Served, Standing
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.loop import Loop
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outages import StoreOutage
from dnsguard.daemon.places import PropagationSection
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.observer import Follower
from dnsguard.workers.propagation import Propagation
from dnsguard.workers.step import Step

QUICK_S_MAX = 2.0
"""The longest pause while something is outstanding, for as long as it is: with hundreds of zones behind one dead server
a look at each of them still costs little."""
REST_S = 0.05
"""The shortest pause: a zone that is published all the time is not asked for all the time."""

_WORRYING = {
    Standing.SILENT: "name_server.silenced",
    Standing.LAGGING: "name_server.delayed",
    Standing.FOREIGN: "name_server.estranged",
    Standing.BACKWARDS: "name_server.reverted",
}

log = structlog.get_logger()


class Following:
    """One zone, and the name servers that follow it."""

    def __init__(
        self,
        propagation: Propagation,
        settings: PropagationSection,
        metrics: Metrics,
        told: Callable[[], None],
        outage: StoreOutage,
        lasting: Lasting,
    ) -> None:
        """Begin; ``told`` is called when the zone has propagated further, or a server stands otherwise than before."""
        self._propagation = propagation
        self._metrics = metrics
        self._told = told
        self._before = dict(propagation.served)
        self._loop = Loop(
            "propagation",
            propagation.zone,
            propagation.run_once,
            self._after,
            interval_s=settings.interval_s,
            backoff_s_max=QUICK_S_MAX,
            rest_s=REST_S,
            outage=outage,
        )
        self._task = lasting.start(self._loop.run(), f"{propagation.zone} propagation")

    @property
    def served(self) -> tuple[Served, ...]:
        """How each name server stands, in the order of the settings."""
        return tuple(self._propagation.served.values())

    def hurry(self) -> None:
        """Say that something was published: ask at once."""
        self._loop.hurry()

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _after(self, step: Step) -> None:
        self._metrics.count("propagation", step)
        moved = step.event == "propagation.completed"
        for server, served in self._propagation.served.items():
            before, self._before[server] = self._before[server], served
            if served.standing is not before.standing:
                moved = True
                self._say(before, served)
            self._metrics.follow(step.zone, served, before)
        if moved:
            self._told()

    def _say(self, before: Served, served: Served) -> None:
        zone, said = self._propagation.zone, _WORRYING.get(served.standing)
        if said is not None:
            level = log.error if served.standing in {Standing.FOREIGN, Standing.BACKWARDS} else log.warning
            level(
                said,
                zone=zone,
                server=served.server,
                generation=served.generation,
                behind=served.behind,
                detail=served.detail,
            )
        elif before.standing in _WORRYING and served.standing is Standing.CURRENT:
            log.info("name_server.recovered", zone=zone, server=served.server, generation=served.generation)


class Circle:
    """The name servers of one daemon, each asked by any number of zones."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Prepare; ``now`` gives seconds since the epoch, for signatures."""
        self._now = now
        self._followers: dict[str, Follower] = {}

    def keep(self, servers: Mapping[str, NameServer]) -> None:
        """Know these servers and no others from now on."""
        self._followers = {
            name: known
            if (known := self._followers.get(name)) is not None and known.server == server
            else Follower(server, self._now)
            for name, server in servers.items()
        }

    def of(self, names: tuple[str, ...]) -> tuple[Follower, ...]:
        """Return the servers of these names."""
        return tuple(self._followers[name] for name in names)
