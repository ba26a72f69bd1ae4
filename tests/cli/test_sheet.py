"""A file that is filled at the end: that it can be is known at the beginning, and what was there stays until then."""

from pathlib import Path

import pytest

from dnsguard.cli.outcome import CannotAsk
from dnsguard.cli.sheet import Sheet


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_stands_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with Sheet(page) as sheet:
        assert not page.exists()
        sheet.write("all of it")
    assert (names(tmp_path), page.read_text("utf-8")) == (["page.html"], "all of it")


def test_what_is_broken_off_leaves_what_was_there(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("an older one", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), Sheet(page):
        raise KeyboardInterrupt
    assert (names(tmp_path), page.read_text("utf-8")) == (["page.html"], "an older one")


def test_a_link_stays_one(tmp_path: Path) -> None:
    there, link = tmp_path / "there.html", tmp_path / "link.html"
    link.symlink_to(there)
    with Sheet(link) as sheet:
        sheet.write("all of it")
    assert link.is_symlink()
    assert there.read_text("utf-8") == "all of it"


@pytest.mark.parametrize("place", ["nowhere/page.html", "file/page.html", "x" * 400])
def test_what_cannot_be_written_is_said_at_once_and_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotAsk) as refused, Sheet(tmp_path / place):
        pytest.fail("it was not refused")
    assert str(tmp_path / place) in str(refused.value)
    assert names(tmp_path) == ["file"]
