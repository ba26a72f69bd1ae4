"""The data folder: what a person has to mend is told apart from what may pass by itself."""

import errno
from pathlib import Path

import pytest

from dnsguard.daemon.files import FolderBusy, FolderRefused, forget_address, open_folder, write_address


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.ENOSPC, True), (errno.EIO, True), (errno.EACCES, False), (errno.EROFS, False)]
)
def test_a_full_disk_may_pass_and_a_missing_right_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise OSError(number, "broken")

    for method, act in (("touch", lambda: open_folder(tmp_path)), ("write_text", lambda: write_address(tmp_path, "x"))):
        monkeypatch.setattr(Path, method, broken)
        with pytest.raises(FolderRefused, match="broken") as caught:
            act()
        assert isinstance(caught.value, FolderBusy) is passes


def test_a_hint_that_cannot_be_taken_back_is_left(tmp_path: Path) -> None:
    (tmp_path / "http.address").mkdir()
    forget_address(tmp_path, "http://127.0.0.1:1")
    assert (tmp_path / "http.address").is_dir()
