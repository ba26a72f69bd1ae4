"""A zone is named as an argument or by --zone, whichever comes to mind."""

import pytest

from tests.cli.rig import Cli

COMMANDS = (("status",), ("plans",), ("rrsets",), ("verify",), ("adopt", "--all", "--dry-run"))


@pytest.mark.parametrize("command", COMMANDS)
def test_either_way_of_naming_a_zone_says_the_same(cli: Cli, command: tuple[str, ...]) -> None:
    ways = (["example.test."], ["--zone", "example.test."], ["example.test", "--zone", "EXAMPLE.test."])
    for way in ways:
        done = cli(*command, *way)
        assert done.exit_code == 0, done.output
    other = cli(*command, "example.test.", "--zone", "other.test.")
    assert other.exit_code == 2
    assert "expected one zone" in other.stderr
    assert cli(*command, "--zone", "nowhere.test.").exit_code == 1


def test_what_cannot_be_taken_back_wants_the_zone_named(cli: Cli) -> None:
    done = cli("zone", "resync", "--keep", "wire")
    assert done.exit_code == 2
    assert "expected the zone to be named" in done.stderr
    for way in (["example.test."], ["--zone", "example.test."]):
        assert "nothing to settle" in cli("zone", "resync", "--keep", "wire", *way).stderr
