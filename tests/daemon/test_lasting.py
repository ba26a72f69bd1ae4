"""A task that breaks is not left lying: the daemon ends, and says why."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from structlog.testing import capture_logs

from dnsguard.daemon.lasting import Lasting


async def broken() -> None:
    raise ZeroDivisionError


async def over() -> None:
    """Have nothing to do."""


async def cancelled_from_within() -> None:
    inner = asyncio.create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


@pytest.mark.parametrize(("work", "fault"), [(broken, "ZeroDivisionError"), (cancelled_from_within, "CancelledError")])
async def test_a_task_that_breaks_ends_the_daemon_with_a_sentence(
    work: Callable[[], Coroutine[None, None, None]], fault: str
) -> None:
    said: list[str] = []
    with capture_logs() as logs:
        await asyncio.wait([Lasting(said.append).start(work(), "a.test. enactor")])
    assert len(said) == 1
    assert "'a.test. enactor'" in said[0]
    assert fault in said[0]
    assert [entry["event"] for entry in logs] == ["task.broken"]


async def test_a_task_that_is_cancelled_or_has_nothing_to_do_ends_nothing() -> None:
    said: list[str] = []
    lasting = Lasting(said.append)
    waiting = lasting.start(asyncio.Event().wait(), "waiting")  # type: ignore[arg-type]  # what it returns is nobody's
    waiting.cancel()
    await asyncio.wait([waiting, lasting.start(over(), "over")])
    assert said == []
