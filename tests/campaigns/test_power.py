"""A slice of the power campaign, and the file system under it: what was synced stays, the rest may go.

The whole of it: `python -m tests.campaigns.power --cuts 60`, and with `--careless` to see that it measures.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.campaigns.forgetful import PAGE, File, Forgetful, NotMounted
from tests.campaigns.power import run
from tests.servers import REQUIRED


def mounted(place: Path, seed: int) -> Forgetful:
    """Try to mount it; skip the test where that is not allowed, unless all that a test can need is required."""
    try:
        with Forgetful(place, seed):
            return Forgetful(place, seed)
    except NotMounted as refused:
        if os.environ.get(REQUIRED) == "1" and not os.geteuid():
            pytest.fail(str(refused))
        pytest.skip(str(refused))


@pytest.mark.campaign
async def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    mounted(tmp_path / "probe", 0)
    account = await run(5, 7, tmp_path)
    assert not account.broken, account.table()
    assert not account.missing(), account.table()


@pytest.mark.campaign
async def test_a_database_that_syncs_too_seldom_is_caught(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    mounted(tmp_path / "probe", 0)
    account = await run(2, 7, tmp_path, careless=True)
    assert account.lost, account.table()


def test_a_cut_forgets_what_was_not_synced_and_keeps_what_was(tmp_path: Path) -> None:
    with mounted(tmp_path, 3) as disk:
        kept, lost = b"k" * PAGE, b"l" * PAGE
        with (tmp_path / "a").open("wb", buffering=0) as file:
            file.write(kept)
            os.fsync(file.fileno())
            for _ in range(40):
                file.write(lost)
        disk.cut()
        found = (tmp_path / "a").read_bytes()
        pages = [found[at : at + PAGE] for at in range(0, len(found), PAGE)]
        assert pages[0] == kept
        assert set(pages[1:]) == {lost, bytes(PAGE)}, "of what was not synced some pages stay, and some do not"


def test_files_are_renamed_cut_off_and_removed_like_any(tmp_path: Path) -> None:
    with mounted(tmp_path, 3):
        (tmp_path / "a").write_bytes(b"one")
        (tmp_path / "b").write_bytes(b"two")
        (tmp_path / "a").rename(tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"one"
        os.truncate(tmp_path / "b", 2)
        assert (tmp_path / "b").read_bytes() == b"on"
        assert [path.name for path in tmp_path.iterdir()] == ["b"]
        (tmp_path / "b").unlink()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "b").read_bytes()


def test_sqlite_at_full_keeps_every_commit_over_cuts(tmp_path: Path) -> None:
    with mounted(tmp_path, 5) as disk:
        for count in range(1, 6):
            with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
                connection.execute("INSERT INTO t VALUES (1)")
            disk.cut()
            with closing(sqlite3.connect(tmp_path / "x")) as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (count,)


def test_a_shorter_file_that_was_not_synced_may_be_long_again() -> None:
    file = File()
    file.write(0, b"x" * 3 * PAGE)
    file.sync()
    file.resize(PAGE)
    assert file.kept == b"x" * 3 * PAGE
    assert bytes(file.seen) == b"x" * PAGE
