"""BIND 9: a real `named`, as the primary of some zones or as their secondary.

It runs in the foreground as the user of the tests, in a folder of its own, with a control channel.
"""

import asyncio
import base64
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers import require
from tests.servers.process import Process
from tests.servers.running import HERE, Address, Keys, Place, Running, Zones, on_free_ports, write_zones, zone_file

_CONTROL_SECRET = base64.b64encode(b"control channel of a test").decode()
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class Bind(Running):
    """A running `named`."""

    TRANSFERRED = "zone {zone}/IN: transferred serial {serial}:"

    def __init__(
        self, folder: Path, place: Place, ports: Sequence[int], zones: Zones, keys: Keys, of: Address | None, extra: str
    ) -> None:
        self._zones, self._keys, self._of, self._extra = zones, keys, of, extra
        self._notified: tuple[Address, ...] = ()
        self.folder, self.place, self._ports = folder, place, tuple(ports)
        self._configure()
        argv = [*place.prefix, _program(folder), "-g", "-c", str(folder / "named.conf")]
        super().__init__(
            folder,
            place,
            ports,
            lambda: Process(argv, ready=r" running$", folder=folder, environment=place.environment),
        )

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        zones: Zones,
        keys: Keys,
        extra_options: str = "",
        primary: Address | None = None,
        place: Place = HERE,
    ) -> "Bind":
        """Start it as the primary of its zones, or as the secondary of another server, and wait until it has them.

        `extra_options` are statements for the options block.
        """
        require("named")
        write_zones(folder, zones if primary is None else ())
        return await on_free_ports(
            place,
            2,
            lambda ports: cls(folder, place, ports, zones, keys, primary, extra_options),
            zones if primary is not None else (),
        )

    async def notify(self, *secondaries: Address) -> None:
        """Tell these servers of every change from now on."""
        self._notified = secondaries
        self._configure()
        await self.rndc("reconfig")

    async def rndc(self, *command: str) -> str:
        """Send a command over the control channel and return what `rndc` printed; raises when it failed."""
        argv = [*self.place.prefix, require("rndc"), "-c", str(self.folder / "rndc.conf"), *command]
        done = await asyncio.to_thread(subprocess.run, argv, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"rndc {' '.join(command)}: {done.stdout}{done.stderr}")
        return str(done.stdout)

    def _configure(self) -> None:
        (self.folder / "rndc.conf").write_text(
            f'key "control" {{ algorithm hmac-sha256; secret "{_CONTROL_SECRET}"; }};\n'
            f'options {{ default-key "control"; default-server {self.place.host}; '
            f"default-port {self._ports[1]}; }};\n"
        )
        (self.folder / "named.conf").write_text("\n".join([*self._options(), *self._zone_clauses()]) + "\n")

    def _options(self) -> list[str]:
        host, (port, control_port) = self.place.host, self._ports
        parts = [
            f'options {{ directory "{self.folder}"; pid-file none; session-keyfile "{self.folder}/session.key";',
            f"  listen-on port {port} {{ {host}; }}; listen-on-v6 {{ none; }};",
            f"  notify-source {host}; transfer-source {host}; notify-delay 0; serial-query-rate 1000;",
            "  recursion no; empty-zones-enable no; dnssec-validation no; allow-transfer { none; };",
            f"  {self._extra} }};",
            f'key "control" {{ algorithm hmac-sha256; secret "{_CONTROL_SECRET}"; }};',
            f'controls {{ inet {host} port {control_port} allow {{ {host}; }} keys {{ "control"; }}; }};',
        ]
        for name, key in self._keys.items():
            algorithm = key.algorithm.to_text(omit_final_dot=True)
            secret = base64.b64encode(key.secret).decode()
            parts.append(f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};')
        return parts

    def _zone_clauses(self) -> list[str]:
        clauses = []
        for origin, names in self._zones.items():
            allowed = " ".join(f'key "{name}";' for name in names) or "none;"
            if self._of is not None:
                source = f'{self._of[0]} port {self._of[1]} key "{names[0]}";'
                role = f"type secondary; primaries {{ {source} }}; min-refresh-time 1; max-refresh-time 2; notify no;"
            else:
                told = " ".join(f"{host} port {port};" for host, port in self._notified)
                role = f"type primary; allow-update {{ {allowed} }}; notify explicit; also-notify {{ {told} }};"
            clauses.append(
                f'zone "{origin}" {{ {role} file "{zone_file(origin)}"; masterfile-format text; '
                f"allow-transfer {{ {allowed} }}; }};"
            )
        return clauses


def _program(folder: Path) -> str:
    """The program to run: a copy where AppArmor would keep the installed one out of the test's folder."""
    installed = require("named")
    if not (_APPARMOR.exists() and _APPARMOR.read_text().startswith("Y")):
        return installed
    copy = folder / "named"
    if not copy.exists():
        shutil.copy2(installed, copy)
    return str(copy)
