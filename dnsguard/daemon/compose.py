"""From settings to the things they name: keys, primaries, tokens, limits, the database's address.
Secrets are read here and handed on; they are never logged and never part of an error.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

import dns.name
import dns.tsig
import msgspec
import sqlalchemy as sa

from dnsguard.api.limits import Limits
from dnsguard.api.tokens import Token, Tokens
from dnsguard.core.names import NameRefused, parse_name
from dnsguard.daemon.config import ConfigRefused, KeySection, Settings, parse_address
from dnsguard.daemon.files import ADMIN_TOKEN, DATABASE, EMBEDDED_KEY, FolderRefused, keep_secret
from dnsguard.daemon.secret_files import expect_unguessed, read_secret_line, read_token
from dnsguard.store.address import SQLITE, TLS_FILES, StoreUnusable, read_address
from dnsguard.store.engine import Bounds
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.primary import Primary, TransferLimits

EMBEDDED_KEY_NAME = "dnsguard."


def database_url(settings: Settings, folder: Path) -> str:
    """Return the URL of the history, with the password that stands in a file. Raises ConfigRefused."""
    if settings.database is None:
        return sa.URL.create(SQLITE, database=str(folder / DATABASE)).render_as_string(hide_password=False)
    try:
        url = read_address(settings.database)
    except StoreUnusable as error:
        raise ConfigRefused(f"database: {error}") from None
    for name in TLS_FILES:
        if path := url.query.get(name):
            _readable(str(path), f"database: {name}")
    if settings.database_password_file is None:
        return url.render_as_string(hide_password=False)
    password = read_secret_line(settings.database_password_file, "database_password_file", "password")
    return url.set(password=password).render_as_string(hide_password=False)


def _readable(path: str, what: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise ConfigRefused(f"{what}: cannot read {path} ({error.strerror}); name another file") from None


def bounds(settings: Settings) -> Bounds:
    """Return what a PostgreSQL is asked to keep to."""
    return Bounds(**msgspec.structs.asdict(settings.postgresql))


def embedded_secret(folder: Path) -> bytes:
    """Return the key that the embedded server and the daemon share, made at first start."""
    text = keep_secret(folder / EMBEDDED_KEY, lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii"))
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    if not secret:
        raise FolderRefused(f"expected a key in base64 in {folder / EMBEDDED_KEY}, found something else; remove it")
    return secret


def embedded_keys(folder: Path) -> Mapping[dns.name.Name, dns.tsig.Key]:
    """Return the embedded server's keys."""
    name = dns.name.from_text(EMBEDDED_KEY_NAME)
    return {name: dns.tsig.Key(name, embedded_secret(folder), dns.tsig.HMAC_SHA256)}


def primaries(settings: Settings, folder: Path, embedded: tuple[str, int] | None) -> dict[str, Primary]:
    """Return each zone's primary, with the zone's own key if it has one. Raises ConfigRefused, PrimaryRefused.

    Zones of the embedded server are left out until its address is known.
    """
    found: dict[str, Primary] = {}
    keys: dict[str, tuple[str, str, bytes]] = {}
    own = None if embedded is None else (EMBEDDED_KEY_NAME, "hmac-sha256", embedded_secret(folder))
    for zone, wanted in settings.zones.items():
        section = settings.primaries.get(wanted.primary)
        if section is None:
            if embedded is not None and own is not None:
                found[zone] = Primary(embedded[0], embedded[1], *own)
            continue
        name = wanted.key or section.key or ""
        if name not in keys:
            keys[name] = _key(settings, name)
        found[zone] = Primary(
            section.host,
            section.port,
            *keys[name],
            timeout_s=section.timeout_s,
            in_flight_max=section.in_flight_max,
            transfer=TransferLimits(section.transfer_s_max, section.transfer_octets_max, section.transfer_records_max),
        )
    return found


def name_servers(settings: Settings) -> dict[str, NameServer]:
    """Return the name servers that zones list, by their names. Raises ConfigRefused, PrimaryRefused."""
    listed = {name for zone in settings.zones.values() for name in zone.name_servers}
    found: dict[str, NameServer] = {}
    for name in sorted(listed):
        section = settings.name_servers[name]
        signed_as = None
        if section.key is not None:
            signed_as = Primary(section.host, section.port, *_key(settings, section.key))
        found[name] = NameServer(name, section.host, section.port, section.timeout_s, signed_as)
    return found


def _key(settings: Settings, name: str) -> tuple[str, str, bytes]:
    """Return a TSIG key's name, algorithm and secret."""
    section = settings.keys[name]
    return _key_name(name), section.algorithm, _secret(name, section)


def _key_name(text: str) -> str:
    try:
        return parse_name(text)
    except NameRefused as error:
        raise ConfigRefused(f"[keys.{text!r}]: {error}") from None


def _secret(name: str, key: KeySection) -> bytes:
    text = key.secret or ""
    if key.secret_file is not None:
        text = read_secret_line(key.secret_file, f"[keys.{name!r}]", "secret")
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigRefused(f"[keys.{name!r}]: expected the secret in base64, found something else") from None
    if not secret:
        raise ConfigRefused(f"[keys.{name!r}]: expected a secret, found an empty one")
    return secret


def tokens(settings: Settings, folder: Path) -> Tokens:
    """Return who may call: the administrator's token of the data folder and those of the settings."""
    admin = keep_secret(folder / ADMIN_TOKEN)
    made = [Token("admin", hashlib.sha256(admin.encode("ascii")).hexdigest(), "admin", None)]
    for name, section in settings.tokens.items():
        zones = None
        if section.zones is not None:
            try:
                zones = frozenset(parse_name(zone) for zone in section.zones)
            except NameRefused as error:
                raise ConfigRefused(f"[tokens.{name}] zones: {error}") from None
        if name in {"admin", "dnsguard"}:
            raise ConfigRefused(f"[tokens.{name}]: this name is dnsguard's own; choose another")
        digest = section.sha256 or ""
        if section.token_file is not None:
            token = read_token(section.token_file, f"[tokens.{name}]")
            digest = hashlib.sha256(token.encode("ascii")).hexdigest()
        expect_unguessed(digest, f"[tokens.{name}]")
        made.append(Token(name, digest.lower(), section.access, zones))
    return Tokens(tuple(made))


def host_names(settings: Settings) -> frozenset[str]:
    """Return the names by which the API may be addressed, in lower case."""
    host, _ = parse_address(settings.http.listen, "[http] listen")
    return frozenset(name.lower().removesuffix(".") for name in (host, *settings.http.host_names))


def limits(settings: Settings) -> Limits:
    """Return the API's bounds."""
    http = settings.http
    return Limits(
        body_octets_max=http.body_octets_max,
        connections_max=http.connections_max,
        deadline_s=http.deadline_s,
        wait_s_max=http.wait_s_max,
    )
