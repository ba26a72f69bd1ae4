"""Settings: from a TOML file, environment variables and the command line, checked as a whole before use.
A setting that is unknown or wrong is one clear sentence; nothing is half applied.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dnsguard.api.host_check import is_own_host
from dnsguard.core.names import NameRefused, fence_name, parse_name
from dnsguard.core.policy import Policy
from dnsguard.daemon.located import Mistaken, convert
from dnsguard.daemon.places import (
    EMBEDDED,
    NameServerSection,
    Placed,
    PrimarySection,
    PropagationSection,
    Seconds,
    contradictions,
)

DEFAULT_HTTP = "127.0.0.1:8053"
DEFAULT_DNS = "127.0.0.1:5300"
DEFAULT_ZONE = "example.test."

Count = Annotated[int, msgspec.Meta(ge=1)]
LogLevel = Literal["debug", "info", "warning", "error"]


class ConfigRefused(Exception):
    """A setting is unknown or wrong; the message says which, what was expected, and where it stands."""


class HttpSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[http]``: where the API listens, and its bounds (octets, seconds, counts)."""

    listen: str = DEFAULT_HTTP
    body_octets_max: Count = 16 * 2**20
    connections_max: Count = 512
    deadline_s: Seconds = 30.0
    wait_s_max: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 300
    host_names: tuple[str, ...] = ()
    """Names by which clients address the API, beside addresses, localhost, and a name in ``listen``."""


class DnsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[dns]``: where the embedded server listens; loopback only."""

    listen: str = DEFAULT_DNS


class KeySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[keys.NAME]``: a TSIG key (RFC 8945); the secret in base64, here or alone in a file."""

    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    secret: str | None = None
    secret_file: str | None = None

    def __repr__(self) -> str:
        return f"KeySection(algorithm={self.algorithm!r})"


class PolicySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[policy]`` and ``[zones.NAME.policy]``: what plans may do; None takes the general value."""

    ttl_s_min: Annotated[int, msgspec.Meta(ge=0)] | None = None
    ttl_s_max: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    records_max: Count | None = None
    plan_rrsets_max: Count | None = None
    retire: bool | None = None
    history_generations_min: Count | None = None
    message_rrsets_max: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None
    layout: Literal["inline", "versioned"] | None = None
    read_back: bool | None = None
    verify: Literal["report", "repair"] | None = None
    repairs_per_hour_max: Count | None = None

    def over(self, policy: Policy) -> Policy:
        """Return a policy with what is set here."""
        given = {field: value for field in self.__struct_fields__ if (value := getattr(self, field)) is not None}
        return replace(policy, **given)


class ZoneSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[zones."NAME"]``: a zone, which primary it is published to, and which name servers follow."""

    primary: str = EMBEDDED
    key: str | None = None
    """The zone's own TSIG key, instead of the primary's."""
    name_servers: tuple[str, ...] = ()
    policy: PolicySection = PolicySection()


class TokenSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tokens.NAME]``: who may call the API; the token's SHA-256 in hexadecimal, or the token alone in a file."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")] | None = None
    token_file: str | None = None
    access: Literal["read", "write", "admin"] = "write"
    zones: tuple[str, ...] | None = None


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[log]``: how much, and in which form ("auto": readable on a terminal, JSON otherwise)."""

    level: LogLevel = "info"
    format: Literal["auto", "console", "json"] = "auto"


class WorkersSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[workers]``: how often workers look without being woken, in seconds."""

    enactor_interval_s: Seconds = 5.0
    cleanup_interval_s: Seconds = 60.0
    verifier_interval_s: Seconds = 300.0
    backoff_s_max: Seconds = 10.0


class PostgresqlSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[postgresql]``: how many connections, and how long a PostgreSQL may take, in seconds."""

    connections_max: Annotated[int, msgspec.Meta(ge=2, le=1_000)] = 10
    connect_s_max: Seconds = 5.0
    statement_s_max: Seconds = 15.0
    lock_s_max: Seconds = 10.0
    idle_s_max: Seconds = 30.0
    """A transaction that is left open: the server ends it."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. Without one, everything is as for first steps: embedded server, one test zone."""

    data_dir: str | None = None
    database: str | None = None
    """A SQLAlchemy URL; the default is SQLite in the data folder."""
    database_password_file: str | None = None
    """Where the database's password stands alone, so that it need not stand in the URL."""
    postgresql: PostgresqlSection = PostgresqlSection()
    http: HttpSection = HttpSection()
    dns: DnsSection = DnsSection()
    log: LogSection = LogSection()
    workers: WorkersSection = WorkersSection()
    policy: PolicySection = PolicySection()
    keys: dict[str, KeySection] = {}
    primaries: dict[str, PrimarySection] = {}
    name_servers: dict[str, NameServerSection] = {}
    propagation: PropagationSection = PropagationSection()
    zones: dict[str, ZoneSection] = msgspec.field(default_factory=lambda: {DEFAULT_ZONE: ZoneSection()})
    tokens: dict[str, TokenSection] = {}

    def policy_of(self, zone: str) -> Policy:
        """Return what holds for a zone: its own policy over the general one over the defaults."""
        return self.zones[zone].policy.over(self.policy.over(Policy()))


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None where it says nothing."""

    config: Path | None = None
    data_dir: Path | None = None
    http: str | None = None
    dns: str | None = None
    unguarded: bool = False
    """Serve with the October system's rules: for demonstration, against name servers on loopback only."""


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where things are kept if nobody says: the XDG data folder of the user."""
    base = environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "dnsguard"


_ENVIRONMENT = ("DNSGUARD_CONFIG", "DNSGUARD_DATA_DIR", "DNSGUARD_DNS", "DNSGUARD_HTTP")
_CLIENT_ENVIRONMENT = ("DNSGUARD_TOKEN", "DNSGUARD_TOKEN_FILE", "DNSGUARD_URL")


def with_environment(options: Options, environ: Mapping[str, str] = os.environ) -> Options:
    """Return the options, completed from DNSGUARD_… variables. Raises ConfigRefused for unknown ones."""
    for name in sorted(environ):
        if (
            name.startswith("DNSGUARD_")
            and name not in {*_ENVIRONMENT, *_CLIENT_ENVIRONMENT}
            and not name.startswith("DNSGUARD_TESTS_")
        ):
            raise ConfigRefused(
                f"the environment variable {name} is unknown; expected one of {', '.join(_ENVIRONMENT)}, or unset it"
            )
    config, data_dir = environ.get("DNSGUARD_CONFIG"), environ.get("DNSGUARD_DATA_DIR")
    return Options(
        config=options.config or (Path(config) if config else None),
        data_dir=options.data_dir or (Path(data_dir) if data_dir else None),
        http=options.http or environ.get("DNSGUARD_HTTP") or None,
        dns=options.dns or environ.get("DNSGUARD_DNS") or None,
        unguarded=options.unguarded,
    )


def read_settings(options: Options) -> Settings:
    """Read the file, lay the options over it, and check all of it. Raises ConfigRefused."""
    settings = Settings() if options.config is None else _read_file(options.config)
    if options.data_dir is not None:
        settings = msgspec.structs.replace(settings, data_dir=str(options.data_dir))
    if options.http is not None:
        settings = msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, listen=options.http))
    if options.dns is not None:
        settings = msgspec.structs.replace(settings, dns=msgspec.structs.replace(settings.dns, listen=options.dns))
    settings = _checked(settings)
    if options.unguarded:
        _refuse_beyond_loopback(settings)
        settings = _as_in_october(settings)
    return settings


def _as_in_october(settings: Settings) -> Settings:
    """Lay zones out as the October system did, and keep as little, where the settings say nothing else."""
    policy = msgspec.structs.replace(
        settings.policy,
        layout=settings.policy.layout or "versioned",
        history_generations_min=settings.policy.history_generations_min or 8,
    )
    return msgspec.structs.replace(settings, policy=policy)


def _refuse_beyond_loopback(settings: Settings) -> None:
    sections = {f"primaries.{name}": each.host for name, each in settings.primaries.items()}
    sections |= {f"name_servers.{name}": each.host for name, each in settings.name_servers.items()}
    for section, host in sections.items():
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ConfigRefused(
                f"--unguarded works against name servers on loopback only, and [{section}] is at "
                f"{host}; leave --unguarded out, or give an address such as 127.0.0.1"
            )


def _read_file(path: Path) -> Settings:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{path} is not valid TOML: {error}") from None
    try:
        return convert(document, Settings)
    except Mistaken as error:
        raise ConfigRefused(f"in {path}: {error}") from None


def _checked(settings: Settings) -> Settings:
    zones: dict[str, ZoneSection] = {}
    for text, section in settings.zones.items():
        try:
            name = parse_name(text)
        except NameRefused as error:
            raise ConfigRefused(f"in [zones]: {error}") from None
        try:
            parse_name(fence_name(name))
        except NameRefused:
            raise ConfigRefused(f"in [zones]: {name} is too long: the fence's name would not fit below it") from None
        if name in zones:
            raise ConfigRefused(f"in [zones]: expected each zone once, found {name} twice")
        zones[name] = section
    if not zones:
        raise ConfigRefused("expected at least one zone under [zones], found none")
    placed = [
        Placed(zone=text, primary=zone.primary, key=zone.key, name_servers=zone.name_servers)
        for text, zone in settings.zones.items()
    ]
    for found in contradictions(placed, settings.primaries, settings.name_servers, settings.keys):
        raise ConfigRefused(found)
    for name, key in settings.keys.items():
        if (key.secret is None) == (key.secret_file is None):
            raise ConfigRefused(f"[keys.{name!r}] expects either secret or secret_file, and exactly one of them")
    for name, token in settings.tokens.items():
        if (token.sha256 is None) == (token.token_file is None):
            raise ConfigRefused(f"[tokens.{name!r}] expects either sha256 or token_file, and exactly one of them")
    if settings.database_password_file is not None and not (settings.database or "").startswith("postgresql"):
        raise ConfigRefused(
            'database_password_file expects database = "postgresql://USER@HOST/NAME" beside it; leave it out otherwise'
        )
    settings = msgspec.structs.replace(settings, zones=zones)
    for name in zones:
        policy = settings.policy_of(name)
        if policy.ttl_s_min > policy.ttl_s_max:
            raise ConfigRefused(
                f"the policy of {name} expects ttl_s_min ≤ ttl_s_max, found {policy.ttl_s_min} and {policy.ttl_s_max}"
            )
    parse_address(settings.http.listen, "[http] listen")
    for name in settings.http.host_names:
        if not is_own_host(name, frozenset({name.lower()})) or ":" in name:
            raise ConfigRefused(f"[http] host_names expects names such as dnsguard.example.com, found {name!r}")
    parse_address(settings.dns.listen, "[dns] listen")
    return settings


def parse_address(text: str, what: str) -> tuple[str, int]:
    """Read HOST:PORT (an IPv6 host in brackets). Raises ConfigRefused."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigRefused(f"{what} expects HOST:PORT such as 127.0.0.1:8053, found {text!r}")
    return host, int(port)
