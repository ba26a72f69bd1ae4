"""Ways to run a command, and servers that stand between it and a daemon, or are none at all."""

import http.client
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from click.testing import CliRunner, Result

from dnsguard.cli.main import program

READER_TOKEN = "the-reader"
COMMAND_S_MAX = 60


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The tests' environment without what would steer dnsguard or rich, and with what a test wants."""
    steering = ("DNSGUARD_", "NO_COLOR", "FORCE_COLOR", "TTY_", "XDG_DATA_HOME")
    return {key: value for key, value in os.environ.items() if not key.startswith(steering)} | dict(extra)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Cli:
    """The command line, pointed at a data folder."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DNSGUARD_DATA_DIR": str(self.folder)}

    def _environment(self, args: tuple[str, ...], extra: Mapping[str, str]) -> dict[str, str]:
        """A daemon that is asked by its URL is sent a token only if one is named."""
        by_url = "--url" in args or "DNSGUARD_URL" in extra
        token = {"DNSGUARD_TOKEN_FILE": str(self.folder / "admin.token")} if by_url else {}
        return {**self.environment, **token, **extra}

    @property
    def url(self) -> str:
        return (self.folder / "http.address").read_text().strip()

    @property
    def token(self) -> str:
        return (self.folder / "admin.token").read_text().strip()

    def __call__(self, *args: str, stdin: str | None = None, **environment: str) -> Result:
        """Run a command in this process; whatever it says, a token is not part of it."""
        cleared = {key: None for key in os.environ if key not in clean_environment({})}
        result = CliRunner().invoke(program, args, input=stdin, env={**cleared, **self._environment(args, environment)})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self._assert_discreet(result.stdout + result.stderr)
        return result

    def process(self, *args: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "dnsguard", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
            env=clean_environment(self._environment(args, environment)),
        )
        self._assert_discreet(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def _assert_discreet(self, output: str) -> None:
        assert not (self.folder / "admin.token").exists() or self.token not in output

    def popen(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own; the caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "dnsguard", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(self._environment(args, environment)),
            # A shell that runs the tests in the background has interrupts ignored, by all that it starts.
            preexec_fn=_heed_interrupts,  # noqa: PLW1509  it calls nothing that could deadlock
        )

    def on_terminal(self, *args: str, **environment: str) -> tuple[int, str]:
        """Run a command with output and errors on a terminal of 100 columns. Returns exit code and what it shows."""
        ours, theirs = pty.openpty()
        size = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        with subprocess.Popen(
            [sys.executable, "-m", "dnsguard", *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean_environment(self._environment(args, size | environment)),
        ) as started:
            os.close(theirs)
            shown = b""
            # The system says "input/output error" when nobody holds the other side any more.
            try:
                while octets := os.read(ours, 65536):
                    shown += octets
            except OSError:
                os.close(ours)
            code = started.wait(COMMAND_S_MAX)
        return code, shown.decode().replace("\r\n", "\n")


@dataclass
class Between:
    """A way to a daemon on which answers to writes get lost, or writes never arrive."""

    upstream: str
    answers_to_lose: int = 0
    holding: bool = False
    """Whether writes are kept here for ever instead of being passed on."""
    url: str = ""
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def between(way: Between) -> Iterator[Between]:
    """Open a way to a daemon."""

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.command == "POST":
                way.keys.append(self.headers.get("Idempotency-Key"))
                if way.holding:
                    way.arrived.set()
                    way.released.wait(COMMAND_S_MAX)
                    return
            there = http.client.HTTPConnection(urlsplit(way.upstream).netloc, timeout=COMMAND_S_MAX)
            there.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = there.getresponse()
            octets = answer.read()
            there.close()
            self.close_connection = True
            if self.command == "POST" and way.answers_to_lose > 0:
                way.answers_to_lose -= 1
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_GET = do_POST = _pass  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _served(Passing) as way.url:
        try:
            yield way
        finally:
            way.released.set()


@contextmanager
def stranger(status: int, headers: Mapping[str, str], body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """Serve one answer to everything. Yields the address and the Authorization headers that came."""
    seen: list[str | None] = []

    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            seen.append(self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _served(Answering) as url:
        yield url, seen


@contextmanager
def _served(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def interrupted() -> Iterator[None]:
    """Press Ctrl-C as soon as somebody listens to it in a way of his own.

    Tests that run in the background begin with Ctrl-C ignored, so it is given Python's own meaning first.
    """
    outside, over = signal.signal(signal.SIGINT, signal.default_int_handler), threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def press() -> None:
        while not over.is_set() and signal.getsignal(signal.SIGINT) is before:
            os.sched_yield()
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    try:
        yield
    finally:
        over.set()
        finger.join()
        signal.signal(signal.SIGINT, outside)
