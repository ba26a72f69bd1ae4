"""The configuration that `deploy/` ships for name servers is what they read: the servers' own checkers take it, and
they start with it, take a publication, and follow. Only addresses and folders are put in the place of the sample's.
"""

import base64
import contextlib
import re
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from dnsguard.core.message import Applied, DeleteRRset, Message
from dnsguard.wire.decode import Answer
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from tests.servers import require
from tests.servers.postgresql import Postgresql
from tests.servers.powerdns import PowerDns, fill_postgresql, shipped
from tests.servers.process import Process, free_port
from tests.servers.running import Address, write_zones
from tests.wire.primaries import (
    KEYS,
    ORIGIN,
    SECRET,
    ZONE,
    ZONES,
    changes,
    fence_at,
    guarded,
    key,
    make_publisher,
    publish,
    records,
    seen_at,
)

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENCODED = base64.b64encode(SECRET).decode()


def put(text: str, *pairs: tuple[str, str]) -> str:
    """Replace parts of a sample, each of which must be there; its zone becomes that of the tests."""
    text = text.replace("example.com", "example.test")
    for sample, own in pairs:
        assert sample in text, f"expected {sample!r} in the sample"
        text = text.replace(sample, own)
    return text


def checked(*argv: str) -> None:
    done = subprocess.run([require(argv[0]), *argv[1:]], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("(?i)warning|error|unknown|deprecated", done.stderr), done.stderr


class Bench:
    """A folder with the zone, two ports, and whatever was started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.primary: Address = ("127.0.0.1", free_port())
        self.secondary: Address = ("127.0.0.1", free_port())
        self.started: list[Process] = []
        write_zones(folder, [ORIGIN])

    async def run(self, ready: str, *argv: str) -> Process:
        process = Process([require(argv[0]), *argv[1:]], ready=ready, folder=self.folder)
        self.started.append(process)
        await process.started()
        return process

    async def follow(self) -> Process:
        """Start NSD as it is shipped."""
        folder, port = self.folder, self.secondary[1]
        (folder / "nsd.key").write_text(
            f'key:\n  name: dnsguard-key\n  algorithm: hmac-sha256\n  secret: "{ENCODED}"\n'
        )
        own = (
            f'server:\n    port: {port}\n    username: ""\n    zonesdir: "{folder}/nsd"\n    database: ""\n'
            f"    verbosity: 2\n"
            f'    pidfile: "{folder}/nsd.pid"\n    xfrdfile: "{folder}/xfrd.state"\n    xfrdir: "{folder}"\n'
            f'    zonelistfile: "{folder}/zone.list"\n'
        )
        configuration = folder / "nsd.conf"
        (folder / "nsd").mkdir()
        configuration.write_text(
            put(
                (DEPLOY / "nsd" / "nsd.conf").read_text(),
                ("server:\n", own),
                ("192.0.2.54@53", f"127.0.0.1@{port}"),
                ("192.0.2.53@53", f"127.0.0.1@{self.primary[1]}"),
                ("192.0.2.53", "127.0.0.1"),
                ("/etc/nsd/dnsguard.key", f"{folder}/nsd.key"),
            )
        )
        checked("nsd-checkconf", str(configuration))
        return await self.run("nsd started", "nsd", "-d", "-c", str(configuration))

    async def publish_and_follow(self) -> None:
        """Publish to the primary; a secondary that is started beside it has it, by transfer and then by NOTIFY."""
        follower = await self.follow()
        await follower.logged(r"zone example\.test\.? serial 0 is updated to 1\b")
        publisher = DnsPublisher(Primary(*self.primary, "dnsguard-key.", "hmac-sha256", SECRET), time.time)
        try:
            www = key("www", "A")
            message = guarded(seen_at(None), changes({www: records("A", "192.0.2.1")}), fence_at(1))
            assert await publisher.publish(message) == Applied()
            everything = await publisher.transfer(ZONE)
            assert isinstance(everything, dict)
            assert {found.name for found in everything} >= {f"www.{ZONE}", f"_dnsguard.{ZONE}"}
        finally:
            await publisher.close()
        await follower.logged(r"zone example\.test\.? serial 1 is updated to 2\b")


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for process in made.started:
        await process.stop()


async def test_bind_as_it_is_shipped_is_a_primary(bench: Bench) -> None:
    folder, port = bench.folder, bench.primary[1]
    (folder / "dnsguard.key").write_text(f'key "dnsguard-key" {{ algorithm hmac-sha256; secret "{ENCODED}"; }};\n')
    (folder / "included").write_text(
        put(
            (DEPLOY / "bind" / "named.conf.dnsguard").read_text(),
            ("/etc/bind/", f"{folder}/"),
            ("/var/lib/bind/", f"{folder}/"),
            ("192.0.2.54;", f"127.0.0.1 port {bench.secondary[1]};"),
        )
    )
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key"; '
        f"listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\n"
        f'controls {{ }};\ninclude "{folder}/included";\n'
    )
    checked("named-checkconf", "-z", str(folder / "named.conf"))
    await bench.run(" running$", "named", "-g", "-c", str(folder / "named.conf"))
    await bench.publish_and_follow()


async def test_knot_as_it_is_shipped_is_a_primary(bench: Bench) -> None:
    folder, port = bench.folder, bench.primary[1]
    (folder / "dnsguard.key").write_text(
        f"key:\n  - id: dnsguard-key\n    algorithm: hmac-sha256\n    secret: {ENCODED}\n"
    )
    (folder / "db").mkdir()
    (folder / "knot.conf").write_text(
        put(
            (DEPLOY / "knot" / "knot.conf").read_text(),
            ("include: /etc/knot/", f"log:\n  - target: stdout\n    any: info\n\ninclude: {folder}/"),
            ("server:\n", f"server:\n    rundir: {folder}\n"),
            ("192.0.2.53@53", f"127.0.0.1@{port}"),
            ("192.0.2.54", f"127.0.0.1@{bench.secondary[1]}"),
            ("database:\n    storage: /var/lib/knot", f"database:\n    storage: {folder}/db"),
            ("/var/lib/knot", str(folder)),
        )
    )
    checked("knotc", "-c", str(folder / "knot.conf"), "conf-check")
    await bench.run("loaded, serial none", "knotd", "-c", str(folder / "knot.conf"))
    await bench.publish_and_follow()


async def test_powerdns_on_sqlite_as_it_is_shipped_is_a_primary(tmp_path: Path) -> None:
    async with await PowerDns.start(tmp_path / "powerdns", zones=ZONES, keys=KEYS) as server:
        checked("pdns_server", f"--config-dir={server.folder}", "--config=check")
        await publish_twice(server)


async def test_powerdns_on_postgresql_as_it_is_shipped_is_a_primary(tmp_path: Path) -> None:
    async with await Postgresql.start() as database:
        name = await fill_postgresql(tmp_path / "filling", database, ZONES, KEYS)
        async with await PowerDns.on_postgresql(tmp_path / "powerdns", database, name) as server:
            checked("pdns_server", f"--config-dir={server.folder}", "--config=check")
            await publish_twice(server)


async def publish_twice(server: PowerDns) -> None:
    """Publish deep and shallow names, so that PowerDNS asks what stands below them."""
    publisher = make_publisher(server.address)
    deep, middle = key("a.b.c", "A"), key("c", "TXT")
    await publish(publisher, 1, {deep: records("A", "192.0.2.1"), middle: records("TXT", '"here"')})
    gone = Message(ZONE, (), (DeleteRRset(middle),))
    assert await publisher.publish(gone) == Applied()
    for name, rcode in ((f"c.{ZONE}", "NOERROR"), (f"b.c.{ZONE}", "NOERROR"), (f"d.{ZONE}", "NXDOMAIN")):
        answer = await publisher.ask(name, "A")
        assert isinstance(answer, Answer)
        assert (name, answer.rcode) == (name, rcode)
    assert await publisher.publish(Message(ZONE, (), (DeleteRRset(deep),))) == Applied()
    answer = await publisher.ask(f"c.{ZONE}", "A")
    assert isinstance(answer, Answer)
    assert answer.rcode == "NXDOMAIN"
    await publisher.close()


async def test_what_stands_below_a_name_is_found_by_an_index_in_both_databases(tmp_path: Path) -> None:
    rows, zone = 5_000, ORIGIN.to_text(omit_final_dot=True)
    async with await PowerDns.start(tmp_path / "powerdns", zones=ZONES, keys=KEYS) as server:
        query = shipped("sqlite.conf")["gsqlite3-list-subzone-query"]
        with contextlib.closing(sqlite3.connect(server.folder / "pdns.sqlite3")) as connection:
            insert = "INSERT INTO records (domain_id, name, type, content) VALUES (1, ?, 'A', '192.0.2.1')"
            connection.executemany(insert, [(f"h{index}.{zone}",) for index in range(rows)])
            bound = {"zone": f"h1.{zone}", "wildzone": f"%.h1.{zone}", "domain_id": 1}
            plan = " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", bound))
            whole = connection.execute(query, bound | {"zone": zone}).fetchall()
    assert "INDEX dnsguard_parent" in plan
    assert "SCAN records" not in plan
    assert {row[6] for row in whole} == {zone}
    async with await Postgresql.start() as database:
        name = await fill_postgresql(tmp_path / "filling", database, ZONES, KEYS)
        query = shipped("postgresql.conf")["gpgsql-list-subzone-query"]
        explained = await database.execute(
            "INSERT INTO records (domain_id, name, type, content) "  # noqa: S608  both are the test's own
            f"SELECT 1, 'h' || i || '.{zone}', 'A', '192.0.2.1' FROM generate_series(1, {rows}) AS i",
            "ANALYZE",
            "SET enable_seqscan = off",
            "SET enable_bitmapscan = off",
            f"PREPARE below(text, text, int) AS {query}",
            f"EXPLAIN EXECUTE below('h1.{zone}', '%', 1)",
            database=name,
        )
    plan = " | ".join(str(row[0]) for row in explained)
    assert "Index Scan using dnsguard_parent" in plan
    assert "Seq Scan on records" not in plan
