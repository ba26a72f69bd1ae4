"""A real BIND and a real daemon that publishes to it, for the command line to talk to."""

import asyncio
import base64
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import Result

from tests.cli.rig import Cli, clean_environment
from tests.servers.bind import Bind
from tests.servers.process import Process
from tests.wire.by_hand import shown, update
from tests.wire.primaries import KEYS, SECRET, ZONE, ZONES

TRIES_MAX = 150


class Site:
    """One zone on a BIND of its own. Commands are run in the test's own process."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder, self._settings = folder, settings
        self.bind = asyncio.run(Bind.start(folder / "bind", zones=ZONES, keys=KEYS))
        self.cli = Cli(folder / "data")
        self._daemon: Process | None = None
        self.configure()

    def configure(self, database: str | None = None) -> None:
        """Write the settings, for the usual SQLite file or for another database; the daemon reads them at its start."""
        (self.folder / "dnsguard.toml").write_text(
            f"""
            {"" if database is None else f'database = "{database}"'}
            [http]
            listen = "127.0.0.1:0"
            [keys."updater."]
            secret = "{base64.b64encode(SECRET).decode()}"
            [primaries.main]
            host = "127.0.0.1"
            port = {self.bind.address[1]}
            key = "updater."
            [zones."{ZONE}"]
            primary = "main"
            {self._settings}
            """
        )

    @property
    def database(self) -> Path:
        return self.folder / "data" / "dnsguard.sqlite"

    @property
    def log_lines(self) -> list[str]:
        return [] if self._daemon is None else list(self._daemon.lines)

    def start(self) -> None:
        argv = [sys.executable, "-m", "dnsguard", "serve", "--config", str(self.folder / "dnsguard.toml")]
        argv += ["--data-dir", str(self.folder / "data")]
        environment = clean_environment({})
        self._daemon = Process(argv, ready=r"daemon\.started", folder=Path.cwd(), environment=environment)
        asyncio.run(self._daemon.started())

    def stop(self) -> None:
        if self._daemon is not None:
            asyncio.run(self._daemon.stop())
            self._daemon = None

    def publish(self, name: str, address: str) -> None:
        """Publish an address."""
        done = self.cli("set", name, "A", "300", address, "--wait", "30")
        assert done.exit_code == 0, done.output

    def write(self, *lines: str) -> None:
        """Change the zone past dnsguard."""
        asyncio.run(update(self.bind.address, *lines))

    def shown(self) -> set[str]:
        """All of the zone, to the letter."""
        return asyncio.run(shown(self.bind.address))

    def until(self, exit_code: int, *command: str) -> Result:
        """Repeat a command until it ends as it should."""
        done = self.cli(*command)
        for _ in range(TRIES_MAX):
            if done.exit_code == exit_code:
                return done
            done = self.cli(*command)
        raise AssertionError(f"{command} still ends with {done.exit_code}: {done.output}")

    def back_up_server(self) -> None:
        """Keep a copy of the zone as the stopped server has it on its disk."""
        asyncio.run(self.bind.stop())
        shutil.copytree(self.folder / "bind", self.folder / "backup of bind")
        asyncio.run(self.bind.restart())

    def restore_server(self) -> None:
        """Put the copy back, and start the server on it."""
        asyncio.run(self.bind.stop())
        for kept in (self.folder / "backup of bind").glob("*.zone*"):
            shutil.copy2(kept, self.folder / "bind" / kept.name)
        for made in (self.folder / "bind").glob("*.zone*"):
            if not (self.folder / "backup of bind" / made.name).exists():
                made.unlink()
        asyncio.run(self.bind.restart())

    def back_up_database(self) -> None:
        """Copy the database while the daemon is at work."""
        with sqlite3.connect(self.database) as source, sqlite3.connect(self.folder / "backup.sqlite") as copy:
            source.backup(copy)
        source.close()
        copy.close()

    def restore_database(self) -> None:
        """Put the copy back; the daemon must not run."""
        for stale in self.database.parent.glob(self.database.name + "-*"):
            stale.unlink()
        shutil.copy2(self.folder / "backup.sqlite", self.database)


@contextmanager
def open_site(folder: Path, settings: str = "") -> Iterator[Site]:
    """Start both, and end both."""
    site = Site(folder, settings)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        asyncio.run(site.bind.stop())
