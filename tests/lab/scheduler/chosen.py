"""A chooser that follows wishes, for tests that say what happens next."""

from collections.abc import Awaitable, Callable, Sequence

from dnsguard.lab.scheduler.moves import Kind, Move, Offer
from dnsguard.lab.scheduler.simulation import Outcome, Simulation
from dnsguard.lab.scheduler.simulator import Simulator


class Chosen:
    """Takes the first move that matches the next wish; without wishes, the first offered."""

    def __init__(self, *wishes: tuple[str, Kind]) -> None:
        self.wishes = list(wishes)
        self.offered: list[list[str]] = []

    def choose(self, offers: Sequence[Offer]) -> Move | None:
        self.offered.append([str(move) for offer in offers for move in offer])
        if not self.wishes:
            return offers[0][0]
        actor, kind = self.wishes.pop(0)
        return next(move for offer in offers for move in offer if (move.actor, move.kind) == (actor, kind))

    def hidden(self, why: str) -> None:
        pass


def run_one(act: Callable[[Simulation], Awaitable[object]], *, timed: bool = True) -> Outcome:
    async def actor(simulation: Simulation) -> None:
        await act(simulation)

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("actor", lambda: actor(simulation))

    return Simulator(scenario, timed=timed).run(Chosen())


async def nothing() -> None:
    pass
