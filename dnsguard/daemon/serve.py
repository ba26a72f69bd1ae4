"""Starting and stopping: everything is opened in order, announced, kept until a signal, and closed in reverse.
What cannot be opened is one sentence and an exit code; nothing is left half open. The code tells a supervisor whether
to try again: 2 if a person has to change something first, 75 for all that may pass by itself.
"""

import asyncio
import errno
import gc
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dns.name
import structlog
from aiohttp import web

from dnsguard import __version__
from dnsguard.api.app import make_app, reconfigure
from dnsguard.api.limits import Limits
from dnsguard.api.serve import serve as serve_http
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.history import StoreUnavailable
from dnsguard.daemon import compose
from dnsguard.daemon.check import Check
from dnsguard.daemon.config import (
    ConfigRefused,
    LogLevel,
    Options,
    Settings,
    default_data_dir,
    parse_address,
    read_settings,
    with_environment,
)
from dnsguard.daemon.descriptors import DescriptorsShort, fit
from dnsguard.daemon.desk import DaemonDesk
from dnsguard.daemon.doctor import examine_all
from dnsguard.daemon.files import (
    ADMIN_TOKEN,
    DATABASE,
    EMBEDDED_ZONES,
    FolderBusy,
    FolderRefused,
    forget_address,
    lock_embedded,
    open_folder,
    own_database,
    write_address,
)
from dnsguard.daemon.lasting import Lasting
from dnsguard.daemon.local_socket import open_local_socket
from dnsguard.daemon.logs import configure_logs
from dnsguard.daemon.loop_faults import LoopFaults
from dnsguard.daemon.outlet import unfailing
from dnsguard.daemon.places import EMBEDDED
from dnsguard.daemon.secret_files import PRIVATE_EXPECTED, exposed_secrets
from dnsguard.store.address import StoreUnusable
from dnsguard.store.engine import PATIENT, make_engine
from dnsguard.store.migrate import migrate as migrate_store
from dnsguard.store.sql import SqlStore
from dnsguard.wire.primary import PrimaryRefused
from dnsguard.wire.server.server import EmbeddedServer
from dnsguard.wire.server.storage import StorageUnavailable, StorageUnusable

log = structlog.get_logger()

EXIT_USAGE = 2
EXIT_POSTPONED = 75
"""sysexits.h's EX_TEMPFAIL: what is missing may come by itself."""
EXIT_BROKEN = 70
"""sysexits.h's EX_SOFTWARE: the daemon ended itself."""
UNGUARDED_BANNER = """\
********************************************************************************
*  UNGUARDED: this daemon reproduces the incident of October 2025.             *
*  It writes blindly and cleans up by age. Old and empty answers are expected. *
*  Never give it a zone that anybody needs.                                    *
********************************************************************************
"""


SWITCH_INTERVAL_S = 0.0005
"""A thread that computes hands over to the event loop after this time. With Python's default of 5 ms, two threads that
decode large messages delay a turn of the loop by 75 to 350 ms at the 99th percentile; with this, by 5 ms.
"""
GC_THRESHOLDS = (5_000, 20, 50)
"""Fewer collections than by default (700, 10, 10): what large plans and transfers allocate is freed without them, and
each collection stops the event loop.
"""


class StartRefused(Exception):
    """Something cannot be opened; the message says what, why and what to do."""


class StartPostponed(StartRefused):
    """It cannot be opened now: that may pass by itself."""


class DaemonBroken(Exception):
    """The daemon cannot go on, and was closed; the message says why and what to do."""


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT. Returns the process's exit code."""
    return _spoken(options, _serve)


def migrate(options: Options, *, as_json: bool = False) -> int:
    """Bring the database's tables up to this version. Returns the process's exit code."""
    return _spoken(options, partial(_migrate, as_json=as_json))


def examine(
    options: Options, zone: str | None, powerdns_database: str | None, show: Callable[[list[Check]], None]
) -> int:
    """Look at all zones, or one, and show what is found. Returns the process's exit code."""

    async def act(_options: Options, settings: Settings) -> None:
        folder = Path(settings.data_dir) if settings.data_dir else default_data_dir()
        show([check async for check in examine_all(settings, folder, zone, powerdns_database)])

    return _spoken(options, act, "error")  # what it finds are its checks


def _spoken(
    options: Options, act: Callable[[Options, Settings], Coroutine[None, None, None]], level: LogLevel | None = None
) -> int:
    """Run an act; turn what it could not open into a sentence and an exit code."""
    try:
        options = with_environment(options)
        settings = read_settings(options)
        configure_logs(level or settings.log.level, settings.log.format)
        asyncio.run(act(options, settings))
    except (ConfigRefused, FolderRefused, PrimaryRefused, StartRefused, StoreUnavailable) as error:
        sys.stderr.write(f"dnsguard: {error}\n")
        passing = isinstance(error, (FolderBusy, StartPostponed)) or (
            isinstance(error, StoreUnavailable) and not isinstance(error, StoreUnusable)
        )
        return EXIT_POSTPONED if passing else EXIT_USAGE
    except DaemonBroken as error:
        sys.stderr.write(f"dnsguard: {error}\n")
        return EXIT_BROKEN
    except KeyboardInterrupt:
        return 130
    return 0


async def _migrate(_options: Options, settings: Settings, *, as_json: bool) -> None:
    os.umask(0o077)
    folder = open_folder(Path(settings.data_dir) if settings.data_dir else default_data_dir())
    before, after = await _brought_up(_own_database_url(settings, folder))
    if as_json:
        sys.stdout.write(json.dumps({"before": before, "after": after}) + "\n")
        return
    said = f"is at revision {after} already" if before == after else f"went from revision {before or '-'} to {after}"
    sys.stdout.write(f"the database {said}\n")


def _own_database_url(settings: Settings, folder: Path) -> str:
    if settings.database is None:
        own_database(folder / DATABASE)
    return compose.database_url(settings, folder)


async def _brought_up(database: str) -> tuple[str | None, str]:
    """Migrate a database, with patience; return its revision before and after."""
    engine = make_engine(database, bounds=PATIENT)
    try:
        return await migrate_store(engine)
    finally:
        await engine.dispose()


async def _serve(options: Options, settings: Settings) -> None:
    os.umask(0o077)  # whatever is made in the data folder is its owner's alone
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    stopped = asyncio.Event()
    faults: list[str] = []

    def break_off(fault: str) -> None:
        faults.append(fault)
        stopped.set()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(LoopFaults(loop.time))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    guards = UNGUARDED if options.unguarded else GUARDED
    async with AsyncExitStack() as stack:
        try:
            daemon = await _open(stack, settings, guards, stopped.set, Lasting(break_off))
        except OSError as error:
            raise StartPostponed(f"expected to open what the daemon needs, found: {error}; start it again") from None
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon, options)
        if options.unguarded:
            sys.stderr.write(UNGUARDED_BANNER)
        unfailing(sys.stdout).write(daemon.greeting)
        gc.collect()
        gc.freeze()  # modules, settings and tables last as long as the daemon: no collection looks at them again
        log.info("daemon.started", version=__version__, http=daemon.url, zones=sorted(settings.zones))
        await stopped.wait()
        log.info("daemon.stopping")
    log.info("daemon.stopped")
    if faults:
        raise DaemonBroken(faults[0])


async def _open(
    stack: AsyncExitStack, settings: Settings, guards: Guards, end: Callable[[], None], lasting: Lasting
) -> "Running":
    """Open everything in order: folder, database, embedded server, workers, API. Raises what cannot be opened."""
    limits = _fitting_limits(settings)
    folder = open_folder(Path(settings.data_dir) if settings.data_dir else default_data_dir())
    tokens = compose.tokens(settings, folder)
    _warn_of_exposed_secrets(settings)
    primaries, name_servers = compose.primaries(settings, folder, None), compose.name_servers(settings)
    database = _own_database_url(settings, folder)
    before, after = await _brought_up(database)
    store = SqlStore(make_engine(database, bounds=compose.bounds(settings)))
    stack.push_async_callback(store.close)
    if before != after:
        log.info("database.migrated", before=before, after=after)
    embedded = await _open_embedded(stack, settings, folder)
    address = None if embedded is None else embedded.address
    desk = DaemonDesk(store, guards, end, lasting)
    stack.push_async_callback(desk.close)
    await desk.apply(settings, primaries | compose.primaries(settings, folder, address), name_servers)
    host, port = parse_address(settings.http.listen, "[http] listen")
    app = make_app(desk, tokens, limits, compose.host_names(settings))
    local = open_local_socket(folder)
    if local is None:
        log.warning("local_socket.taken", folder=str(folder), found="another daemon of this folder has it")
    else:
        stack.callback(local.forget)
    try:
        served = await serve_http(app, host, port, limits, None if local is None else local.socket)
    except OSError as error:
        raise _taken(error, settings.http.listen, "the API", "--http") from None
    stack.push_async_callback(served.stop)
    lasting.watch(served.sweeping)
    url = _url(*served.address)
    write_address(folder, url)
    desk.roster.own = replace(desk.roster.own, address=url)
    stack.callback(forget_address, folder, url)
    return Running(settings, folder, desk, app, address, url, lasting)


async def _open_embedded(stack: AsyncExitStack, settings: Settings, folder: Path) -> EmbeddedServer | None:
    zones = [dns.name.from_text(name) for name, zone in settings.zones.items() if zone.primary == EMBEDDED]
    if not zones:
        return None
    stack.enter_context(lock_embedded(folder))
    own_database(folder / EMBEDDED_ZONES)
    keys = compose.embedded_keys(folder)
    host, port = parse_address(settings.dns.listen, "[dns] listen")
    try:
        server = await EmbeddedServer.start(
            host=host, port=port, zones=dict.fromkeys(zones, tuple(keys)), keys=keys, path=folder / EMBEDDED_ZONES
        )
    except StorageUnavailable as error:
        said = f"the embedded DNS server cannot use {folder / EMBEDDED_ZONES}: {error}"
        raise (StartRefused if isinstance(error, StorageUnusable) else StartPostponed)(said) from None
    except OSError as error:
        raise _taken(error, settings.dns.listen, "the embedded DNS server", "--dns") from None
    except ValueError as error:
        raise StartRefused(str(error)) from None
    stack.push_async_callback(server.stop)
    return server


@dataclass(slots=True)
class Running:
    """What runs, and how it takes new settings."""

    settings: Settings
    folder: Path
    desk: DaemonDesk
    app: web.Application
    embedded: tuple[str, int] | None
    url: str
    lasting: Lasting
    _reloading: asyncio.Task[None] | None = None

    def reload_soon(self, options: Options) -> None:
        """Read the settings again; a reload that is under way is left to end first."""
        if self._reloading is None or self._reloading.done():
            self._reloading = self.lasting.start(self._reload(options), "reload")

    async def _reload(self, options: Options) -> None:
        try:
            settings = read_settings(options)
            self._refuse_lasting(settings)
            limits = _fitting_limits(settings)
            tokens = compose.tokens(settings, self.folder)
            primaries = compose.primaries(settings, self.folder, self.embedded)
            await self.desk.apply(settings, primaries, compose.name_servers(settings))
        except (ConfigRefused, FolderRefused, PrimaryRefused, StartRefused, StoreUnavailable) as error:
            log.error("settings.refused", detail=str(error), expected="the settings before stay in force")  # noqa: TRY400  a sentence, no traceback
            return
        reconfigure(self.app, tokens=tokens, limits=limits, host_names=compose.host_names(settings))
        configure_logs(settings.log.level, settings.log.format)
        _warn_of_exposed_secrets(settings)
        self.settings = settings
        log.info("settings.reloaded", zones=sorted(settings.zones))

    def _refuse_lasting(self, settings: Settings) -> None:
        """Refuse what only a restart can change. Raises ConfigRefused."""
        for what, now, then in (
            ("data_dir", self.settings.data_dir, settings.data_dir),
            ("database", self.settings.database, settings.database),
            ("[postgresql]", self.settings.postgresql, settings.postgresql),
            ("[http] listen", self.settings.http.listen, settings.http.listen),
            ("[dns] listen", self.settings.dns.listen, settings.dns.listen),
            ("the zones of the embedded server", _embedded_zones(self.settings), _embedded_zones(settings)),
        ):
            if now != then:
                raise ConfigRefused(f"{what} cannot change while the daemon runs; restart it for that")

    @property
    def greeting(self) -> str:
        """A few lines for a newcomer to copy and paste."""
        zone = next(iter(self.settings.zones))
        name = f"www.{zone}" if zone != "." else "www."
        body = '{"rrsets": [{"name": "www", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}]}'
        token = self.folder / ADMIN_TOKEN
        usual = self.folder == default_data_dir().resolve()
        where = "" if usual else f" --data-dir {shlex.quote(str(self.folder))}"
        lines = [
            f"dnsguard {__version__} serves {', '.join(self.settings.zones)} ({self.desk.mode})",
            f"  API  {self.url}  (token in {token})",
        ]
        if self.embedded is not None:
            host, port = self.embedded
            lines.append(f"  DNS  {host} port {port}  (the embedded server, for first steps)")
        lines.append("Try, in another terminal:")
        program = "dnsguard" if shutil.which("dnsguard") else f"{shlex.quote(sys.executable)} -m dnsguard"
        lines.append(f"  echo '{body}' | {program} submit{where} --zone {zone} -")
        lines.append(
            f"  curl -sS -H \"Authorization: Bearer $(cat {shlex.quote(str(token))})\" -H 'If-Match: *'"
            f" -H 'Content-Type: application/json' -d '{body}' {self.url}/v1/zones/{zone}/plans"
        )
        section = self.settings.primaries.get(self.settings.zones[zone].primary)
        if section is not None:
            lines.append(f"  dig +noall +answer @{section.host} -p {section.port} {name} A")
        elif self.embedded is not None:
            lines.append(f"  dig +noall +answer @{self.embedded[0]} -p {self.embedded[1]} {name} A")
        return "\n".join(lines) + "\n"


def _warn_of_exposed_secrets(settings: Settings) -> None:
    for path, found in exposed_secrets(settings):
        log.warning("secret_file.exposed", file=path, expected=PRIVATE_EXPECTED, found=found)


def _fitting_limits(settings: Settings) -> Limits:
    """Return the API's bounds, with no more connections than this process may open. Raises StartRefused."""
    try:
        return fit(compose.limits(settings), len(settings.zones), settings.postgresql.connections_max)
    except DescriptorsShort as error:
        raise StartRefused(str(error)) from None


def _embedded_zones(settings: Settings) -> frozenset[str]:
    return frozenset(name for name, zone in settings.zones.items() if zone.primary == EMBEDDED)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _taken(error: OSError, address: str, what: str, option: str) -> StartRefused:
    if error.errno == errno.EADDRINUSE:
        return StartPostponed(f"{what} cannot listen on {address}: the port is taken; name another with {option}")
    said = f"{what} cannot listen on {address}: {error.strerror or error}; name another address with {option}"
    # An address comes with its network interface, a name with the resolver; a right does not come by itself.
    return (StartRefused if error.errno in (errno.EACCES, errno.EPERM) else StartPostponed)(said)
