"""Daemons as real processes: started with a configuration file of their own, killed, and started again.
A daemon listens on a port that it chooses itself, so that no other process can take it while it is down.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from tests.campaigns.load import NoReply, exchange
from tests.servers.process import NotStarted, Process

_ROOT = Path(__file__).resolve().parents[2]
_TAIL_LINES_MAX = 2_000
_REFUSED = re.compile(r'^dnsguard_update_messages_total\{[^}]*outcome="refused"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
_API = re.compile(r"^  API  (http://\S+) ")
_DNS = re.compile(r"^  DNS  (\S+) port (\d+) ")


class Daemon:
    """One daemon, over all of its lives."""

    def __init__(
        self,
        folder: Path,
        configuration: Path,
        session: aiohttp.ClientSession,
        token: str,
        *,
        prefix: Sequence[str] = (),
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        module: str = "dnsguard",
    ) -> None:
        """Name it; nothing is started yet. ``prefix`` is a command that runs another, ``environment`` adds to ours."""
        self.folder = folder
        self.url: str | None = None
        self.dns: tuple[str, int] | None = None
        self.started_s: list[float] = []
        """How long each of its lives took from the process's start to its first answer over HTTP."""
        self.words: list[str] = []
        """Errors from its logs."""
        self.tail: list[str] = []
        """The last lines of its log, of its last lives."""
        self._refused_before = self._refused_now = 0
        self._argv = [*prefix, sys.executable, "-m", module, "serve", "--config", str(configuration), *arguments]
        # Whatever is installed beside this tree, it is this tree's daemon.
        self._environment = {**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})}
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"}
        self._process: Process | None = None

    @property
    def refused(self) -> int:
        """Fenced writes that the primary refused, in all lives, as far as /metrics was read in time."""
        return self._refused_before + self._refused_now

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it and wait for its first answer, or for its death by `kill`. Raises NotStarted if it ended itself."""
        begun = time.monotonic()
        process = self._process = Process(
            self._argv, ready="^Try, in another terminal:", folder=self.folder, environment=self._environment
        )
        try:
            await process.started()
        except NotStarted:
            if self._process is not process:
                return
            raise
        if self._process is not process:
            return
        for line in process.lines:
            if (api := _API.match(line)) is not None:
                self.url = api[1]
            if (dns := _DNS.match(line)) is not None:
                self.dns = (dns[1], int(dns[2]))
        try:
            await exchange(self._session, "GET", f"{self.url}/v1/health/live")
        except NoReply as error:
            if self._process is not process:
                return
            raise NotStarted(f"no answer over HTTP: {error}") from error
        if self._process is process:
            self.started_s.append(time.monotonic() - begun)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.url = self.dns = None
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it in order; return its exit status."""
        self.url = self.dns = None
        return await self._end(signal.SIGTERM)

    async def read_metrics(self) -> None:
        """Note how many fenced writes were refused in this life up to now, if it answers."""
        if self.url is None:
            return
        try:
            async with (
                asyncio.timeout(2),
                self._session.get(f"{self.url}/metrics", headers=self._headers, raise_for_status=True) as response,
            ):
                text = await response.text()
        except aiohttp.ClientResponseError:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        self._refused_now = sum(int(float(found)) for found in _REFUSED.findall(text))

    async def _end(self, how: signal.Signals) -> int:
        self._refused_before, self._refused_now = self.refused, 0
        process, self._process = self._process, None
        if process is None:
            return 0
        status = await process.stop(how)
        self.tail = [*self.tail, *process.lines][-_TAIL_LINES_MAX:]
        self.words += [line for line in process.lines if '"level": "error"' in line or "Traceback" in line]
        return status
