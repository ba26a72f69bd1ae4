"""Knot DNS: a real `knotd`, as the primary of some zones or as their secondary.

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


class Knot(Running):
    """A running `knotd`."""

    TRANSFERRED = r"\[{zone}\.\] refresh, .* zone updated, .* -> {serial},"

    def __init__(
        self, folder: Path, place: Place, ports: Sequence[int], zones: Zones, keys: Keys, of: Address | None, extra: str
    ) -> None:
        self._zones, self._keys, self._of, self._extra = zones, keys, of, extra
        self._notified: tuple[Address, ...] = ()
        self.folder, self.place, self._ports = folder, place, tuple(ports)
        self._configure()
        argv = [*place.prefix, require("knotd"), "-c", str(folder / "knot.conf")]
        super().__init__(
            folder,
            place,
            ports,
            lambda: Process(argv, ready=r"server started", folder=folder, environment=place.environment),
        )

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        zones: Zones,
        keys: Keys,
        extra_zone: str = "",
        primary: Address | None = None,
        place: Place = HERE,
    ) -> "Knot":
        """Start it as the primary of its zones, or as the secondary of another server, and wait until it has them.

        `extra_zone` are settings of each zone, separated by newlines.
        """
        require("knotd")
        write_zones(folder, zones if primary is None else ())
        return await on_free_ports(
            place,
            1,
            lambda ports: cls(folder, place, ports, zones, keys, primary, extra_zone),
            zones if primary is not None else (),
        )

    async def notify(self, *secondaries: Address) -> None:
        """Tell these servers of every change from now on."""
        self._notified = secondaries
        self._configure()
        await self.knotc("reload")

    async def knotc(self, *command: str) -> str:
        """Send a command over the control socket and return what `knotc` printed; raises when it failed."""
        argv = [*self.place.prefix, require("knotc"), "-c", str(self.folder / "knot.conf"), *command]
        done = await asyncio.to_thread(subprocess.run, argv, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"knotc {' '.join(command)}: {done.stdout}{done.stderr}")
        return str(done.stdout)

    def _configure(self) -> None:
        (self.folder / "db").mkdir(exist_ok=True)
        parts = [
            f'server:\n  listen: {self.place.host}@{self._ports[0]}\n  rundir: {self.folder}\n  identity: ""',
            "  udp-workers: 1\n  tcp-workers: 2\n  background-workers: 2",
            f"database:\n  storage: {self.folder}/db\n  journal-db-max-size: 64M",
            f"control:\n  listen: {self.folder}/knot.sock",
            "log:\n- target: stdout\n  any: info",
        ]
        parts.append("key:")
        for name, key in self._keys.items():
            algorithm = key.algorithm.to_text(omit_final_dot=True)
            parts.append(f"- id: {name}\n  algorithm: {algorithm}\n  secret: {base64.b64encode(key.secret).decode()}")
        parts += [*self._remotes(), *self._zone_items()]
        (self.folder / "knot.conf").write_text("\n".join(parts) + "\n")

    def _remotes(self) -> list[str]:
        parts = ["remote:"] if self._of or self._notified else []
        if self._of is not None:
            first = next(iter(self._zones.values()))[0]
            parts.append(f"- id: primary\n  address: {self._of[0]}@{self._of[1]}\n  key: {first}")
            parts.append(f"  via: {self.place.host}")
        for index, (host, port) in enumerate(self._notified):
            parts.append(f"- id: secondary{index}\n  address: {host}@{port}\n  via: {self.place.host}")
        return parts

    def _zone_items(self) -> list[str]:
        acls, zones = ["acl:"], ["zone:"]
        told = ", ".join(f"secondary{index}" for index in range(len(self._notified)))
        if self._of is not None:
            signers = ", ".join(dict.fromkeys(name.to_text() for names in self._zones.values() for name in names))
            acls.append(f"- id: notify\n  address: {self._of[0]}\n  action: notify")
            acls.append(f"- id: signed\n  address: {self._of[0]}\n  key: [{signers}]\n  action: notify")
        for index, (origin, names) in enumerate(self._zones.items()):
            zones.append(f"- domain: {origin}\n  storage: {self.folder}\n  file: {zone_file(origin)}")
            allowed = [f"keys{index}"] if names else []
            if names:
                keys = ", ".join(name.to_text() for name in names)
                acls.append(f"- id: keys{index}\n  key: [{keys}]\n  action: [transfer, update]")
            if self._of is not None:
                allowed += ["notify", "signed"]
                zones.append("  master: primary\n  refresh-min-interval: 2\n  refresh-max-interval: 2")
            elif told:
                zones.append(f"  notify: [{told}]")
            if allowed:
                zones.append(f"  acl: [{', '.join(allowed)}]")
            zones.append("  zonefile-sync: -1")
            if self._extra:
                zones += [f"  {line}" for line in self._extra.splitlines()]
        return [*(acls if len(acls) > 1 else []), *zones]
