"""A database's address, read and judged before anything is opened: what kind it is, where it is, and with which
options. An address may hold a password, so nothing of it is repeated but names that cannot be one.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from dnsguard.core.history import StoreUnavailable

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_DRIVERS = {SQLITE: ("aiosqlite", "pysqlite"), POSTGRESQL: ("asyncpg",)}
TLS_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TLS = ("sslmode", "sslpassword", *TLS_FILES)
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = {SQLITE: ("uri",), POSTGRESQL: ("host", "port", "target_session_attrs", *_TLS)}
_SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
_EXPECTED = "expected a database sqlite:///FILE or postgresql://USER@HOST/NAME"


class StoreUnusable(StoreUnavailable):
    """The history cannot be used before a person has changed something: it would be no use to try again."""


def read_address(text: str) -> sa.URL:
    """Read the address of a database. Raises StoreUnusable with what to change, and without any secret."""
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise StoreUnusable(
            f"{_EXPECTED}, found something that cannot be read as that; see that the port is a number and brackets are "
            "closed, and write @ and % within a password as %40 and %25"
        ) from None
    kind, _, driver = url.drivername.partition("+")
    if kind not in _DRIVERS:
        raise StoreUnusable(f"{_EXPECTED}, found {kind}://" + ("; write postgresql://" if kind == "postgres" else ""))
    if driver and driver not in _DRIVERS[kind]:
        raise StoreUnusable(f"{_EXPECTED}, found the driver {driver}; dnsguard brings its own: leave '+{driver}' out")
    if kind == SQLITE and (not url.database or url.database == ":memory:"):
        raise StoreUnusable(f"{_EXPECTED}, found {kind}:// without a file")
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise StoreUnusable(f"expected the database's port to be one of 1 to 65535, found {url.port}")
    if kind == SQLITE and url.query.get("uri") == "true":
        return url  # whatever else it says is for SQLite itself
    return url.set(query=_options(kind, url.query))


def _options(kind: str, given: Mapping[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
    options = {("sslmode" if name == "ssl" and kind == POSTGRESQL else name): value for name, value in given.items()}
    if len(options) < len(given):
        raise StoreUnusable("expected sslmode in the database's address once, found ssl beside it; leave that out")
    for name, value in options.items():
        if name not in _OPTIONS[kind]:
            raise StoreUnusable(
                f"expected {kind}:// with no option but {', '.join(_OPTIONS[kind])}, found {name[:40]!r}; leave it out"
                + (", times and connections are set under [postgresql]" if kind == POSTGRESQL else "")
            )
        if not isinstance(value, str) and name not in ("host", "port"):
            raise StoreUnusable(f"expected {name} in the database's address once, found it {len(value)} times")
    for name, allowed in (("sslmode", TLS_MODES), ("target_session_attrs", _SESSIONS)):
        if name in options and options[name] not in allowed:
            raise StoreUnusable(
                f"expected {name} in the database's address to be one of {', '.join(allowed)}, "
                f"found {str(options[name])[:40]!r}"
            )
    return options


def tls_of(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """Return a PostgreSQL's address without what it says about TLS, and that as arguments for asyncpg.

    It takes what libpq takes (PostgreSQL's documentation, section "SSL Support" of libpq), but only in an address.
    """
    said = {name: value for name, value in url.query.items() if name in _TLS}
    rest = url.difference_update_query(said)
    return rest, {"dsn": f"postgresql://?{urlencode(said)}"} if said else {}


def place_of(url: sa.URL) -> str:
    """Name a database for people: its file, or its server and name; never its credentials or options."""
    if url.get_backend_name() == SQLITE:
        return f"database {url.database}"
    hosts = url.query.get("host", ())
    listed = hosts if isinstance(hosts, str) else ", ".join(hosts)
    return f"database {url.database} at " + (listed or f"{url.host or 'localhost'}:{url.port or 5432}")
