"""PowerDNS: a real `pdns_server` as a primary, with its zones in SQLite or in PostgreSQL.

It runs in the foreground as the user of the tests, in a folder of its own. Its settings are those that
`deploy/powerdns` ships; several instances may be started on one database.
"""

import asyncio
import base64
import contextlib
import re
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers import require
from tests.servers.postgresql import Postgresql
from tests.servers.process import Process
from tests.servers.running import HERE, Address, Keys, Place, Running, Zones, on_free_ports, write_zones, zone_file

_SCHEMAS = Path("/usr/share")
_SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "powerdns"
_SETTING = re.compile(r"^([a-z0-9-]+)[ \t]*=[ \t]*(.*)$", re.MULTILINE)

_made: dict[str, bytes] = {}
"""Databases as they were made, by what is in them: each takes a dozen commands."""


def shipped(*names: str) -> dict[str, str]:
    """Return the settings in files of `deploy/powerdns`."""
    return {name: value for file in names for name, value in _SETTING.findall((_SHIPPED / file).read_text())}


class PowerDns(Running):
    """A running `pdns_server`."""

    def __init__(self, folder: Path, place: Place, ports: Sequence[int], settings: Mapping[str, str]) -> None:
        (folder / "pdns.conf").write_text(_configuration(folder, place, ports[0], settings))
        argv = [*place.prefix, require("pdns_server"), f"--config-dir={folder}"]
        super().__init__(
            folder,
            place,
            ports,
            lambda: Process(argv, ready="ready to distribute", folder=folder, environment=place.environment),
        )

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        zones: Zones,
        keys: Keys,
        settings: Mapping[str, str] | None = None,
        place: Place = HERE,
    ) -> "PowerDns":
        """Start it with its zones in SQLite; `settings` replace those that are shipped."""
        require("pdns_server")
        write_zones(folder, ())
        chosen = shipped("pdns.conf", "sqlite.conf") | {"gsqlite3-database": str(folder / "pdns.sqlite3")}
        await asyncio.to_thread(_make_sqlite, folder, chosen, zones, keys)
        chosen |= dict(settings or {})
        return await on_free_ports(place, 1, lambda ports: cls(folder, place, ports, chosen))

    @classmethod
    async def on_postgresql(
        cls,
        folder: Path,
        server: Postgresql,
        database: str,
        *,
        settings: Mapping[str, str] | None = None,
        place: Place = HERE,
    ) -> "PowerDns":
        """Start an instance on a database that `fill_postgresql` made."""
        require("pdns_server")
        write_zones(folder, ())
        chosen = shipped("pdns.conf", "postgresql.conf") | _on(server, database) | dict(settings or {})
        return await on_free_ports(place, 1, lambda ports: cls(folder, place, ports, chosen))

    async def notify(self, *secondaries: Address) -> None:
        """Tell these servers of every change from now on."""
        told = ",".join(f"{host}:{port}" for host, port in secondaries)
        await self.restart_with({"also-notify": told})

    async def restart_with(self, settings: Mapping[str, str]) -> None:
        """Start it again on the same port with some settings changed."""
        path = self.folder / "pdns.conf"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in settings]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in settings.items())]) + "\n")
        await self.restart()


async def fill_postgresql(folder: Path, server: Postgresql, zones: Zones, keys: Keys) -> str:
    """Make a database with PowerDNS's schema, some zones and keys; return its name."""
    database = await server.database()
    write_zones(folder, zones)
    await asyncio.to_thread(_make_postgresql, folder, server, database, zones, keys)
    return database


def _on(server: Postgresql, database: str) -> dict[str, str]:
    host, port = server.address
    return {
        "gpgsql-host": host,
        "gpgsql-port": str(port),
        "gpgsql-dbname": database,
        "gpgsql-user": server.environment()["PGUSER"],
        "gpgsql-password": server.password,
    }


def _configuration(folder: Path, place: Place, port: int, settings: Mapping[str, str]) -> str:
    lines = dict(settings) | {
        "local-address": place.host,
        "local-port": str(port),
        "socket-dir": str(folder),
        "config-dir": str(folder),
        "query-local-address": place.host,
        "daemon": "no",
        "guardian": "no",
        "write-pid": "no",
        "security-poll-suffix": "",
        "loglevel": "4",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _make_sqlite(folder: Path, settings: Mapping[str, str], zones: Zones, keys: Keys) -> None:
    database = Path(settings["gsqlite3-database"])
    if database.exists():
        return
    contents = repr((zones, [(key.name, key.algorithm, key.secret) for key in keys.values()]))
    if contents not in _made:
        write_zones(folder, zones)
        # While zones are put in, nothing needs to survive a crash.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            for script in (_schema("sqlite3"), (_SHIPPED / "sqlite.sql").read_text()):
                connection.executescript(f"PRAGMA synchronous = OFF; BEGIN; {script} COMMIT;")
        in_one_file = {"gsqlite3-pragma-synchronous": "0", "gsqlite3-pragma-journal-mode": "DELETE"}
        _fill(folder, dict(settings) | in_one_file, zones, keys)
        _made[contents] = database.read_bytes()
    else:
        database.write_bytes(_made[contents])


def _make_postgresql(folder: Path, server: Postgresql, database: str, zones: Zones, keys: Keys) -> None:
    schema = _schema("pgsql") + (_SHIPPED / "postgresql.sql").read_text()
    environment = server.environment() | {"PGDATABASE": database}
    argv = [require("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]
    subprocess.run(argv, input=schema, check=True, env=environment, capture_output=True, text=True, timeout=30)
    _fill(folder, shipped("pdns.conf", "postgresql.conf") | _on(server, database), zones, keys)


def _schema(kind: str) -> str:
    name = {
        "sqlite3": "pdns-backend-sqlite3/schema/schema.sqlite3.sql",
        "pgsql": "pdns-backend-pgsql/schema/schema.pgsql.sql",
    }
    return (_SCHEMAS / name[kind]).read_text()


def _fill(folder: Path, settings: Mapping[str, str], zones: Zones, keys: Keys) -> None:
    """Put keys and zones in, with the commands that docs/name-servers.md gives."""
    filling = folder / "filling"
    filling.mkdir(exist_ok=True)
    (filling / "pdns.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name, key in keys.items():
        secret = base64.b64encode(key.secret).decode()
        algorithm = key.algorithm.to_text(omit_final_dot=True)
        _pdnsutil(filling, "import-tsig-key", name.to_text(omit_final_dot=True), algorithm, secret)
    for origin, names in zones.items():
        zone = origin.to_text(omit_final_dot=True)
        allowed = [name.to_text(omit_final_dot=True) for name in names]
        _pdnsutil(filling, "load-zone", zone, str(folder / zone_file(origin)))
        _pdnsutil(filling, "set-kind", zone, "primary")
        _pdnsutil(filling, "set-meta", zone, "TSIG-ALLOW-DNSUPDATE", *allowed)
        _pdnsutil(filling, "set-meta", zone, "TSIG-ALLOW-AXFR", *allowed)
        _pdnsutil(filling, "set-meta", zone, "SOA-EDIT-DNSUPDATE", "INCREASE")
        _pdnsutil(filling, "set-meta", zone, "NOTIFY-DNSUPDATE", "1")


def _pdnsutil(folder: Path, *command: str) -> None:
    argv = [require("pdnsutil"), f"--config-dir={folder}", *command]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"pdnsutil {' '.join(command)}: {done.stdout}{done.stderr}")
