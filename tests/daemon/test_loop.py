"""The loop that runs a worker again: how long it waits, in a time of its own that nobody has to sit through."""

import asyncio
import selectors
from itertools import pairwise
from typing import Any

import pytest

from dnsguard.daemon.loop import Loop
from dnsguard.workers.step import Step, Then

ZONE = "example.test."


class Skipping(selectors.SelectSelector):
    """Instead of waiting it says that the time is over."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Look what is ready, and skip what time was to be waited."""
        self.now += timeout or 0.0
        return super().select(0)


def waits(steps: list[Step]) -> list[float]:
    """Return how long a loop waits after each of some steps."""
    selector = Skipping()
    began: list[float] = []

    async def run_once() -> Step:
        began.append(selector.now)
        if len(began) > len(steps):
            raise asyncio.CancelledError
        return steps[len(began) - 1]

    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]  # so asyncio has it, as its documentation says
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(
            Loop("enactor", ZONE, run_once, lambda _: None, interval_s=600.0, backoff_s_max=60.0).run()
        )
    loop.close()
    return [after - before for before, after in pairwise(began)]


def step(then: Then, messages: int = 0) -> Step:
    return Step("publication.narrowed", then, ZONE, messages=messages)


def test_delays_grow_while_somebody_elses_trouble_lasts() -> None:
    later = waits([step(Then.LATER)] * 12)
    assert later[0] <= 0.05
    assert 20.0 <= later[11] <= 60.0
    assert 300.0 <= waits([step(Then.WOKEN)])[0] <= 800.0


def test_runs_that_come_to_the_same_with_nothing_answered_do_not_follow_each_other_at_once_for_ever() -> None:
    unclear = Step("publication.unclear", Then.AT_ONCE, ZONE, 7, "connection reset")
    found = waits([unclear] * 15)
    assert found[:3] == [0.0] * 3
    assert all(delay > 0.0 for delay in found[3:])
    assert found[14] >= 20.0
    assert waits([*[unclear] * 15, step(Then.AT_ONCE, 1), *[unclear] * 5])[15:19] == [0.0] * 4


def test_runs_that_get_on_follow_each_other_at_once() -> None:
    published = step(Then.AT_ONCE, 1)
    elsewhere = [Step("publication.overtaken", Then.AT_ONCE, ZONE, number) for number in range(50)]
    assert waits([published] * 50) == [0.0] * 50
    assert waits(elsewhere) == [0.0] * 50
    narrowing = Step("publication.narrowed", Then.AT_ONCE, ZONE, 7, "REFUSED", refused=1)
    assert waits([narrowing] * 9) == [0.0] * 9


@pytest.mark.parametrize("messages", [0, 1])
def test_a_publication_that_gets_on_begins_with_short_delays_again(messages: int) -> None:
    found = waits([*[step(Then.LATER)] * 12, step(Then.AT_ONCE, messages), step(Then.LATER)])
    assert (found[13] <= 0.05) is (messages > 0)
