"""The data folder: what is kept there beside the database, with the least rights that do.

The folder and each file in it belong to this process's user, and nobody else may write them; what somebody else has
prepared is refused and never used. Files are made as new ones, whole or not at all, and no symbolic link is followed.
"""

import errno
import fcntl
import os
import pwd
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ADMIN_TOKEN = "admin.token"  # noqa: S105  a file's name
HTTP_ADDRESS = "http.address"
"""Where the API listens on TCP. For people and scripts: dnsguard itself sends nothing to what stands there."""
EMBEDDED_KEY = "embedded.key"
EMBEDDED_ZONES = "embedded.sqlite"
DATABASE = "dnsguard.sqlite"
SECRET_OCTETS_MAX = 4096
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS_ALL = stat.S_IRWXG | stat.S_IRWXO

_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""For every file: no symbolic link, and no waiting for whoever is at the other end of a FIFO."""


class FolderRefused(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class FolderBusy(FolderRefused):
    """It cannot be used for now: that may pass by itself."""


_FOR_A_PERSON = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})


def refusal(error: OSError | UnicodeDecodeError) -> type[FolderRefused]:
    """Tell whether a person has to change something. A full disk is emptied, a missing one mounted."""
    permanent = isinstance(error, UnicodeDecodeError) or error.errno in _FOR_A_PERSON
    return FolderRefused if permanent else FolderBusy


def open_folder(path: Path) -> Path:
    """Make the folder if it is missing; check that it is ours alone to write. Raises FolderRefused."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = path.resolve(strict=True)  # the folder itself may be reached by a link: systemd makes one
        expect_own(folder, folder.stat(), OTHERS_WRITE, what="the data folder")
        with _fresh_file(folder / "probe"):
            pass
    except OSError as error:
        raise refusal(error)(
            f"the data folder {path} cannot be written ({error.strerror}); name another with --data-dir"
        ) from None
    return folder


def expect_own(path: Path, found: os.stat_result, denied: int, *, what: str = "the file") -> None:
    """Raise FolderRefused unless a file is ours and gives others none of the rights in ``denied``.

    The message names the path, what was expected and found, and the command that mends it.
    """
    own = os.geteuid()
    if found.st_uid != own:
        raise FolderRefused(
            f"{what} {path} belongs to another user, who may have prepared it: expected owner {user_name(own)}, found "
            f"{user_name(found.st_uid)}; remove it, run dnsguard as {user_name(found.st_uid)}, or, if you trust what "
            f"is there, run: chown {own} {path}"
        )
    if mode := found.st_mode & denied:
        allowed = stat.S_IMODE(found.st_mode) & ~denied
        right = "write" if mode & OTHERS_WRITE else "read"
        raise FolderRefused(
            f"other users may {right} {what} {path}: expected mode {allowed:04o}, found "
            f"{stat.S_IMODE(found.st_mode):04o}; see that nobody has changed what is there, then run: "
            f"chmod {allowed:04o} {path}"
        )


def user_name(uid: int) -> str:
    """Return a user's name, or the number if there is no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def _fresh_file(path: Path) -> Iterator[tuple[Path, IO[str]]]:
    """Make a new file of ours beside ``path``; it is removed when the block ends."""
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600), "w", encoding="ascii") as file:
        try:
            yield fresh, file
        finally:
            fresh.unlink(missing_ok=True)


def _write(file: IO[str], text: str) -> None:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


def write_address(folder: Path, url: str) -> None:
    """Say where the API listens, whole or not at all. Raises FolderRefused."""
    path = folder / HTTP_ADDRESS
    try:
        with _fresh_file(path) as (fresh, file):
            _write(file, url + "\n")
            fresh.replace(path)
    except OSError as error:
        raise refusal(error)(f"cannot write {HTTP_ADDRESS} in {folder} ({error.strerror}); make room") from None


def forget_address(folder: Path, url: str) -> None:
    """Take that back, unless another daemon has said its own since."""
    path = folder / HTTP_ADDRESS
    with suppress(OSError, FolderRefused, UnicodeDecodeError):  # it is only a hint, and the daemon ends in any case
        if _read_own(path, OTHERS_WRITE) == url:
            path.unlink()


def lock_embedded(folder: Path) -> IO[str]:
    """Keep the embedded server's zones to one process; the lock ends with it. Raises FolderRefused."""
    path = folder / "embedded.lock"
    try:
        file = os.fdopen(_open_own(path, os.O_RDWR | os.O_CREAT, OTHERS_WRITE), "w")
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise FolderBusy(
            f"another daemon runs its embedded server on {folder}; stop it, or name another folder with --data-dir"
        ) from None
    return file


def own_database(path: Path) -> None:
    """Make a SQLite database's file if it is missing; let nobody else read it or what SQLite keeps beside it.

    Raises FolderRefused for a file of another user, a symbolic link, and whatever else is no file.
    """
    for suffix in _SQLITE_SUFFIXES:
        file = path.with_name(path.name + suffix)
        try:
            descriptor = _open_own(file, os.O_RDWR | (0 if suffix else os.O_CREAT), OTHERS_WRITE)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(file, error) from None
        try:
            if os.fstat(descriptor).st_mode & OTHERS_ALL:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def read_secret(path: Path) -> str | None:
    """Return the one line of a secret's file in the data folder; None if there is none.

    Raises FolderRefused unless it is a file of ours that nobody else can read.
    """
    try:
        text = _read_own(path, OTHERS_ALL)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    if not text:
        raise FolderRefused(f"{path} is empty: expected one line; remove it, and it is made anew")
    return text


def _read_own(path: Path, denied: int) -> str:
    with os.fdopen(_open_own(path, os.O_RDONLY, denied), "rb") as file:
        return file.read(SECRET_OCTETS_MAX).decode("ascii").strip()


def _open_own(path: Path, flags: int, denied: int) -> int:
    """Open a file, and judge what was opened, not what stands under its name a moment earlier or later."""
    descriptor = os.open(path, flags | _OPEN, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FolderRefused(f"{path} is no regular file; remove it")  # noqa: TRY301  what was opened is closed below
        expect_own(path, found, denied)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> FolderRefused:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return FolderRefused(f"{path} is a symbolic link: expected a file; remove the link")
    said = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else error.strerror
    return refusal(error)(f"cannot use {path}: {said}")


def keep_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the one line of a secret's file; make it first if there is none. Raises FolderRefused.

    Of two processes that make it at once, one is first, and both return what that one made.
    """
    try:
        with _locked(path.parent) as descriptor:
            if (text := read_secret(path)) is not None:
                return text
            text = make()
            with _fresh_file(path) as (fresh, file):
                _write(file, text + "\n")
                fresh.replace(path)
            os.fsync(descriptor)
            return text
    except OSError as error:
        raise refusal(error)(f"cannot keep {path.name} in {path.parent}: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Let no other process of ours look for a file and make it at the same time; return the folder's descriptor.

    A lock and a rename work on every file system; a hard link, which would need no lock, does not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
