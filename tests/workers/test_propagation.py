"""Propagation looks again soon for as long as something is outstanding, and else leaves it to the periodic look."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dnsguard.core.fence import Fence, fence_rdata
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.message import Unreachable
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.propagation import Standing
from dnsguard.core.written import Seen
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.workers.propagation import Propagation
from dnsguard.workers.step import Then
from tests.workers.rig import ZONE, a, key

NOWHERE = Seen((), None)
AWAY = Unreachable("no answer within 2 s")


@dataclass(slots=True)
class Clock:
    at: float = 1000.0

    def now(self) -> float:
        return self.at

    def hex_digits(self, count: int) -> str:
        return "0" * count


@dataclass(slots=True)
class Told:
    """A name server that answers what it is told to."""

    answer: Seen | Unreachable = NOWHERE

    async def fences(self, zone: str) -> Mapping[str, Seen | Unreachable]:
        del zone
        return {"ns": self.answer}


@asynccontextmanager
async def followed(folder: Path, clock: Clock, server: Told) -> AsyncIterator[tuple[Propagation, Seen]]:
    """Publish one plan at the clock's time; yield who follows it, and the fence that says so."""
    engine = make_engine(f"sqlite:///{folder / 'history.db'}")
    await migrate(engine)
    store = SqlStore(engine)
    try:
        await store.ensure_zone(ZONE, "0123456789abcdef")
        submission = Submission(make_plan(ZONE, {key("www"): a("192.0.2.1")}), "tests", clock.now())
        assert isinstance(await store.accept(submission, GUARDED, Policy(), {}), Accepted)
        pending = await store.pending(ZONE, None, None)
        fence = Fence(pending.zone.history, pending.target, pending.target_digest)
        await store.record(ZONE, fence, clock.now())
        yield Propagation(ZONE, ("ns",), store, server, clock, lag_s_max=30.0), Seen((fence_rdata(fence),), fence)
    finally:
        await store.close()


@pytest.mark.parametrize("answer", [NOWHERE, AWAY], ids=["behind", "silent"])
@pytest.mark.parametrize(("after_s", "event"), [(1, "propagation.awaited"), (10_000, "propagation.delayed")])
async def test_what_is_outstanding_is_looked_at_again_soon_however_long_it_takes(
    tmp_path: Path, answer: Seen | Unreachable, after_s: int, event: str
) -> None:
    clock = Clock()
    async with followed(tmp_path, clock, Told(answer)) as (propagation, _):
        clock.at += after_s
        step = await propagation.run_once()
        assert (step.event, step.then) == (event, Then.LATER)


async def test_a_server_that_comes_round_late_completes_the_propagation(tmp_path: Path) -> None:
    clock, server = Clock(), Told(AWAY)
    async with followed(tmp_path, clock, server) as (propagation, published):
        clock.at += 10_000
        await propagation.run_once()
        server.answer = published
        step = await propagation.run_once()
        assert (step.event, step.generation) == ("propagation.completed", 1)
        assert propagation.served["ns"].standing is Standing.CURRENT
        assert (await propagation.run_once()).then is Then.WOKEN


async def test_a_silent_server_that_served_all_that_is_published_is_left_to_the_periodic_look(tmp_path: Path) -> None:
    clock, server = Clock(), Told()
    async with followed(tmp_path, clock, server) as (propagation, published):
        server.answer = published
        await propagation.run_once()
        server.answer = AWAY
        step = await propagation.run_once()
        assert (step.event, step.then) == ("propagation.current", Then.WOKEN)
