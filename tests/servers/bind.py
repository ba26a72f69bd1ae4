"""BIND 9: a real `named` with zones of the same initial contents as the embedded server makes.

It runs in the foreground as the user of the tests, in a folder of its own, with a control channel.
"""

import asyncio
import base64
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import dns.name
import dns.tsig

from dnsguard.wire.server import initial_contents
from tests.servers import require
from tests.servers.process import PortTaken, Process, free_port

_PORT_TRIES = 5
_CONTROL_SECRET = base64.b64encode(b"control channel of a test").decode()
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class Bind:
    """A running `named`; also an async context manager that stops it."""

    def __init__(self, folder: Path, address: tuple[str, int], control_port: int, process: Process) -> None:
        self._folder = folder
        self._address = address
        self._control_port = control_port
        self._process = process

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        zones: Mapping[dns.name.Name, Sequence[dns.name.Name]],
        keys: Mapping[dns.name.Name, dns.tsig.Key],
        extra_options: str = "",
    ) -> "Bind":
        """Start it on free ports; `zones` maps origins to the names of keys that may update and transfer.

        `extra_options` are statements for the options block. Zone files and journals in `folder` stay there
        across `stop`, `kill` and `restart`.
        """
        require("named")
        _write_zones(folder, zones)
        for tries_left in reversed(range(_PORT_TRIES)):
            port, control_port = free_port(), free_port()
            (folder / "named.conf").write_text(_configuration(folder, port, control_port, zones, keys, extra_options))
            (folder / "rndc.conf").write_text(_control_configuration(control_port))
            process = _launch(folder)
            try:
                await process.started()
            except PortTaken:
                if not tries_left:
                    raise
                continue
            return cls(folder, ("127.0.0.1", port), control_port, process)
        raise AssertionError("unreachable: the last try returns or raises")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, both UDP and TCP."""
        return self._address

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_lines(self) -> list[str]:
        """The last lines of its log."""
        return list(self._process.lines)

    async def stop(self) -> None:
        """End it in order."""
        await self._process.stop()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self._process.stop(signal.SIGKILL)

    async def restart(self) -> None:
        """Start it again on the same ports, with its zones and journals as they are."""
        await self._process.stop()
        self._process = _launch(self._folder)
        await self._process.started()

    async def rndc(self, *command: str) -> str:
        """Send a command over the control channel and return what `rndc` printed; raises when it failed."""
        argv = [require("rndc"), "-c", str(self._folder / "rndc.conf"), *command]
        done = await asyncio.to_thread(subprocess.run, argv, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"rndc {' '.join(command)}: {done.stdout}{done.stderr}")
        return str(done.stdout)


def _launch(folder: Path) -> Process:
    argv = [_program(folder), "-g", "-c", str(folder / "named.conf")]
    return Process(argv, ready=r" running$", folder=folder)


def _program(folder: Path) -> str:
    """The program to run: a copy where AppArmor would keep the installed one out of the test's folder."""
    installed = require("named")
    if not (_APPARMOR.exists() and _APPARMOR.read_text().startswith("Y")):
        return installed
    copy = folder / "named"
    if not copy.exists():
        shutil.copy2(installed, copy)
    return str(copy)


def _file_name(origin: dns.name.Name) -> str:
    return f"{origin.to_text(omit_final_dot=True).replace('/', '_')}.zone"


def _zone_text(origin: dns.name.Name) -> str:
    rrsets = ((rrset.name, rrset.rdataset) for rrset in initial_contents(origin))
    return "".join(f"{rdataset.to_text(name)}\n" for name, rdataset in rrsets if rdataset is not None)


def _write_zones(folder: Path, origins: Iterable[dns.name.Name]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for origin in origins:
        zone_file = folder / _file_name(origin)
        if not zone_file.exists():
            zone_file.write_text(_zone_text(origin))


def _write_configuration(folder: Path, configuration: str, control_port: int) -> None:
    (folder / "named.conf").write_text(configuration)
    (folder / "rndc.conf").write_text(_control_configuration(control_port))


def _configuration(
    folder: Path,
    port: int,
    control_port: int,
    zones: Mapping[dns.name.Name, Sequence[dns.name.Name]],
    keys: Mapping[dns.name.Name, dns.tsig.Key],
    extra_options: str,
) -> str:
    parts = [
        f'options {{ directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";',
        f"  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};",
        "  recursion no; notify no; empty-zones-enable no; dnssec-validation no; allow-transfer { none; };",
        f"  {extra_options} }};",
        f'key "control" {{ algorithm hmac-sha256; secret "{_CONTROL_SECRET}"; }};',
        f'controls {{ inet 127.0.0.1 port {control_port} allow {{ 127.0.0.1; }} keys {{ "control"; }}; }};',
    ]
    for name, key in keys.items():
        algorithm = key.algorithm.to_text(omit_final_dot=True)
        secret = base64.b64encode(key.secret).decode()
        parts.append(f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};')
    for origin, names in zones.items():
        allowed = " ".join(f'key "{name}";' for name in names) or "none;"
        parts.append(
            f'zone "{origin}" {{ type primary; file "{_file_name(origin)}"; '
            f"allow-update {{ {allowed} }}; allow-transfer {{ {allowed} }}; }};"
        )
    return "\n".join(parts) + "\n"


def _control_configuration(control_port: int) -> str:
    return (
        f'key "control" {{ algorithm hmac-sha256; secret "{_CONTROL_SECRET}"; }};\n'
        f'options {{ default-key "control"; default-server 127.0.0.1; default-port {control_port}; }};\n'
    )
