"""Story time: real time, run faster or slower, with chance from the seed.
Each site has chance of its own under the same time, so that the two sides draw alike. No story time passes while this
process gets no turn on a crowded machine, nor while a name server or a database is at work for somebody: only what
the script declares takes time. Otherwise what should come first would come last.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

AFTERWARDS_S = 1_000.0
"""What happens when the story is over is noted this much later."""
_TICK_S = 0.02
_SLEEP_S_MAX = 0.25
_STEP_S_MAX = 0.04
"""A pause between two ticks counts for no more than this."""


_WORKING: ContextVar[bool] = ContextVar("working", default=False)
"""Whether the task is at real work, which takes no story time."""


class _Pace:
    """The time that all clocks of a run share."""

    def __init__(self, speed: float, epoch: float) -> None:
        self.speed, self.epoch = speed, epoch
        self.hurried = False
        self._held = 0
        self._loop = asyncio.get_running_loop()
        self._passed = 0.0
        self._looked = self._loop.time()
        self._loop.call_later(_TICK_S, self._tick)

    @property
    def passed(self) -> float:
        """Story seconds."""
        if self._held:
            return self._passed
        return self._passed + self.speed * min(self._loop.time() - self._looked, _STEP_S_MAX)

    def set(self, passed: float) -> None:
        """Go on from a story second."""
        self._passed, self._looked = passed, self._loop.time()

    def hold(self) -> None:
        """Stand still until everybody who asked for it has released it."""
        self.set(self.passed)
        self._held += 1

    def release(self) -> None:
        """Go on, if nobody else wants it to stand still."""
        self._held -= 1
        self.set(self._passed)

    def _tick(self) -> None:
        self.set(self.passed)
        if not self.hurried:
            self._loop.call_later(_TICK_S, self._tick)


class StoryClock:
    """A clock that stands at 0 story seconds when it is made."""

    def __init__(self, speed: float, seed: str, epoch: float) -> None:
        """Start; ``epoch`` is what `now` says at story second 0."""
        self._share(_Pace(speed, epoch), seed)

    def _share(self, pace: _Pace, seed: str) -> None:
        self._pace, self._seed = pace, seed
        self._chance = random.Random(seed)  # noqa: S311  a story, no secret

    def of(self, who: str) -> "StoryClock":
        """Return the same time with chance of its own."""
        other = object.__new__(StoryClock)
        other._share(self._pace, f"{self._seed} {who}")
        return other

    @property
    def speed(self) -> float:
        """Story seconds in a second."""
        return self._pace.speed

    @property
    def story(self) -> float:
        """Story seconds since the start."""
        return self._pace.passed

    def restart(self) -> None:
        """Begin at 0 again."""
        self._pace.set(0.0)

    def hurry(self) -> None:
        """Let nobody wait any more, and every lease expire: the story is over."""
        self._pace.set(self._pace.passed + AFTERWARDS_S)
        self._pace.hurried = True

    def now(self) -> float:
        """Return seconds since the epoch, in story time."""
        return self._pace.epoch + self.story

    async def sleep(self, seconds: float) -> None:
        """Wait for story seconds."""
        await self.until(self.story + seconds)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let no story time pass meanwhile, but for what is waited for on this clock."""
        before = _WORKING.set(True)
        self._pace.hold()
        try:
            yield
        finally:
            self._pace.release()
            _WORKING.reset(before)

    async def until(self, story: float) -> None:
        """Wait until a story second."""
        if not _WORKING.get():
            await self._until(story)
            return
        self._pace.release()
        try:
            await self._until(story)
        finally:
            self._pace.hold()

    async def _until(self, story: float) -> None:
        await asyncio.sleep(0)
        if self._pace.hurried:
            self._pace.set(max(story, self.story))
        while not self._pace.hurried and (left := story - self.story) > 0:  # noqa: ASYNC110  time may pass slower
            await asyncio.sleep(min(left / self.speed, _SLEEP_S_MAX))

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
