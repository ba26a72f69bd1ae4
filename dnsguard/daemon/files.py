"""The data folder: what is kept there beside the database, with the least rights that do.
Secrets are written once, whole or not at all, readable by their owner only.
"""

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO

ADMIN_TOKEN = "admin.token"  # noqa: S105  a file's name
HTTP_ADDRESS = "http.address"
EMBEDDED_KEY = "embedded.key"
EMBEDDED_ZONES = "embedded.sqlite"
DATABASE = "dnsguard.sqlite"


class FolderRefused(Exception):
    """The data folder cannot be used; the message says why and what to do."""


def open_folder(path: Path) -> Path:
    """Make the folder if it is missing, and make sure that it can be written. Raises FolderRefused."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / f".probe-{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise FolderRefused(
            f"the data folder {path} cannot be written ({error.strerror}); name another with --data-dir"
        ) from None
    return path.resolve()


def write_address(folder: Path, url: str) -> None:
    """Say where the API listens, whole or not at all."""
    fresh = folder / f".{HTTP_ADDRESS}-{os.getpid()}"
    fresh.write_text(url + "\n", encoding="ascii")
    fresh.replace(folder / HTTP_ADDRESS)


def forget_address(folder: Path, url: str) -> None:
    """Take that back, unless another daemon has said its own since."""
    path = folder / HTTP_ADDRESS
    if path.exists() and path.read_text(encoding="ascii").strip() == url:
        path.unlink(missing_ok=True)


def lock_embedded(folder: Path) -> IO[str]:
    """Keep the embedded server's zones to one process; the lock ends with it. Raises FolderRefused."""
    file = (folder / "embedded.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise FolderRefused(
            f"another daemon runs its embedded server on {folder}; stop it, or name another folder with --data-dir"
        ) from None
    return file


def keep_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the one line of a secret's file; make it first if there is none. Raises FolderRefused."""
    try:
        if path.exists() and (text := path.read_text(encoding="ascii").strip()):
            return text
        text = make()
        fresh = path.with_name(f".{path.name}-{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise FolderRefused(f"cannot keep {path.name} in {path.parent}: {error}") from None
    return text
