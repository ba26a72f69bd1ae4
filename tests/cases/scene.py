"""A real name server with zones as a case has them, a daemon before it, and the command line."""

import asyncio
import base64
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dns.name

from dnsguard.core.message import AddRecords, Message, Outcome
from dnsguard.core.records import Key, Records
from dnsguard.wire.publisher import DnsPublisher
from tests.cli.rig import Cli, clean_environment
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.powerdns import PowerDns
from tests.servers.process import Process
from tests.servers.running import Running, zone_file
from tests.wire.primaries import KEYS, SECRET, make_publisher

SOA = "@ SOA ns1.example.net. hostmaster.example.net. 1 3600 600 86400 300\n@ NS ns1.example.net.\n"


class Case:
    """What a test of a case has at hand."""

    def __init__(self, server: Running, cli: Cli) -> None:
        self.server = server
        self.cli = cli

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command that ends with this exit code; return what it says."""
        done = self.cli(*command)
        assert done.exit_code == code, done.output
        return done.output

    def put(self, zone: str, contents: Mapping[Key, Records]) -> Outcome:
        """Write records past dnsguard, octet for octet."""

        async def send() -> Outcome:
            publisher = make_publisher(self.server.address)
            updates = tuple(AddRecords(key, records) for key, records in contents.items())
            try:
                return await publisher.publish(Message(zone, (), updates))
            finally:
                await publisher.close()

        return asyncio.run(send())

    def transferred(self, zone: str) -> Mapping[Key, Records]:
        """All that the zone holds."""

        async def ask() -> Mapping[Key, Records]:
            publisher: DnsPublisher = make_publisher(self.server.address)
            try:
                found = await publisher.transfer(zone)
            finally:
                await publisher.close()
            assert isinstance(found, Mapping), found
            return found

        return asyncio.run(ask())


def _write(folder: Path, zones: Mapping[str, str]) -> None:
    folder.mkdir()
    for zone, text in zones.items():
        (folder / zone_file(dns.name.from_text(zone))).write_text(f"$ORIGIN {zone}\n$TTL 3600\n{SOA}{text}")


async def _start(kind: str, folder: Path, zones: Mapping[str, str]) -> Running:
    origins = {dns.name.from_text(zone): [dns.name.from_text("updater.")] for zone in zones}
    match kind:
        case "bind":
            return await Bind.start(folder, zones=origins, keys=KEYS)
        case "knot":
            return await Knot.start(folder, zones=origins, keys=KEYS)
        case _:
            return await PowerDns.start(folder, zones=origins, keys=KEYS, settings={"enable-lua-records": "yes"})


@contextmanager
def open_case(folder: Path, kind: str, zones: Mapping[str, str], settings: str = "") -> Iterator[Case]:
    """Start a server of a kind with zones beside their SOA and NS, and a daemon for all of them; end both."""
    _write(folder / "server", zones)
    server = asyncio.run(_start(kind, folder / "server", zones))
    try:
        listed = "\n".join(f'[zones."{zone}"]\nprimary = "main"' for zone in zones)
        (folder / "dnsguard.toml").write_text(
            f"""
            [http]
            listen = "127.0.0.1:0"
            [keys."updater."]
            secret = "{base64.b64encode(SECRET).decode()}"
            [primaries.main]
            host = "127.0.0.1"
            port = {server.address[1]}
            key = "updater."
            {listed}
            {settings}
            """
        )
        argv = [sys.executable, "-m", "dnsguard", "serve", "--config", str(folder / "dnsguard.toml")]
        argv += ["--data-dir", str(folder / "data")]
        daemon = Process(argv, ready=r"daemon\.started", folder=Path.cwd(), environment=clean_environment({}))
        asyncio.run(daemon.started())
        try:
            yield Case(server, Cli(folder / "data"))
        finally:
            asyncio.run(daemon.stop())
    finally:
        asyncio.run(server.stop())
