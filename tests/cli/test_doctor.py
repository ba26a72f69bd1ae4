"""`dnsguard doctor` finds what would go wrong, says what to do about it, and changes nothing."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.postgresql import Postgresql
from tests.servers.powerdns import PowerDns, fill_postgresql
from tests.servers.running import Address
from tests.wire.primaries import KEYS, SECRET, SERVERS, ZONE, ZONES, Server, key, make_publisher, publish, records

PLAIN = {"gpgsql-extra-connection-parameters": ""}


def write_settings(
    folder: Path, primary: Address, servers: dict[str, Address] | None = None, *, secret: bytes = SECRET, more: str = ""
) -> Path:
    names = ", ".join(f'"{name}"' for name in servers or {})
    parts = [
        f'data_dir = "{folder}/data"',
        f'[keys."updater"]\nsecret = "{base64.b64encode(secret).decode()}"',
        f'[primaries.main]\nhost = "{primary[0]}"\nport = {primary[1]}\nkey = "updater"',
        f'[zones."{ZONE}"]\nprimary = "main"\nname_servers = [{names}]',
        more,
    ]
    parts += [
        f'[name_servers.{name}]\nhost = "{host}"\nport = {port}' for name, (host, port) in (servers or {}).items()
    ]
    path = folder / "dnsguard.toml"
    path.write_text("\n".join(parts) + "\n")
    return path


def examine(settings: Path, *more: str) -> tuple[int, list[dict[str, str]]]:
    argv = [sys.executable, "-m", "dnsguard", "doctor", "--config", str(settings), "--json", *more]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout != "", done.stderr) == (True, "")
    return done.returncode, json.loads(done.stdout)


def wrong(checks: list[dict[str, str]]) -> list[dict[str, str]]:
    return [check for check in checks if check["verdict"] == "wrong"]


@pytest_asyncio.fixture(params=["bind", "knot", "powerdns"])
async def primary(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    running = await SERVERS[request.param](tmp_path / "server")
    yield running
    await running.stop()


async def test_a_sound_primary_and_its_secondary_pass(tmp_path: Path, primary: Bind | Knot | PowerDns) -> None:
    async with await Nsd.start(tmp_path / "nsd", zones=ZONES, keys=KEYS, primary=primary.address) as secondary:
        settings = write_settings(tmp_path, primary.address, {"second": secondary.address})
        code, checks = examine(settings)
    assert (code, wrong(checks)) == (0, [])
    looked_at = " ".join(check["expected"] for check in checks)
    for thing in ("database", "authoritative", "update", "AXFR", "fence", "primary does not decide"):
        assert thing in looked_at
    assert not (tmp_path / "data").exists()
    publisher = make_publisher(primary.address)
    everything = await publisher.transfer(ZONE)
    await publisher.close()
    assert isinstance(everything, dict)
    assert not [key for key in everything if "_dnsguard" in key.name]


@pytest.mark.parametrize("primary", ["bind"], indirect=True)
async def test_what_is_wrong_is_said_with_the_way_out(tmp_path: Path, primary: Bind | Knot | PowerDns) -> None:
    code, checks = examine(write_settings(tmp_path, primary.address, secret=b"another"))
    assert code == 1
    (found,) = wrong(checks)
    assert "secret" in found["found"]
    publisher = make_publisher(primary.address)
    await publish(publisher, 1, {key("www", "A"): records("A", "192.0.2.1")})
    await publisher.close()
    code, checks = examine(write_settings(tmp_path, primary.address, {"gone": ("127.0.0.1", 1)}))
    assert code == 1
    assert [check["about"] for check in wrong(checks)] == [
        f"{ZONE} at 127.0.0.1 port {primary.address[1]}",
        f"{ZONE} at gone (127.0.0.1 port 1)",
    ]
    assert "no history of the zone here" in wrong(checks)[0]["found"]
    assert all(check["advice"] for check in wrong(checks))


async def test_more_records_than_bind_takes_are_noted(tmp_path: Path) -> None:
    async with await Bind.start(tmp_path / "bind", zones=ZONES, keys=KEYS) as server:
        settings = write_settings(tmp_path, server.address, more="[policy]\nrecords_max = 500")
        _, checks = examine(settings, "--zone", "example.test")
    assert any("max-records-per-type to 500" in check["advice"] for check in checks)


@pytest.mark.parametrize("shipped", [False, True])
async def test_two_writing_powerdns_on_one_database_are_wrong(tmp_path: Path, *, shipped: bool) -> None:
    """Each time that one asks: after the first time, an instance as it is shipped fails all that is written."""
    settings = {} if shipped else PLAIN
    async with await Postgresql.start() as server:
        database = await fill_postgresql(tmp_path / "filling", server, ZONES, KEYS)
        async with (
            await PowerDns.on_postgresql(tmp_path / "one", server, database, settings=settings) as one,
            await PowerDns.on_postgresql(tmp_path / "two", server, database, settings=settings) as two,
        ):
            listed = write_settings(tmp_path, one.address, {"two": two.address})
            first = examine(listed, "--powerdns-database", server.url(database))
            second = examine(listed)
    for code, checks in (first, second):
        assert code == 1
        assert any("dnsupdate=no on all PowerDNS instances but" in check["advice"] for check in wrong(checks))
    (found,) = wrong(first[1])
    assert ("one failed in the database" if shipped else "both won") in found["found"]
    assert any("dnsguard_fence" in check["expected"] and check["verdict"] == "good" for check in first[1])
    assert any("connected now: 127.0.0.1" in check["found"] for check in first[1])


def test_a_zone_that_nobody_knows_is_said(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, ("127.0.0.1", 1))
    argv = [sys.executable, "-m", "dnsguard", "doctor", "--config", str(settings), "--zone", "elsewhere.test."]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "expected a zone of the settings" in done.stderr
