"""The socket in the data folder by which the command line finds a daemon on the same machine.

It is in a folder that only its owner can write, so whoever answers there is the folder's owner: the token that stands
beside it can be sent. A TCP port has no such owner: after a crash, anybody may listen there.
"""

import os
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path

from dnsguard.daemon.files import OTHERS_WRITE, FolderRefused, expect_own, refusal, user_name

LOCAL_SOCKET = "api.sock"
PATH_OCTETS_MAX = 107 if os.uname().sysname == "Linux" else 103
"""sockaddr_un.sun_path, without the final zero (unix(7))."""
_SUFFIX_OCTETS = 10


class LocalSocket:
    """A listening socket in the data folder."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        """Take over a socket that listens under this path."""
        self.socket = listening
        self._path = path
        found = path.lstat()
        self._identity = (found.st_dev, found.st_ino)

    def forget(self) -> None:
        """Remove its name, unless another daemon has put its own there since."""
        with suppress(OSError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()


def open_local_socket(folder: Path) -> LocalSocket | None:
    """Listen in the data folder; None if another daemon does so already. Raises FolderRefused.

    What a killed daemon left there is replaced in one step, so nobody finds a name without a listener.
    """
    path = folder / LOCAL_SOCKET
    octets = len(os.fsencode(path)) + _SUFFIX_OCTETS
    if octets > PATH_OCTETS_MAX:
        raise FolderRefused(
            f"the path of the data folder {folder} is too long for a socket in it: expected at most "
            f"{PATH_OCTETS_MAX - _SUFFIX_OCTETS - len(LOCAL_SOCKET) - 1} octets, found {len(os.fsencode(folder))}; "
            "name a shorter one with --data-dir"
        )
    try:
        if _somebody_listens(path):
            return None
        return _listen(path)
    except OSError as error:
        raise refusal(error)(f"cannot listen on {path}: {error.strerror}") from None


def _somebody_listens(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise FolderRefused(f"{path} is no socket; remove it")
    expect_own(path, found, OTHERS_WRITE, what="the socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # its queue is full: somebody is there
    return True


def _listen(path: Path) -> LocalSocket:
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(fresh))
        fresh.chmod(0o600)
        listening.listen()
        fresh.replace(path)
        return LocalSocket(path, listening)
    except BaseException:
        listening.close()
        fresh.unlink(missing_ok=True)
        raise


def find_local_socket(folder: Path) -> Path | None:
    """Return the socket of a folder's daemon; None if there is none. Raises FolderRefused if it cannot be trusted.

    The folder belongs to this process's user or to root, and nobody else can write it, or the process is root and
    speaks to the folder's owner, who could read the folder's token anyway.
    """
    path = folder / LOCAL_SOCKET
    try:
        above, found = folder.stat(), path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FolderRefused(f"cannot look into {folder}: {error.strerror}") from None
    if above.st_mode & OTHERS_WRITE:
        raise FolderRefused(
            f"other users may write the data folder {folder}: expected mode "
            f"{stat.S_IMODE(above.st_mode) & ~OTHERS_WRITE:04o}, found {stat.S_IMODE(above.st_mode):04o}; "
            "the daemon that answers there may be anybody's"
        )
    own = os.geteuid()
    if own not in (0, above.st_uid) and above.st_uid != 0:
        raise FolderRefused(
            f"the data folder {folder} belongs to another user: expected owner {user_name(own)}, found "
            f"{user_name(above.st_uid)}; run this command as {user_name(above.st_uid)}"
        )
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != above.st_uid:
        raise FolderRefused(f"{path} is no socket of {folder}'s owner; remove it")
    if len(os.fsencode(path)) > PATH_OCTETS_MAX:
        raise FolderRefused(
            f"the path {path} is too long for a socket: expected at most {PATH_OCTETS_MAX} octets, found "
            f"{len(os.fsencode(path))}; name the folder by a shorter path"
        )
    return path
