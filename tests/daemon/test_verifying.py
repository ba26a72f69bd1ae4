"""A zone's verifier in the daemon: comparisons that many ask for are made once, and what they find is shown."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dnsguard.core.comparison import Verification
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import StoreUnavailable
from dnsguard.core.message import Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.verifying import Verifying
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.workers.verifier import Postponed, Verifier
from tests.workers.rig import HISTORY, ZONE, a, key
from tests.workers.test_verifier import Scene

NEVER_S = 1_000_000.0


@dataclass(slots=True)
class Held(MemoryPublisher):
    """A primary that transfers a zone only when a test lets it."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    transfers: int = 0

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        self.transfers += 1
        self.begun.set()
        await self.let.wait()
        return await MemoryPublisher.transfer(self, zone)


class Broken(MemoryPublisher):
    """A primary that is asked just when the database goes away."""

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        raise StoreUnavailable(f"{zone}: the database does not answer")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    await migrate(engine)
    store = SqlStore(engine)
    await store.ensure_zone(ZONE, HISTORY)
    yield Scene(store)
    await store.close()


@asynccontextmanager
async def at_work(
    scene: Scene, publisher: MemoryPublisher, metrics: Metrics, interval_s: float
) -> AsyncIterator[Verifying]:
    verifier = Verifier(ZONE, scene.store, publisher, scene.clock, GUARDED, scene.policy)
    turns = asyncio.Semaphore(1)
    verifying = Verifying(verifier, turns, metrics, scene.woken.set, interval_s=interval_s, backoff_s_max=interval_s)
    try:
        yield verifying
    finally:
        await verifying.close()


async def test_those_who_ask_while_a_comparison_is_under_way_share_the_next(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    held = Held(scene.primary)
    async with at_work(scene, held, Metrics("guarded"), NEVER_S) as verifying:
        first = asyncio.create_task(verifying.look())
        await held.begun.wait()
        later = [asyncio.create_task(verifying.look()) for _ in range(5)]
        impatient = asyncio.create_task(verifying.look())
        await asyncio.wait([impatient], timeout=0)
        impatient.cancel()
        held.let.set()
        found = await asyncio.gather(first, *later)
    assert held.transfers == 2
    assert all(isinstance(each, Verification) for each in found)
    assert len({id(each) for each in found[1:]}) == 1
    assert impatient.cancelled()


async def test_who_waits_when_the_zone_is_closed_is_told(scene: Scene) -> None:
    held = Held(scene.primary)
    async with at_work(scene, held, Metrics("guarded"), NEVER_S) as verifying:
        asking = asyncio.create_task(verifying.look())
        await held.begun.wait()
    assert await asking == Postponed("the zone's settings have changed meanwhile; ask again")


async def test_what_is_found_is_in_the_metrics(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    scene.wire.pop(key("mail"))
    metrics = Metrics("guarded")

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"dnsguard_verification_{name}", {"zone": ZONE, **labels})

    async with at_work(scene, scene.publisher, metrics, NEVER_S) as verifying:
        await verifying.look()
        assert (value("findings", kind="missing"), value("findings", kind="foreign")) == (1, 0)
        assert value("timestamp_seconds") == scene.clock.at
        scene.wire[key("mail")] = a("192.0.2.2")
        await verifying.look()
        assert value("findings", kind="missing") == 0


async def test_a_verification_that_fails_or_grows_old_is_in_the_metrics(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    metrics = Metrics("guarded")

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"dnsguard_verification_{name}", {"zone": ZONE})

    async with at_work(scene, scene.publisher, metrics, NEVER_S) as verifying:
        scene.clock.at += 5
        assert (value("age_seconds"), value("failed")) == (5, 0)  # none yet: since the daemon started
        await verifying.look()
        assert (value("age_seconds"), value("failed"), verifying.state.is_current(scene.clock.at)) == (0, 0, True)
        scene.primary.contents = {each: found for each, found in scene.wire.items() if each.type != "TXT"}
        assert isinstance(await verifying.look(), Postponed)
        scene.clock.at += 7
        assert (value("age_seconds"), value("failed"), verifying.state.is_current(scene.clock.at)) == (7, 1, False)
        assert "no fence" in (verifying.state.failure or "")
        assert verifying.last is not None
        await scene.publish({key("www"): a("192.0.2.2")})
        await verifying.look()
        assert (value("failed"), verifying.state.failure) == (0, None)
        scene.clock.at += 2 * NEVER_S + 1
        assert (value("failed"), verifying.state.is_current(scene.clock.at)) == (1, False)
    metrics.forget(ZONE)
    assert value("age_seconds") is None


async def test_a_verification_that_breaks_off_has_failed(scene: Scene) -> None:
    async with at_work(scene, Broken(scene.primary), Metrics("guarded"), NEVER_S) as verifying:
        with pytest.raises(StoreUnavailable):
            await verifying.look()
        assert verifying.state.failure == f"{ZONE}: the database does not answer"


async def test_a_difference_found_on_demand_is_repaired_where_the_policy_says_so(scene: Scene) -> None:
    scene.policy = Policy(verify="repair")
    await scene.publish({key("www"): a("192.0.2.1")})
    scene.wire[key("www")] = a("192.0.2.66")
    async with at_work(scene, scene.publisher, Metrics("guarded"), NEVER_S) as verifying:
        await verifying.look()
        async with asyncio.timeout(10):
            await scene.woken.wait()
    assert (await scene.newest()).actor == "dnsguard"


async def test_zones_are_compared_by_themselves(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    held = Held(scene.primary)
    async with at_work(scene, held, Metrics("guarded"), 0.001), asyncio.timeout(10):
        await held.begun.wait()
