"""Outages: what is away is said once, what is back is said once, and nobody goes on waiting for what is back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dns.name
import dns.tsig
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, StoreUnavailable, Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, make_records
from dnsguard.daemon import loop as loops
from dnsguard.daemon.config import Settings, WorkersSection, ZoneSection
from dnsguard.daemon.desk import DaemonDesk
from dnsguard.daemon.loop import Loop
from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outages import PrimaryOutage, StoreOutage
from dnsguard.lab.ends.history import make_history
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.primary import Primary
from dnsguard.wire.server.server import EmbeddedServer
from dnsguard.workers.step import Step, Then
from tests.servers.disk import small_disk
from tests.servers.postgresql import Postgresql

ZONES = ("a.test.", "b.test.")
WAIT_S_MAX = 20.0
NEVER_S = 1000.0
KEY = dns.tsig.Key("one.", b"a secret of one")


class Store:
    """Answers, or fails, as a test has it."""

    def __init__(self) -> None:
        self.fault: Exception | None = StoreUnavailable("the disk has gone")
        self.asked = 0
        self.answered = asyncio.Event()

    async def run_once(self) -> Step:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        self.answered.set()
        return Step("zone.current", Then.WOKEN, ZONES[0])


@asynccontextmanager
async def running(store: Store, outage: StoreOutage) -> AsyncIterator[None]:
    loop = Loop(
        "enactor",
        ZONES[0],
        store.run_once,
        lambda _: None,
        interval_s=NEVER_S,
        backoff_s_max=NEVER_S,
        outage=outage,
    )
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WAIT_S_MAX):
        while not true():
            await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.01)


def count(logs: list[EventDict]) -> Counter[str]:
    return Counter(entry["event"] for entry in logs if entry["log_level"] != "debug")


async def test_who_waits_for_the_store_runs_as_soon_as_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_BACKOFF_S_MIN", NEVER_S)
    stores, outage = [Store() for _ in range(3)], StoreOutage()
    with capture_logs() as logs:
        async with running(stores[0], outage), running(stores[1], outage), running(stores[2], outage):
            await until(lambda: all(store.asked for store in stores))
            for store in stores:
                store.fault = None
            outage.end(outage.failures)
            async with asyncio.timeout(WAIT_S_MAX):
                await asyncio.gather(*(store.answered.wait() for store in stores))
    assert count(logs) == {"store.unavailable": 1, "store.returned": 1}
    assert logs[0]["detail"] == "the disk has gone"


async def test_an_answer_from_before_the_last_failure_ends_nothing() -> None:
    outage = StoreOutage()
    outage.begin("gone")
    asked = outage.failures
    outage.begin("gone")
    outage.end(asked)
    assert outage.is_on
    outage.end(outage.failures)
    assert not outage.is_on


async def test_the_same_trouble_again_and_again_is_said_once() -> None:
    outage = StoreOutage()
    with capture_logs() as logs:
        for _ in range(3):
            outage.begin("the answer took too long")
            outage.end(outage.failures)
        outage.end(outage.failures)
        outage.begin("the answer took too long")
    assert count(logs)["store.unavailable"] == 2


async def test_what_nobody_expected_keeps_its_traceback() -> None:
    store, outage = Store(), StoreOutage()
    store.fault = ZeroDivisionError()
    with capture_logs() as logs:
        async with running(store, outage):
            await until(lambda: store.asked > 0)
    assert not outage.is_on
    assert [(entry["event"], entry.get("exc_info")) for entry in logs] == [("worker.failed", True)]


async def test_a_primary_is_back_when_it_answers_for_all_zones() -> None:
    outage = PrimaryOutage("192.0.2.53 port 53")
    with capture_logs() as logs:
        for zone in ZONES:
            outage.begin(zone, "no answer")
        assert outage.knows("no answer")
        assert not outage.knows("not authoritative")
        outage.end(ZONES[0])
        assert not logs
        outage.end(ZONES[1])
        outage.end(ZONES[1])
    assert [(entry["event"], entry["primary"]) for entry in logs] == [("primary.returned", "192.0.2.53 port 53")]
    assert not outage.knows("no answer")


async def serve(port: int = 0) -> EmbeddedServer:
    return await EmbeddedServer.start(
        port=port, zones={dns.name.from_text(zone): (KEY.name,) for zone in ZONES}, keys={KEY.name: KEY}
    )


async def submit(desk: DaemonDesk, zone: str, address: int) -> int:
    planner = desk.planner(zone)
    assert planner is not None
    plan = make_plan(zone, {Key(f"www.{zone}", "A"): make_records("A", 60, [bytes([192, 0, 2, address])])})
    outcome = await planner.submit(Submission(plan, "tests", desk.now()))
    assert isinstance(outcome, Accepted), outcome
    desk.wake(zone)
    return outcome.generation


@asynccontextmanager
async def opened(url: str, server: EmbeddedServer, backoff_s_max: float) -> AsyncIterator[DaemonDesk]:
    engine = make_engine(url)
    await migrate(engine)
    store = SqlStore(engine)
    desk = DaemonDesk(store)
    primary = Primary(*server.address, "one.", "hmac-sha256", KEY.secret, timeout_s=1.0)
    settings = Settings(
        zones={zone: ZoneSection() for zone in ZONES}, workers=WorkersSection(backoff_s_max=backoff_s_max)
    )
    await desk.apply(settings, dict.fromkeys(ZONES, primary), {})
    try:
        yield desk
    finally:
        await desk.close()
        await store.close()


async def published(desk: DaemonDesk, zone: str, generation: int) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        await desk.settled(zone, generation, NEVER_S)


async def test_after_a_database_was_away_plans_are_published_at_once_however_long_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "_BACKOFF_S_MIN", NEVER_S)
    server = await serve()
    async with await Postgresql.start() as database, opened(database.url(), server, NEVER_S) as desk:
        for zone in ZONES:
            await published(desk, zone, await submit(desk, zone, 1))
        with capture_logs() as logs:
            await database.kill()
            for zone in ZONES:
                desk.wake(zone)
            await until(lambda: all("database" in (desk.stands_in_the_way(zone) or "") for zone in ZONES))
            await database.restart()
            await until(lambda: "store.returned" in count(logs))
            for zone in ZONES:
                await published(desk, zone, await submit(desk, zone, 2))
        said = count(logs)
    await server.stop()
    assert (said["store.unavailable"], said["store.returned"], said["worker.failed"]) == (1, 1, 0)


async def test_a_daemon_whose_primary_is_away_is_ready_and_says_of_each_zone_that_it_is_stuck(
    postgresql_url: str,
) -> None:
    server = await serve()
    await server.stop()
    async with opened(postgresql_url, server, 0.3) as desk:
        for zone in ZONES:
            await submit(desk, zone, 1)
        await until(lambda: all(desk.stands_in_the_way(zone) for zone in ZONES))
        assert await desk.missing() == {}
        for zone in ZONES:
            assert await submit(desk, zone, 2) == 2


async def test_a_daemon_is_not_ready_after_a_failed_write_until_one_succeeds(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1_000_000) as disk:
        engine = make_engine(f"sqlite:///{disk.folder}/history.db")
        await migrate(engine)
        store = SqlStore(engine)
        desk = DaemonDesk(store)  # it serves no zones: nothing but the test writes
        await store.ensure_zone(ZONES[0], "0" * 16)
        assert await desk.missing() == {}
        disk.fill()
        large = {
            Key(f"n{number}.{ZONES[0]}", "TXT"): make_records("TXT", 60, [b"\xff" + b"x" * 255])
            for number in range(900)
        }
        submission = Submission(make_plan(ZONES[0], large), "tests", 1.0)
        with pytest.raises(StoreUnavailable, match="disk full"):
            await store.accept(submission, GUARDED, Policy(), {})
        assert len(await store.zones()) == 1  # it can still be read
        assert "found the disk full; make room" in (await desk.missing())["store"]
        disk.make_room()
        assert isinstance(await store.accept(submission, GUARDED, Policy(), {}), Accepted)
        assert await desk.missing() == {}
        await store.close()


def test_a_zone_that_is_stuck_has_a_metric() -> None:
    metrics = Metrics("guarded")
    for stuck in (True, False):
        metrics.survey(make_history(ZONES[0], "0" * 16).zone, 1.0, stuck=stuck, followed=False)
        assert metrics.registry.get_sample_value("dnsguard_zone_stuck", {"zone": ZONES[0]}) == stuck


async def test_a_primary_that_is_away_is_said_once_and_once_that_it_is_back(postgresql_url: str) -> None:
    server = await serve()
    async with opened(postgresql_url, server, 0.3) as desk:
        for zone in ZONES:
            await published(desk, zone, await submit(desk, zone, 1))
        with capture_logs() as logs:
            await server.stop()
            for zone in ZONES:
                await submit(desk, zone, 2)
            await until(lambda: all(desk.stands_in_the_way(zone) for zone in ZONES))
            server = await serve(server.address[1])
            await until(lambda: "primary.returned" in count(logs))
            for zone in ZONES:
                await published(desk, zone, await submit(desk, zone, 3))
    await server.stop()
    reasons = [entry["detail"] for entry in logs if entry["event"] == "primary.unreachable" and said_aloud(entry)]
    assert len(reasons) == len(set(reasons)) > 0
    assert count(logs)["primary.returned"] == 1


def said_aloud(entry: EventDict) -> bool:
    return bool(entry["log_level"] != "debug")
