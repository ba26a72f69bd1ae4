"""Chance in a simulated world: drawn from its seed, for each actor and each purpose from a stream of its own. So what
one actor does, or is kept from doing, changes nothing of what another one draws, and little of what it draws itself: a
story can be made shorter step by step.
"""

from dataclasses import dataclass, field
from random import Random

from dnsguard.lab.scheduler.actor import ACTOR


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws for the actor that asks; what an actor was at before a crash, it goes on with."""

    seed: str
    _streams: dict[tuple[str, str], Random] = field(default_factory=dict)

    def of(self, purpose: str) -> Random:
        """Return what the actor that asks draws from for a purpose."""
        actor = ACTOR.get()
        key = ("" if actor is None else actor.name), purpose
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Random(f"{self.seed} {key}")  # noqa: S311  a simulation, no secret
        return stream

    def random(self) -> float:
        """Return a number from 0 up to 1."""
        return self.of("").random()

    def randrange(self, start: int, stop: int | None = None) -> int:
        """Return a whole number from the first up to the second, without that; or from 0 up to the first."""
        return self.of("").randrange(start, stop)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between two."""
        return self.of("between").uniform(low, high)

    def getrandbits(self, count: int) -> int:
        """Return so many bits as a number."""
        return self.of("bits").getrandbits(count)
