"""The data folder: what is kept there beside the database, with the least rights that do.
Secrets are written once, whole or not at all, readable by their owner only.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

ADMIN_TOKEN = "admin.token"  # noqa: S105  a file's name
HTTP_ADDRESS = "http.address"
EMBEDDED_KEY = "embedded.key"
EMBEDDED_ZONES = "embedded.sqlite"
DATABASE = "dnsguard.sqlite"


class FolderRefused(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class FolderBusy(FolderRefused):
    """It cannot be used for now: that may pass by itself."""


_FOR_A_PERSON = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})


def _refusal(error: OSError | UnicodeDecodeError) -> type[FolderRefused]:
    """Tell whether a person has to change something. A full disk is emptied, a missing one mounted."""
    permanent = isinstance(error, UnicodeDecodeError) or error.errno in _FOR_A_PERSON
    return FolderRefused if permanent else FolderBusy


def open_folder(path: Path) -> Path:
    """Make the folder if it is missing, and make sure that it can be written. Raises FolderRefused."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / f".probe-{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise _refusal(error)(
            f"the data folder {path} cannot be written ({error.strerror}); name another with --data-dir"
        ) from None
    return path.resolve()


def write_address(folder: Path, url: str) -> None:
    """Say where the API listens, whole or not at all. Raises FolderRefused."""
    fresh = folder / f".{HTTP_ADDRESS}-{os.getpid()}"
    try:
        fresh.write_text(url + "\n", encoding="ascii")
        fresh.replace(folder / HTTP_ADDRESS)
    except OSError as error:
        raise _refusal(error)(f"cannot write {HTTP_ADDRESS} in {folder} ({error.strerror}); make room") from None


def forget_address(folder: Path, url: str) -> None:
    """Take that back, unless another daemon has said its own since."""
    path = folder / HTTP_ADDRESS
    with suppress(OSError):  # it is only a hint, and the daemon ends in any case
        if path.read_text(encoding="ascii").strip() == url:
            path.unlink()


def lock_embedded(folder: Path) -> IO[str]:
    """Keep the embedded server's zones to one process; the lock ends with it. Raises FolderBusy."""
    file = (folder / "embedded.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise FolderBusy(
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
        raise _refusal(error)(f"cannot keep {path.name} in {path.parent}: {error}") from None
    return text
