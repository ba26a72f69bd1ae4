"""A daemon follows its zones through real name servers: it says when a plan has propagated, and who delays it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.propagation import Served, Standing
from dnsguard.daemon.config import Settings, WorkersSection, ZoneSection
from dnsguard.daemon.desk import DaemonDesk
from dnsguard.daemon.places import PropagationSection
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.primary import Primary
from dnsguard.wire.server.server import EmbeddedServer
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.running import Address, Running
from tests.wire.primaries import KEYS, SECRET, ZONE, ZONES, key, make_publisher, publish, records

SECONDARIES: dict[str, type[Bind | Knot | Nsd]] = {"bind": Bind, "knot": Knot, "nsd": Nsd}
WAIT_S_MAX = 30


@asynccontextmanager
async def opened(
    folder: Path, primary: Address, servers: dict[str, Address], *, lag_s_max: float = 20.0, interval_s: float = 0.1
) -> AsyncIterator[DaemonDesk]:
    """Open a desk for the zone, its primary, and the name servers that it lists."""
    engine = make_engine(f"sqlite:///{folder / 'history.db'}")
    await migrate(engine)
    store = SqlStore(engine)
    desk = DaemonDesk(store)
    settings = Settings(
        zones={ZONE: ZoneSection(name_servers=tuple(servers))},
        workers=WorkersSection(backoff_s_max=0.5),
        propagation=PropagationSection(interval_s=interval_s, lag_s_max=lag_s_max),
    )
    at = Primary(*primary, "updater.", "hmac-sha256", SECRET, timeout_s=2.0)
    listed = {name: NameServer(name, *address, timeout_s=0.5) for name, address in servers.items()}
    await desk.apply(settings, {ZONE: at}, listed)
    try:
        yield desk
    finally:
        await desk.close()
        await store.close()


async def submit(desk: DaemonDesk, address: str) -> int:
    """Have a plan accepted and its zone woken."""
    planner = desk.planner(ZONE)
    assert planner is not None
    plan = make_plan(ZONE, {key("www", "A"): records("A", address)})
    accepted = await planner.submit(Submission(plan, "tests", desk.now()))
    assert isinstance(accepted, Accepted), accepted
    desk.wake(ZONE)
    return accepted.generation


async def until(desk: DaemonDesk, server: str, *standings: Standing) -> Served:
    """Wait until a name server stands so."""
    async with asyncio.timeout(WAIT_S_MAX):
        while (found := standing_of(desk)[server]).standing not in standings:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0)
        return found


def standing_of(desk: DaemonDesk) -> dict[str, Served]:
    return {served.server: served for served in desk.followed(ZONE)}


def metric(desk: DaemonDesk, name: str, **labels: str) -> float | None:
    return desk.registry.get_sample_value(name, {"zone": ZONE, **labels})


@asynccontextmanager
async def bind_with(folder: Path, kinds: Sequence[str]) -> AsyncIterator[tuple[Bind, dict[str, Running]]]:
    """Start a BIND primary and secondaries that it tells of every change."""
    async with await Bind.start(folder / "primary", zones=ZONES, keys=KEYS) as primary:
        secondaries: dict[str, Running] = {}
        try:
            for kind in kinds:
                of = primary.address
                secondaries[kind] = await SECONDARIES[kind].start(folder / kind, zones=ZONES, keys=KEYS, primary=of)
            await primary.notify(*(each.address for each in secondaries.values()))
            yield primary, secondaries
        finally:
            for each in secondaries.values():
                await each.stop()


async def test_a_plan_has_propagated_when_all_name_servers_of_every_kind_serve_it(tmp_path: Path) -> None:
    async with bind_with(tmp_path, ["bind", "knot", "nsd"]) as (primary, secondaries):
        servers = {name: each.address for name, each in secondaries.items()}
        async with opened(tmp_path, primary.address, servers) as desk:
            for generation in (1, 2):
                assert await submit(desk, f"192.0.2.{generation}") == generation
                entry = await desk.settled(ZONE, generation, WAIT_S_MAX, "propagated")
                assert (entry.state, entry.propagated_at is not None) == (PlanState.PUBLISHED, True)
                assert {name: (it.standing, it.generation) for name, it in standing_of(desk).items()} == dict.fromkeys(
                    servers, (Standing.CURRENT, generation)
                )
            assert (await desk.histories.zone(ZONE)).propagated == 2


@pytest.mark.parametrize("kind", SECONDARIES)
async def test_a_name_server_that_was_stopped_is_silent_and_comes_round_again(tmp_path: Path, kind: str) -> None:
    async with bind_with(tmp_path, [kind]) as (primary, secondaries):
        secondary = secondaries[kind]
        servers = {"away": secondary.address, "itself": primary.address}
        async with opened(tmp_path, primary.address, servers) as desk:
            await submit(desk, "192.0.2.1")
            await desk.settled(ZONE, 1, WAIT_S_MAX, "propagated")
            await secondary.stop()
            await submit(desk, "192.0.2.2")
            found = await until(desk, "away", Standing.SILENT)
            assert (found.generation, "away" in found.detail) == (1, True)
            await until(desk, "itself", Standing.CURRENT)
            assert (await desk.settled(ZONE, 2, 0.3, "propagated")).propagated_at is None
            assert metric(desk, "dnsguard_name_server_standing", server="away", standing="silent") == 1
            await secondary.restart()
            entry = await desk.settled(ZONE, 2, WAIT_S_MAX, "propagated")
            assert entry.propagated_at is not None
            assert standing_of(desk)["away"].standing is Standing.CURRENT


async def test_a_name_server_that_lagged_is_seen_to_be_back_without_a_periodic_look(tmp_path: Path) -> None:
    async with bind_with(tmp_path, ["bind"]) as (primary, secondaries):
        away = secondaries["bind"]
        await away.stop()
        async with opened(tmp_path, primary.address, {"ns": away.address}, lag_s_max=0.01, interval_s=3600) as desk:
            await submit(desk, "192.0.2.1")
            await desk.settled(ZONE, 1, WAIT_S_MAX)
            assert (await desk.settled(ZONE, 1, 1.5, "propagated")).propagated_at is None  # asked, and it was away
            await away.restart()
            await primary.rndc("notify", ZONE)
            assert (await desk.settled(ZONE, 1, WAIT_S_MAX, "propagated")).propagated_at is not None


async def write_down(secondary: Running) -> None:
    """Have a secondary write its zones into files, from which it can start without its primary."""
    match secondary:
        case Bind():
            await secondary.rndc("sync")
        case Knot():
            await secondary.knotc("-f", "-b", "zone-flush")
        case Nsd():
            await secondary.control("write")


@pytest.mark.parametrize("kind", SECONDARIES)
async def test_a_secondary_that_was_restored_from_an_old_copy_goes_backwards(tmp_path: Path, kind: str) -> None:
    async with bind_with(tmp_path, [kind]) as (primary, secondaries):
        secondary = secondaries[kind]
        async with opened(tmp_path, primary.address, {"ns": secondary.address}) as desk:
            await submit(desk, "192.0.2.1")
            await desk.settled(ZONE, 1, WAIT_S_MAX, "propagated")
            await write_down(secondary)
            await secondary.stop()
            copy = tmp_path / "copy"
            shutil.copytree(secondary.folder, copy, ignore=shutil.ignore_patterns("*.sock"))
            await secondary.restart()
            await submit(desk, "192.0.2.2")
            assert (await desk.settled(ZONE, 2, WAIT_S_MAX, "propagated")).propagated_at is not None
            await secondary.stop()
            # Only without the primary can it not catch up before anybody has seen it.
            await primary.stop()
            shutil.rmtree(secondary.folder)
            shutil.copytree(copy, secondary.folder)
            await secondary.restart()
            found = await until(desk, "ns", Standing.BACKWARDS)
            assert (found.generation, found.highest, found.behind) == (1, 2, 1)
            assert metric(desk, "dnsguard_name_server_reversals_total", server="ns") == 1
            assert (await desk.histories.zone(ZONE)).propagated == 2
            await primary.restart()
            assert (await until(desk, "ns", Standing.CURRENT)).generation == 2


@asynccontextmanager
async def embedded() -> AsyncIterator[EmbeddedServer]:
    server = await EmbeddedServer.start(zones=ZONES, keys=KEYS)
    try:
        yield server
    finally:
        await server.stop()


async def test_the_embedded_server_follows_itself(tmp_path: Path) -> None:
    async with embedded() as server, opened(tmp_path, server.address, {"here": server.address}) as desk:
        await submit(desk, "192.0.2.1")
        entry = await desk.settled(ZONE, 1, WAIT_S_MAX, "propagated")
        assert entry.propagated_at is not None
        assert entry.settled_at is not None
        assert entry.propagated_at >= entry.settled_at


async def test_a_name_server_that_does_not_follow_lags_and_keeps_plans_from_propagating(tmp_path: Path) -> None:
    async with (
        embedded() as server,
        embedded() as still,
        opened(tmp_path, server.address, {"here": server.address, "still": still.address}, lag_s_max=0.2) as desk,
    ):
        await submit(desk, "192.0.2.1")
        found = await until(desk, "still", Standing.LAGGING)
        assert (found.generation, found.behind, found.behind_since is not None) == (0, 1, True)
        entry = await desk.settled(ZONE, 1, 0, "propagated")
        assert (entry.state, entry.propagated_at) == (PlanState.PUBLISHED, None)
        # Somebody else's history, at a higher generation, is no better.
        publisher = make_publisher(still.address)
        await publish(publisher, 7, {key("www", "A"): records("A", "192.0.2.1")})
        await publisher.close()
        assert (await until(desk, "still", Standing.FOREIGN)).generation is None
        assert (await desk.histories.zone(ZONE)).propagated == 0


async def test_who_leaves_a_name_server_out_waits_for_it_no_longer(tmp_path: Path) -> None:
    async with (
        embedded() as server,
        embedded() as still,
        opened(tmp_path, server.address, {"here": server.address, "still": still.address}) as desk,
    ):
        await submit(desk, "192.0.2.1")
        waiting = asyncio.create_task(desk.settled(ZONE, 1, WAIT_S_MAX, "propagated"))
        await until(desk, "still", Standing.BEHIND)
        fewer = msgspec.structs.replace(desk._settings, zones={ZONE: ZoneSection(name_servers=("here",))})
        await desk.apply(fewer, desk._primaries, {"here": NameServer("here", *server.address)})
        assert (await waiting).propagated_at is not None
