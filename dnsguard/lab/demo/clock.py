"""Story time: real time, run faster or slower, with chance from the seed.
Each site has chance of its own under the same time, so that the two sides draw alike.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

AFTERWARDS_S = 1_000.0
"""What happens when the story is over is noted this much later."""


@dataclass(slots=True)
class _Pace:
    """What all clocks of a run share."""

    speed: float
    epoch: float
    started: float
    hurried: bool = False


class StoryClock:
    """A clock that stands at 0 story seconds when it is made."""

    def __init__(self, speed: float, seed: str, epoch: float) -> None:
        """Start; ``epoch`` is what `now` says at story second 0."""
        self._loop = asyncio.get_running_loop()
        self._pace = _Pace(speed, epoch, self._loop.time())
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311  a story, no secret

    def of(self, who: str) -> "StoryClock":
        """Return the same time with chance of its own."""
        other = StoryClock(self.speed, f"{self._seed} {who}", 0.0)
        other._pace = self._pace
        return other

    @property
    def speed(self) -> float:
        """Story seconds in a second."""
        return self._pace.speed

    @property
    def story(self) -> float:
        """Story seconds since the start."""
        return (self._loop.time() - self._pace.started) * self._pace.speed

    def restart(self) -> None:
        """Begin at 0 again."""
        self._pace.started = self._loop.time()

    def hurry(self) -> None:
        """Let nobody wait any more, and every lease expire: the story is over."""
        self._pace.hurried = True
        self._pace.started -= AFTERWARDS_S / self._pace.speed

    def now(self) -> float:
        """Return seconds since the epoch, in story time."""
        return self._pace.epoch + self.story

    async def sleep(self, seconds: float) -> None:
        """Wait for story seconds."""
        await asyncio.sleep(0.0 if self._pace.hurried else max(0.0, seconds) / self._pace.speed)

    async def until(self, story: float) -> None:
        """Wait until a story second."""
        await self.sleep(story - self.story)

    def random(self) -> float:
        """Return a number from 0 up to 1."""
        return self._chance.random()

    def hex_digits(self, count: int) -> str:
        """Return hexadecimal digits by chance of the seed."""
        return f"{self._chance.getrandbits(4 * count):0{count}x}"


class NoticedClock:
    """A site's clock as its lock sees it: whoever waits is noticed."""

    def __init__(self, clock: StoryClock, noticed: Callable[[], None]) -> None:
        """Call ``noticed`` before every wait."""
        self._clock, self._noticed = clock, noticed

    def now(self) -> float:
        """Return seconds since the epoch, in story time."""
        return self._clock.now()

    def hex_digits(self, count: int) -> str:
        """Return hexadecimal digits by chance of the seed."""
        return self._clock.hex_digits(count)

    def random(self) -> float:
        """Return a number from 0 up to 1."""
        return self._clock.random()

    async def sleep(self, seconds: float) -> None:
        """Wait for story seconds, and have it noticed."""
        self._noticed()
        await self._clock.sleep(seconds)
