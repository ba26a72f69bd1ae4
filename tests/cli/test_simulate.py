"""`dnsguard simulate` when it is interrupted: what was counted is told."""

import json

import pytest

from tests.cli.rig import Cli, interrupted


@pytest.mark.parametrize("more", [(), ("--unguarded", "--keep-going")], ids=["guarded", "unguarded"])
def test_interrupted_it_prints_what_it_has_counted(nobody: Cli, more: tuple[str, ...]) -> None:
    with interrupted():
        done = nobody("simulate", "--seeds", "100000", *more)
    assert done.exit_code == 130
    assert " worlds from seed 0, " in done.stdout
    assert "interrupted: this is the tally so far" in done.stderr


def test_interrupted_it_shows_the_guards_that_it_has_come_to(nobody: Cli) -> None:
    with interrupted():
        done = nobody("simulate", "--each-guard", "--json")
    assert done.exit_code == 130
    assert len(json.loads(done.stdout)["guards"]) < 27


def test_interrupted_it_says_so_in_its_document(nobody: Cli) -> None:
    with interrupted():
        done = nobody("simulate", "--seeds", "100000", "--unguarded", "--json")
    assert done.exit_code == 130
    found = json.loads(done.stdout)
    assert found["interrupted"] is True
    assert 0 < found["seeds"] < 100_000
