"""The data folder: what somebody else prepared is refused, and what may pass by itself is told apart."""

import errno
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsguard.daemon.files import (
    FolderBusy,
    FolderRefused,
    forget_address,
    keep_secret,
    lock_embedded,
    open_folder,
    own_database,
    read_secret,
    write_address,
)

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return open_folder(tmp_path / "data")


USES: dict[str, Callable[[Path], object]] = {
    "admin.token": lambda folder: keep_secret(folder / "admin.token"),
    "embedded.key": lambda folder: keep_secret(folder / "embedded.key"),
    "embedded.lock": lock_embedded,
    "dnsguard.sqlite": lambda folder: own_database(folder / "dnsguard.sqlite"),
    "dnsguard.sqlite-wal": lambda folder: own_database(folder / "dnsguard.sqlite"),
}
"""Each file of the folder, with what makes or reads it."""


def use(folder: Path, name: str) -> None:
    made = USES[name](folder)
    if hasattr(made, "close"):
        made.close()


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.ENOSPC, True), (errno.EIO, True), (errno.EACCES, False), (errno.EROFS, False)]
)
def test_a_full_disk_may_pass_and_a_missing_right_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise OSError(number, "broken")

    monkeypatch.setattr(os, "open", broken)
    for act in (lambda: open_folder(folder), lambda: write_address(folder, "x"), lambda: keep_secret(folder / "x")):
        with pytest.raises(FolderRefused, match="broken") as caught:
            act()
        assert isinstance(caught.value, FolderBusy) is passes


def test_a_hint_that_cannot_be_taken_back_is_left(folder: Path) -> None:
    (folder / "http.address").mkdir()
    forget_address(folder, "http://127.0.0.1:1")
    assert (folder / "http.address").is_dir()


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    made = open_folder(tmp_path / "a" / "data")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_is_refused_with_the_way_to_mend_it(tmp_path: Path, mode: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    with pytest.raises(FolderRefused, match=rf"expected mode \d+, found {mode:04o}; .* run: chmod \d+ /") as refused:
        open_folder(tmp_path / "data")
    # The command that it says is the one that helps.
    command = re.findall(r"chmod (\d+) (\S+)$", str(refused.value))
    assert command, str(refused.value)
    Path(command[0][1]).chmod(int(command[0][0], 8))
    open_folder(tmp_path / "data")


@AS_ROOT
def test_a_folder_of_another_user_is_refused_with_the_way_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    os.chown(tmp_path / "data", NOBODY, NOBODY)
    with pytest.raises(FolderRefused, match=r"expected owner root, found nobody; .* run: chown 0 /"):
        open_folder(tmp_path / "data")


def test_a_folder_may_be_reached_by_a_link_and_is_then_judged_itself(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "data").symlink_to(tmp_path / "private")
    assert open_folder(tmp_path / "data") == (tmp_path / "private").resolve()
    (tmp_path / "private").chmod(0o777)
    with pytest.raises(FolderRefused, match="other users may write"):
        open_folder(tmp_path / "data")


@pytest.mark.parametrize("name", USES)
def test_a_symbolic_link_in_a_files_place_is_refused_and_its_target_untouched(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "victim").write_text("precious\n")
    (folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(FolderRefused, match=rf"{name} is a symbolic link: expected a file; remove the link"):
        use(folder, name)
    assert (tmp_path / "victim").read_text() == "precious\n"
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "nothing")
    with pytest.raises(FolderRefused, match="is a symbolic link"):
        use(folder, name)
    assert not (tmp_path / "nothing").exists()


@AS_ROOT
@pytest.mark.parametrize("name", USES)
def test_a_file_of_another_user_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("known-to-the-attacker\n")
    (folder / name).chmod(0o600)
    os.chown(folder / name, NOBODY, NOBODY)
    with pytest.raises(FolderRefused, match=rf"{name} belongs to another user.* expected owner root, found nobody"):
        use(folder, name)


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_refused_at_once(folder: Path, name: str, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(FolderRefused, match=name):
        use(folder, name)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_secret_that_others_can_read_or_write_is_refused(folder: Path, mode: int) -> None:
    path = folder / "admin.token"
    keep_secret(path)
    path.chmod(mode)
    with pytest.raises(FolderRefused, match=rf"expected mode 0600, found {mode:04o}; .* run: chmod 0600 "):
        keep_secret(path)


@pytest.mark.parametrize(("text", "said"), [(b"", "is empty"), (b"\xff", "not ASCII")])
def test_a_secret_that_is_none_is_refused(folder: Path, text: bytes, said: str) -> None:
    (folder / "admin.token").touch(mode=0o600)
    (folder / "admin.token").write_bytes(text)
    with pytest.raises(FolderRefused, match=said):
        read_secret(folder / "admin.token")


def test_a_secret_is_made_once_by_whoever_is_first_and_nothing_else_is_left(folder: Path) -> None:
    barrier, found = threading.Barrier(8), list[str]()

    def keep() -> None:
        barrier.wait()
        found.append(keep_secret(folder / "admin.token"))

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in folder.iterdir()] == ["admin.token"]
    assert stat.S_IMODE((folder / "admin.token").stat().st_mode) == 0o600


def test_a_database_is_made_for_its_owner_alone_and_an_older_one_becomes_so(folder: Path) -> None:
    path = folder / "dnsguard.sqlite"
    own_database(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (folder / "dnsguard.sqlite-wal").touch()
    for file in (path, folder / "dnsguard.sqlite-wal"):
        file.chmod(0o644)
    own_database(path)
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {
        "dnsguard.sqlite": 0o600,
        "dnsguard.sqlite-wal": 0o600,
    }
