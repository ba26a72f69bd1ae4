"""What every real server in the tests needs: a free port, a start that is over when it is ready, and an end.

Readiness is a line that the server itself writes; nothing here waits by sleeping. A process does not belong to
an event loop, so one server can serve tests that each have their own.
"""

import asyncio
import contextlib
import re
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
_LINES_KEPT = 500
_PORT_TAKEN = re.compile(r"(?i)address (already )?in use")


class NotStarted(Exception):
    """A server ended, complained or stayed silent before it was ready; the message has its last lines."""


class PortTaken(NotStarted):
    """Another process took the port between its choice and its use: choose another and try again."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and for TCP right now."""
    for _ in range(50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):
                datagram.bind(("127.0.0.1", port))
                return port
    raise OSError("expected a port free for both UDP and TCP, found none in 50 tries")


class Process:
    """One started server; its standard output and error are read to the end and the last lines kept."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        ready: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `ready` is a pattern for the line that it writes when it serves. See `started`."""
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._ready = re.compile(ready)
        self._outcome: Future[None] = Future()
        self._awaited: list[tuple[re.Pattern[str], Future[str]]] = []
        self._reading = threading.Lock()
        self._popen = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    async def started(self) -> None:
        """Wait until it is ready; raises NotStarted, and then it is not running any more."""
        try:
            await asyncio.wait_for(asyncio.wrap_future(self._outcome), START_SECONDS_MAX)
        except TimeoutError:
            await self.stop(signal.SIGKILL)
            raise NotStarted(f"not ready after {START_SECONDS_MAX} s:\n{self.tail()}") from None
        except BaseException:
            await self.stop(signal.SIGKILL)
            raise

    async def logged(self, pattern: str) -> str:
        """Wait for a line in which a pattern is found; one that was written already counts while it is kept."""
        found: Future[str] = Future()
        searched = re.compile(pattern)
        with self._reading:
            line = next(filter(searched.search, self.lines), None)
            if line is not None:
                return line
            self._awaited.append((searched, found))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(found), START_SECONDS_MAX)
        except TimeoutError:
            raise NotStarted(f"expected a line with {pattern!r} within {START_SECONDS_MAX} s:\n{self.tail()}") from None

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by its pid, with SIGKILL after a bound; returns its exit status. Harmless when it has ended."""
        return await asyncio.to_thread(self._end, how)

    def tail(self) -> str:
        """Its last lines, for the message of a failed test."""
        return "\n".join(list(self.lines)[-20:])

    def _end(self, how: signal.Signals) -> int:
        self._popen.send_signal(how)
        try:
            status = self._popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            status = self._popen.wait()
        self._reader.join(STOP_SECONDS_MAX)
        return status

    def _read(self) -> None:
        output = self._popen.stdout
        if output is None:
            return
        with output:
            for line in output:
                self._take(line.rstrip("\n"))
        if not self._outcome.done():
            self._outcome.set_exception(NotStarted(f"ended before it was ready:\n{self.tail()}"))

    def _take(self, line: str) -> None:
        with self._reading:
            self.lines.append(line)
            awaited, self._awaited = self._awaited, []
            for pattern, found in awaited:
                if not pattern.search(line):
                    self._awaited.append((pattern, found))
                elif found.set_running_or_notify_cancel():
                    found.set_result(line)
        if self._outcome.done():
            return
        if _PORT_TAKEN.search(line):
            self._outcome.set_exception(PortTaken(line))
        elif self._ready.search(line):
            self._outcome.set_result(None)
