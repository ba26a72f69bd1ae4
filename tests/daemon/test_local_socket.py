"""The local socket: only the folder's owner can be behind it, and a killed daemon's is replaced."""

import os
import socket
import stat
from pathlib import Path

import pytest

from dnsguard.daemon.files import FolderRefused
from dnsguard.daemon.local_socket import LocalSocket, find_local_socket, open_local_socket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path / "data"


def opened(folder: Path) -> LocalSocket:
    local = open_local_socket(folder)
    assert local is not None
    return local


def reaches(folder: Path, local: LocalSocket) -> bool:
    """Tell whether whoever connects by the folder's socket is heard at this one."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "api.sock"))
        local.socket.setblocking(False)
        try:
            local.socket.accept()[0].close()
        except BlockingIOError:
            return False
    return True


def test_it_is_its_owners_alone_and_nothing_else_is_left(folder: Path) -> None:
    before = os.umask(0)
    try:
        local = opened(folder)
    finally:
        os.umask(before)
    with local.socket:
        assert stat.S_IMODE((folder / "api.sock").stat().st_mode) == 0o600
        assert [path.name for path in folder.iterdir()] == ["api.sock"]
        assert reaches(folder, local)
        assert find_local_socket(folder) == folder / "api.sock"
        local.forget()
    assert find_local_socket(folder) is None


def test_what_a_killed_daemon_left_is_replaced(folder: Path) -> None:
    left = opened(folder)
    left.socket.close()
    local = opened(folder)
    with local.socket:
        assert reaches(folder, local)
        left.forget()  # had it only been slow to end
        assert reaches(folder, local)


def test_a_daemon_that_listens_keeps_its_socket(folder: Path) -> None:
    local = opened(folder)
    with local.socket:
        assert open_local_socket(folder) is None
        local.socket.accept()[0].close()
        assert reaches(folder, local)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_whatever_else_stands_in_its_place_is_refused_and_kept(folder: Path, tmp_path: Path, kind: str) -> None:
    path = folder / "api.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderRefused, match=r"api\.sock is no socket; remove it"):
        open_local_socket(folder)
    assert path.is_symlink() or path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
def test_a_socket_of_another_user_is_refused(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "api.sock"))
        os.lchown(folder / "api.sock", 65534, 65534)
        (folder / "api.sock").chmod(0o600)
        with pytest.raises(FolderRefused, match="belongs to another user"):
            open_local_socket(folder)


def test_a_path_that_does_not_fit_is_one_sentence_with_the_length_that_does(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    with pytest.raises(FolderRefused, match=r"too long for a socket in it: expected at most (\d+) octets") as refused:
        open_local_socket(folder)
    fits = int(str(refused.value).split("at most ")[1].split()[0])
    longest = tmp_path / ("d" * (fits - len(os.fsencode(tmp_path)) - 1))
    longest.mkdir(mode=0o700)
    assert len(os.fsencode(longest)) == fits
    opened(longest).socket.close()
    assert find_local_socket(longest) is not None
