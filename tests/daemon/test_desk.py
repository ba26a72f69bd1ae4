"""The desk of a running daemon: which zones are disturbed when settings change, and which are not."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import dns.name
import dns.tsig
import msgspec
import pytest_asyncio

from dnsguard.daemon.config import PolicySection, Settings, WorkersSection, ZoneSection
from dnsguard.daemon.desk import DaemonDesk
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.primary import Primary
from dnsguard.wire.server.server import EmbeddedServer

ZONES = ("a.test.", "b.test.", "c.test.")
KEYS = {name: dns.tsig.Key(name, b"a secret of " + name.encode()) for name in ("one.", "two.")}
SETTINGS = Settings(zones={zone: ZoneSection() for zone in ZONES})


def primary_at(server: EmbeddedServer, key: str = "one.") -> Primary:
    return Primary(*server.address, key, "hmac-sha256", KEYS[key].secret, timeout_s=2.0)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmbeddedServer]:
    keys = {dns.name.from_text(name): key for name, key in KEYS.items()}
    zones = {dns.name.from_text(zone): tuple(keys) for zone in ZONES}
    server = await EmbeddedServer.start(zones=zones, keys=keys)
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DaemonDesk]:
    engine = make_engine(f"sqlite:///{tmp_path / 'history.db'}")
    await migrate(engine)
    store = SqlStore(engine)
    desk = DaemonDesk(store)
    yield desk
    await desk.close()
    await store.close()


async def test_only_zones_of_which_something_changed_are_disturbed(desk: DaemonDesk, server: EmbeddedServer) -> None:
    here = dict.fromkeys(ZONES, primary_at(server))
    await desk.apply(SETTINGS, here, {})
    before = dict(desk._rooms)
    assert before.keys() == set(ZONES)
    own_policy = ZoneSection(policy=PolicySection(records_max=7))
    changed = msgspec.structs.replace(SETTINGS, zones=SETTINGS.zones | {"a.test.": own_policy})
    await desk.apply(changed, here | {"b.test.": primary_at(server, "two.")}, {})
    after = dict(desk._rooms)
    assert {zone for zone in ZONES if after[zone] is not before[zone]} == {"a.test.", "b.test."}
    assert not isinstance(await desk.observe("b.test."), str)
    fewer = msgspec.structs.replace(changed, zones={"c.test.": ZoneSection()})
    await desk.apply(fewer, {"c.test.": primary_at(server)}, {})
    assert desk._rooms == {"c.test.": before["c.test."]}
    busier = msgspec.structs.replace(fewer, workers=WorkersSection(enactor_interval_s=1))
    await desk.apply(busier, {"c.test.": primary_at(server)}, {})
    assert desk._rooms["c.test."] is not before["c.test."]


async def test_zones_of_one_primary_share_a_connection_with_a_key_each(
    desk: DaemonDesk, server: EmbeddedServer
) -> None:
    primaries = dict.fromkeys(ZONES, primary_at(server)) | {"b.test.": primary_at(server, "two.")}
    await desk.apply(SETTINGS, primaries, {})
    for zone in ZONES:
        seen = await desk.observe(zone)
        assert getattr(seen, "rdatas", None) == (), seen
    assert len(desk._lines._open) == 1
    slower = {zone: replace(primary, timeout_s=1.0) for zone, primary in primaries.items()}
    await desk.apply(SETTINGS, slower, {})
    assert [place[2] for place in desk._lines._open] == [1.0]
