"""NSD: a real `nsd` as the secondary of some zones. It has no UPDATE, so it is never a primary here.

It runs in the foreground as the user of the tests, in a folder of its own; its control socket lies there, too.
"""

import asyncio
import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers import require
from tests.servers.process import Process
from tests.servers.running import HERE, Address, Keys, Place, Running, Zones, on_free_ports, write_zones, zone_file


class Nsd(Running):
    """A running `nsd`."""

    TRANSFERRED = r"zone {zone}\.? serial [0-9]+ is updated to {serial}\b"

    def __init__(
        self, folder: Path, place: Place, ports: Sequence[int], zones: Zones, keys: Keys, primary: Address
    ) -> None:
        configuration = folder / "nsd.conf"
        configuration.write_text(_configuration(folder, place, ports[0], zones, keys, primary))
        argv = [*place.prefix, require("nsd"), "-d", "-c", str(configuration)]
        super().__init__(
            folder,
            place,
            ports,
            lambda: Process(argv, ready=r"nsd started", folder=folder, environment=place.environment),
        )

    @classmethod
    async def start(cls, folder: Path, *, zones: Zones, keys: Keys, primary: Address, place: Place = HERE) -> "Nsd":
        """Start it as the secondary of a primary, and wait until it has the zones."""
        require("nsd")
        write_zones(folder, ())
        return await on_free_ports(place, 1, lambda ports: cls(folder, place, ports, zones, keys, primary), zones)

    async def control(self, *command: str) -> str:
        """Send a command over the control socket and return what `nsd-control` printed; raises when it failed."""
        argv = [*self.place.prefix, require("nsd-control"), "-c", str(self.folder / "nsd.conf"), *command]
        done = await asyncio.to_thread(subprocess.run, argv, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"nsd-control {' '.join(command)}: {done.stdout}{done.stderr}")
        return str(done.stdout)


def _configuration(folder: Path, place: Place, port: int, zones: Zones, keys: Keys, primary: Address) -> str:
    parts = [
        f"server:\n  ip-address: {place.host}@{port}\n  port: {port}\n  server-count: 1\n  do-ip6: no",
        f'  username: ""\n  zonesdir: "{folder}"\n  database: ""\n  pidfile: "{folder}/nsd.pid"',
        f'  xfrdfile: "{folder}/xfrd.state"\n  xfrdir: "{folder}"\n  zonelistfile: "{folder}/zone.list"',
        "  verbosity: 2\n  xfrd-reload-timeout: 0\n  zonefiles-write: 1\n  statistics: 0",
        f'remote-control:\n  control-enable: yes\n  control-interface: "{folder}/nsd.sock"',
    ]
    for name, key in keys.items():
        algorithm = key.algorithm.to_text(omit_final_dot=True)
        secret = base64.b64encode(key.secret).decode()
        parts.append(f'key:\n  name: "{name}"\n  algorithm: {algorithm}\n  secret: "{secret}"')
    for origin, names in zones.items():
        parts.append(f'zone:\n  name: "{origin}"\n  zonefile: "{zone_file(origin)}"')
        parts.append(f"  request-xfr: {primary[0]}@{primary[1]} {names[0]}\n  allow-notify: {primary[0]} NOKEY")
        parts += [f"  allow-notify: {primary[0]} {name}" for name in names]
        parts.append(f"  outgoing-interface: {place.host}\n  min-refresh-time: 1\n  max-refresh-time: 2")
        parts += [f"  provide-xfr: 0.0.0.0/0 {name}" for name in names]
    return "\n".join(parts) + "\n"
