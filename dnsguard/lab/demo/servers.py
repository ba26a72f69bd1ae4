"""The name servers of the demo: the embedded one, or a BIND of our own, on free ports of loopback.
A BIND is started in a temporary folder and ended by its process; no other server is touched.
"""

import asyncio
import base64
import os
import re
import secrets
import shutil
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import dns.name
import dns.tsig

from dnsguard.lab.demo.script import NEGATIVE_TTL_S, ZONE
from dnsguard.wire.primary import Primary
from dnsguard.wire.server import EmbeddedServer

KEY_NAME = "demo."
SOA = f"ns1.{ZONE} hostmaster.{ZONE} 100 3600 600 604800 {NEGATIVE_TTL_S}"
"""A negative answer is kept for its last number (RFC 2308 section 4)."""
_READY = re.compile(r" running$")
_START_S_MAX = 20
_STOP_S_MAX = 5
_PORT_TRIES = 5
_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/local/bin")
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class ServerUnavailable(Exception):
    """A name server cannot be started; the message says why and what to do."""


@asynccontextmanager
async def serving(kind: str, folder: Path) -> AsyncIterator[Primary]:
    """Run a name server with one empty zone. Raises ServerUnavailable."""
    secret = secrets.token_bytes(32)
    if kind == "bind":
        async with _bind(folder, secret) as port:
            yield Primary("127.0.0.1", port, KEY_NAME, "hmac-sha256", secret)
        return
    name = dns.name.from_text(KEY_NAME)
    server = await EmbeddedServer.start(
        zones={dns.name.from_text(ZONE): (name,)}, keys={name: dns.tsig.Key(name, secret, dns.tsig.HMAC_SHA256)}
    )
    try:
        yield Primary(*server.address, KEY_NAME, "hmac-sha256", secret)
    finally:
        await server.stop()


@asynccontextmanager
async def _bind(folder: Path, secret: bytes) -> AsyncIterator[int]:
    program = _program(folder)
    for _ in range(_PORT_TRIES):
        port = _free_port()
        (folder / "named.conf").write_text(_configuration(folder, port, secret), encoding="ascii")
        (folder / "zone").write_text(
            f"$TTL 300\n{ZONE} SOA {SOA}\n{ZONE} NS ns1.{ZONE}\nns1.{ZONE} A 127.0.0.1\n", encoding="ascii"
        )
        process = await asyncio.create_subprocess_exec(
            program,
            *("-g", "-c", str(folder / "named.conf")),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        lines: deque[str] = deque(maxlen=20)
        ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        reader = asyncio.create_task(_read(process, lines, ready))
        try:
            if await _started(ready, lines):
                yield port
                return
        finally:
            await _end(process, reader)
        if not any("address in use" in line for line in lines):
            raise ServerUnavailable(f"expected named to start, found that it ended; {_last(lines)}")
    raise ServerUnavailable(f"expected a free port for named, found none in {_PORT_TRIES} tries")


async def _started(ready: asyncio.Future[bool], lines: deque[str]) -> bool:
    try:
        async with asyncio.timeout(_START_S_MAX):
            return await ready
    except TimeoutError:
        raise ServerUnavailable(f"expected named to be ready within {_START_S_MAX} s; {_last(lines)}") from None


async def _read(process: asyncio.subprocess.Process, lines: deque[str], ready: asyncio.Future[bool]) -> None:
    output = process.stdout
    while output is not None and (line := (await output.readline()).decode("utf-8", "replace")):
        lines.append(line.rstrip())
        if not ready.done() and ("address in use" in line or _READY.search(line.rstrip())):
            ready.set_result("address in use" not in line)
    if not ready.done():
        ready.set_result(False)


async def _end(process: asyncio.subprocess.Process, reader: asyncio.Task[None]) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    await reader


def _last(lines: deque[str]) -> str:
    return f"its last line was: {lines[-1]}" if lines else "it said nothing"


def _program(folder: Path) -> str:
    """Return the program to run: a copy where AppArmor would keep the installed one out of the folder."""
    found = shutil.which("named", path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))
    if found is None:
        raise ServerUnavailable(
            "expected BIND's named on this machine, found none; install bind9, or use --server embedded"
        )
    if _APPARMOR.exists() and _APPARMOR.read_text(encoding="ascii").startswith("Y"):
        return str(shutil.copy2(found, folder / "named"))
    return found


def _free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as stream:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        return port


def _configuration(folder: Path, port: int, secret: bytes) -> str:
    allowed = f'{{ key "{KEY_NAME}"; }}'
    return "\n".join(
        (
            f'options {{ directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";',
            f"  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no;",
            "  empty-zones-enable no; dnssec-validation no; minimal-responses no; };",
            "controls { };",
            f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{base64.b64encode(secret).decode()}"; }};',
            f'zone "{ZONE}" {{ type primary; file "zone"; allow-update {allowed}; allow-transfer {allowed}; }};\n',
        )
    )
