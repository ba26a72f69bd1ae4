"""Which daemon to ask, and with which token: the local one by the socket in its data folder, any other by a URL.

The token in a data folder goes to the socket in the same folder only, and never over TCP: whoever listens on a port
there may be anybody. No address is taken from a file, and no token is ever shown.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dnsguard.cli.outcome import CannotAsk
from dnsguard.daemon.config import DEFAULT_HTTP, default_data_dir
from dnsguard.daemon.files import ADMIN_TOKEN, FolderRefused, read_secret
from dnsguard.daemon.local_socket import LOCAL_SOCKET, find_local_socket

FILE_CHARS_MAX = 4096
LOCAL_URL = "http://localhost"


@dataclass(frozen=True, slots=True)
class Target:
    """A daemon's base URL without a slash at its end, and the token for it; ``sought`` says where one was sought."""

    url: str
    token: str | None = field(repr=False)
    sought: str
    socket: Path | None = None
    """The local socket by which it is asked; None for TCP."""

    @property
    def place(self) -> str:
        """Where the daemon is, for people."""
        return self.url if self.socket is None else str(self.socket)


def find_target(
    url: str | None, token_file: Path | None, data_dir: Path | None, environ: Mapping[str, str] = os.environ
) -> Target:
    """Find the daemon to ask. Raises CannotAsk if it, or something named explicitly, cannot be used."""
    folder = data_dir or default_data_dir(environ)
    named = _named_token(token_file, environ)
    if url is not None:
        sought = f"--token-file and DNSGUARD_TOKEN (the one in {folder} is sent to the socket there only)"
        token, sought = named or (None, sought)
        return Target(_checked_url(url), token, sought)
    try:
        socket = find_local_socket(folder)
        if socket is None:
            raise CannotAsk(
                f"no daemon runs in {folder} (there is no {LOCAL_SOCKET}); start one with 'dnsguard serve', or name "
                f"another with --data-dir, or with --url such as http://{DEFAULT_HTTP}"
            )
        token, sought = named or (read_secret(folder / ADMIN_TOKEN), str(folder / ADMIN_TOKEN))
    except FolderRefused as error:
        raise CannotAsk(str(error)) from None
    return Target(LOCAL_URL, token, sought, socket)


def _named_token(token_file: Path | None, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the token that is named explicitly, with where it is from."""
    if token_file is not None:
        return _checked_token(_read_line(token_file), str(token_file)), str(token_file)
    if given := environ.get("DNSGUARD_TOKEN"):
        return _checked_token(given, "DNSGUARD_TOKEN"), "DNSGUARD_TOKEN"
    return None


def _read_line(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(FILE_CHARS_MAX).strip()
    except FileNotFoundError:
        raise CannotAsk(f"the token file {path} does not exist; name another with --token-file") from None
    except OSError as error:
        raise CannotAsk(f"cannot read {path}: {error.strerror}; name another with --token-file") from None
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
