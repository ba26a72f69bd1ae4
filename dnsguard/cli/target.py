"""Which daemon to ask, and with which token: from options, environment, or the data folder of a local daemon.
A token found in the data folder never leaves this machine unasked, and no token is ever shown.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dnsguard.cli.outcome import CannotAsk
from dnsguard.daemon.config import DEFAULT_HTTP, default_data_dir
from dnsguard.daemon.files import ADMIN_TOKEN, HTTP_ADDRESS

FILE_CHARS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """A daemon's base URL without a slash at its end, and the token for it; ``sought`` says where one was sought."""

    url: str
    token: str | None = field(repr=False)
    sought: str


def find_target(
    url: str | None, token_file: Path | None, data_dir: Path | None, environ: Mapping[str, str] = os.environ
) -> Target:
    """Find the daemon to ask. Raises CannotAsk where something named explicitly cannot be used."""
    folder = data_dir or default_data_dir(environ)
    own = _first_line(folder / HTTP_ADDRESS)
    if data_dir is not None and url is None and own is None:
        # Whoever listens at the usual place is somebody else, and is not told this folder's token.
        raise CannotAsk(f"no daemon runs in {folder} (there is no {HTTP_ADDRESS}); start it, or name one with --url")
    base = _checked_url(url or own or f"http://{DEFAULT_HTTP}")
    if token_file is not None:
        token = _first_line(token_file)
        if token is None:
            raise CannotAsk(f"the token file {token_file} does not exist; name another with --token-file")
        return Target(base, _checked_token(token, str(token_file)), str(token_file))
    if given := environ.get("DNSGUARD_TOKEN"):
        return Target(base, _checked_token(given, "DNSGUARD_TOKEN"), "DNSGUARD_TOKEN")
    kept = folder / ADMIN_TOKEN
    if not _is_local(base) and base != own:
        return Target(base, None, f"DNSGUARD_TOKEN (a token of this machine, {kept}, is not sent to another one)")
    token = _first_line(kept)
    return Target(base, None if token is None else _checked_token(token, str(kept)), str(kept))


def _first_line(path: Path) -> str | None:
    """Read a one-line file; None if there is none."""
    try:
        with path.open(encoding="ascii") as file:
            return file.read(FILE_CHARS_MAX).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotAsk(f"cannot read {path}: {error.strerror}; name another with --url or --token-file") from None
    except UnicodeDecodeError:
        raise CannotAsk(f"expected one line of ASCII in {path}, found something else") from None


def _checked_url(url: str) -> str:
    # A password would end up in messages, and it is not how this API knows its callers.
    if "@" in url or "?" in url or "#" in url:
        raise CannotAsk("expected a URL without user, password, query and fragment; use --token-file for the token")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise CannotAsk(f"expected a URL such as http://{DEFAULT_HTTP}, found {url[:100]!r}; correct --url")
    return url.rstrip("/")


def _checked_token(token: str, source: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CannotAsk(f"expected a token (one line of printable ASCII without blanks) in {source}, found none")
    return token


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
