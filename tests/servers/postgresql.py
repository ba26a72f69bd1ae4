"""PostgreSQL: a real server with a password, in a folder of its own, and a fresh database for whoever asks.

It runs as an unprivileged user, as it refuses to run as root. `fsync` is always on; the folder is in memory where
the machine has such a place, so that waiting for the disk costs no time unless a test asks for a disk.
"""

import asyncio
import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import asyncpg
from sqlalchemy.engine import URL

from tests.servers import require
from tests.servers.process import NotStarted, PortTaken, Process, free_port

USER = "dnsguard"
_TRIES = 5
_RESTART_TRIES = 200
_MEMORY = Path("/dev/shm")
_UNPRIVILEGED = ("postgres", "nobody")


class Postgresql:
    """A running server; also an async context manager that stops it and removes the folder that it made."""

    def __init__(self, folder: Path, own: bool, address: tuple[str, int], password: str, prefix: Sequence[str]) -> None:
        self._folder, self._own = folder, own
        self._address = address
        self._password = password
        self._prefix = prefix
        self._names = itertools.count(1)
        self._process: Process | None = None

    @classmethod
    async def start(
        cls,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Self:
        """Make a cluster and start it, on a free port unless one is given.

        ``folder`` must be empty or absent, and below folders that other users may pass; without one it is made in
        memory. ``settings`` go into postgresql.conf. ``prefix`` is a command that runs another, such as
        ``("ip", "netns", "exec", "db")``.
        """
        require("postgres")
        own = folder is None
        if folder is None:
            folder = _make_folder()
        password = secrets.token_hex(12)
        server = cls(folder, own, (host, port or free_port()), password, prefix)
        try:
            await asyncio.to_thread(_make_cluster, folder, password, settings or {})
            await server._launch_on_a_free_port(chosen=port is not None)
        except BaseException:
            await server.close()
            raise
        return server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it and remove the folder that it made for itself."""
        await self.kill()
        if self._own:
            shutil.rmtree(self._folder)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._address

    @property
    def password(self) -> str:
        return self._password

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log_lines(self) -> list[str]:
        """The last lines of its log."""
        return [] if self._process is None else list(self._process.lines)

    def url(self, database: str = "postgres", *, via: tuple[str, int] | None = None) -> str:
        """Return the address of a database as dnsguard takes it; ``via`` names a proxy to go through."""
        host, port = via or self._address
        url = URL.create("postgresql", USER, self._password, host, port, database)
        return url.render_as_string(hide_password=False)

    def environment(self) -> dict[str, str]:
        """Return the variables with which `psql`, `pg_dump` and their like find the server."""
        host, port = self._address
        return {"PGHOST": host, "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": self._password}

    async def database(self, *, template: str = "template0") -> str:
        """Make a database, a copy of another; return its name."""
        name = f"test{next(self._names)}"
        await self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    async def execute(self, *statements: str, database: str = "postgres") -> list[asyncpg.Record]:
        """Run statements one by one as an administrator would; return the rows of the last."""
        connection = await asyncpg.connect(self.url(database))
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    async def stop(self) -> None:
        """End it in order: clients are cut off, everything is written."""
        await self._end(signal.SIGINT)

    async def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it as a power cut would: `pg_ctl stop -m immediate`, or with SIGKILL."""
        await self._end(how)

    async def restart(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it, if it runs, and start it again on the same port; it recovers what was committed."""
        await self._end(how)
        for tries_left in reversed(range(_RESTART_TRIES)):
            try:
                await self._launch()
            except NotStarted:
                # After SIGKILL its children need a moment until they notice; until then it refuses to start.
                if not tries_left:
                    raise
            else:
                return

    async def _launch_on_a_free_port(self, *, chosen: bool) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                return await self._launch()
            except PortTaken:
                if chosen or not tries_left:
                    raise
                self._address = (self._address[0], free_port())
        return None

    async def _launch(self) -> None:
        host, port = self._address
        argv = [*self._prefix, *_as_unprivileged(), require("postgres"), "-D", str(self._folder)]
        self._process = Process(
            [*argv, "-c", f"listen_addresses={host}", "-p", str(port)],
            ready="ready to accept connections",
            folder=self._folder,
        )
        await self._process.started()

    async def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            await self._process.stop(how)


def _make_folder() -> Path:
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="dnsguard-postgresql-", dir=place))


def _as_unprivileged() -> list[str]:
    """Return the command that gives up being root, nothing if it is not root."""
    if os.geteuid():
        return []
    entry = _unprivileged()
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]


def _unprivileged() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NotStarted(f"expected one of the users {', '.join(_UNPRIVILEGED)}, found none")


def _make_cluster(folder: Path, password: str, settings: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    secret = folder.with_name(f"{folder.name}.password")
    with secret.open("x", encoding="ascii") as file:
        file.write(password)
    if not os.geteuid():
        entry = _unprivileged()
        for path in (folder, secret):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    argv = [*_as_unprivileged(), require("initdb"), "-D", str(folder), "-U", USER, "--pwfile", str(secret)]
    argv += ["-A", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
    try:
        done = subprocess.run(argv, check=False, cwd="/", capture_output=True, text=True, timeout=60)
    finally:
        secret.unlink()
    if done.returncode:
        raise NotStarted(f"initdb: {done.stdout}{done.stderr}")
    own = {
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "16MB",
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
        "autovacuum": "off",
        "log_min_messages": "warning",
    } | dict(settings)
    with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in own.items())
    (folder / "pg_hba.conf").write_text("host all all all scram-sha-256\n", encoding="ascii")
