"""Propagation asks each name server that a zone lists which generation it serves, and records what all of them do.
It looks and writes down; nothing is ever written to a name server here, and nothing that is rests on the answers.
"""

from dataclasses import dataclass, field

from dnsguard.core.message import Unreachable
from dnsguard.core.propagation import Served, completed, judge, propagated
from dnsguard.workers.effects import Clock, Observer, Tracks
from dnsguard.workers.step import Step, Then


@dataclass(slots=True)
class Propagation:
    """Follows one zone through its name servers."""

    zone: str
    servers: tuple[str, ...]
    tracks: Tracks
    observer: Observer
    clock: Clock
    lag_s_max: float
    served: dict[str, Served] = field(init=False)
    """How each server stands, in the order of the settings."""

    def __post_init__(self) -> None:
        self.served = {server: Served(server) for server in self.servers}

    async def run_once(self) -> Step:
        """Ask every server once, and record the newest generation that all of them serve."""
        answers = await self.observer.fences(self.zone)
        asked_at = self.clock.now()
        seen = [answer for answer in answers.values() if not isinstance(answer, Unreachable)]
        fences = frozenset(answer.fence for answer in seen if answer.fence is not None)
        known = {each.generation or 0 for each in self.served.values()}
        tracked = await self.tracks.track(self.zone, fences, known | {0} | {completed(answer) for answer in seen})
        self.served = {
            server: judge(before, answers[server], tracked, asked_at=asked_at, lag_s_max=self.lag_s_max)
            for server, before in self.served.items()
        }
        reached, published = propagated(self.served.values(), tracked.zone.published), tracked.zone.published
        if reached is not None and reached > tracked.zone.propagated:
            await self.tracks.propagate(self.zone, reached, self.servers, asked_at)
            then = Then.WOKEN if reached == published else Then.AT_ONCE
            return Step("propagation.completed", then, self.zone, reached)
        if all(each.generation is not None and each.generation >= published for each in self.served.values()):
            return Step("propagation.current", Then.WOKEN, self.zone, reached)
        behind = [each.behind_since for each in self.served.values() if each.behind_since is not None]
        in_time = bool(behind) and asked_at - min(behind) <= self.lag_s_max
        # However long it takes: nobody says when a server that was away is back.
        return Step("propagation.awaited" if in_time else "propagation.delayed", Then.LATER, self.zone, published)
