"""After a restore of PostgreSQL, and after a move to it, a zone halts, and the commands of docs/operations.md lead out.
They are taken from that page and run as they stand there, on a real BIND and a real PostgreSQL.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.site import Site, open_site
from tests.servers import require
from tests.servers.postgresql import Postgresql

DATABASE = "dnsguard"
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
RESTORED = "## Restore the database"
BACKED_UP = "## Back up the database"


def commands(heading: str, program: str) -> list[list[str]]:
    """Return the commands that a section of the page shows, of those that run one of some programs."""
    section = PAGE.read_text().split(f"\n{heading}\n")[1].split("\n## ")[0]
    found = re.findall(rf"^ +((?:{program}) .*)$", section, re.MULTILINE)
    assert found, heading
    return [shlex.split(line) for line in found]


class Server:
    """The PostgreSQL that the page's commands are run against."""

    def __init__(self, postgresql: Postgresql, folder: Path) -> None:
        self._postgresql, self._folder = postgresql, folder
        self.url = postgresql.url(DATABASE)

    def run(self, argvs: list[list[str]]) -> None:
        for argv in argvs:
            require(argv[0])
            environment = os.environ | self._postgresql.environment()
            done = subprocess.run(
                argv, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{argv}: {done.stderr}"

    def empty(self) -> None:
        self.run(commands(RESTORED, "dropdb|createdb"))

    def back_up(self) -> None:
        self.run(commands(BACKED_UP, "pg_dump"))

    def restore(self) -> None:
        self.run(commands(RESTORED, "dropdb|createdb|pg_restore"))

    def drop(self) -> None:
        self.run([["dropdb", "--if-exists", DATABASE]])


@pytest.fixture
def server(postgresql: Postgresql, tmp_path: Path) -> Iterator[Server]:
    server = Server(postgresql, tmp_path)
    server.empty()
    yield server
    server.drop()


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Iterator[Site]:  # noqa: ARG001  closed before its database goes
    with open_site(tmp_path, "[workers]\nenactor_interval_s = 0.3\n") as site:
        yield site


def status(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.cli("status", "example.test.", "--json").stdout)
    return found


def addresses(site: Site) -> dict[str, str]:
    lines = (line.split() for line in site.shown())
    return {name.partition(".")[0]: rdata for name, _, _, rdtype, rdata, *_ in lines if rdtype == "A"}


def move(site: Site, server: Server) -> None:
    site.stop()
    site.configure(server.url)
    site.start()


def restart_with_the_dump(site: Site, server: Server) -> None:
    site.stop()
    server.restore()
    site.start()


def lead_out(site: Site) -> None:
    """Run the page's commands against the daemon, each of which must succeed."""
    for argv in commands(RESTORED, "dnsguard"):
        done = site.until(0, *argv[1:]) if argv[1] == "verify" else site.cli(*argv[1:])
        assert done.exit_code == 0, f"{argv}: {done.output}"


def test_a_zone_moves_to_postgresql_and_out_of_a_restored_dump_and_stays_on_the_wire(
    site: Site, server: Server
) -> None:
    site.publish("www", "192.0.2.1")
    site.publish("mail", "192.0.2.25")
    before = addresses(site)

    move(site, server)
    assert "written from another database" in site.until(1, "status", "example.test.").stdout
    assert addresses(site) == before
    lead_out(site)
    assert addresses(site) == before
    moved = status(site)
    assert (moved["halted"], moved["published"] > 2) == (None, True)

    server.back_up()  # while the daemon runs
    restart_with_the_dump(site, server)
    site.publish("www", "192.0.2.2")  # nothing had been published since the dump: it goes on by itself
    site.publish("new", "192.0.2.3")
    fence = status(site)["published"]
    after = addresses(site)
    restart_with_the_dump(site, server)
    shown = site.until(1, "status", "example.test.").stdout
    assert "ahead of this database" in shown
    assert site.cli("verify").exit_code == 1
    assert site.cli("set", "www", "A", "300", "192.0.2.9", "--wait", "1").exit_code == 1
    assert addresses(site) == after
    lead_out(site)
    assert addresses(site) == after
    assert status(site)["published"] > fence
    reasons = {plan["reason"] for plan in json.loads(site.cli("plans", "--json").stdout)["plans"]}
    assert "database of Monday" in reasons
    site.publish("www", "192.0.2.10")
    assert addresses(site)["www"] == "192.0.2.10"
