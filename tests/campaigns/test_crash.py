"""A slice of the crash campaign: a few kills, on BIND and on the embedded server that dies with its daemon.

The whole of it: `python -m tests.campaigns.crash --kills 200`.
"""

from pathlib import Path

import pytest

from tests.campaigns.crash import Options, Victim, main, run
from tests.campaigns.scene import Server
from tests.servers import require


@pytest.mark.campaign
@pytest.mark.parametrize("server", ["bind", "embedded"])
async def test_no_invariant_breaks_while_a_daemon_is_killed_again_and_again(server: Server, tmp_path: Path) -> None:
    if server == "bind":
        require("named")
    account = await run(Options(kills=5, server=server, seed=7, planner_pace_s=0.03), tmp_path)
    assert not account.violations, account.table()
    assert not account.missing(), account.table()
    assert not account.words, account.table()
    assert account.figures()["plans rejected"] == 0, account.table()


@pytest.mark.campaign
@pytest.mark.parametrize("victim", ["postgresql", "primary"])
async def test_no_invariant_breaks_while_the_database_or_the_primary_is_killed(victim: Victim, tmp_path: Path) -> None:
    require("named")
    require("postgres" if victim == "postgresql" else "named")
    account = await run(Options(kills=5, seed=7, planner_pace_s=0.03, victim=victim), tmp_path)
    assert not account.violations, account.table()
    assert not account.missing(), account.table()
    assert account.figures()["plans rejected"] == 0, account.table()


def test_the_embedded_server_belongs_to_one_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--server", "embedded", "--daemons", "2"])
    assert ended.value.code == 2
    assert "belongs to one daemon" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--server", "embedded", "--victim", "primary"])
    assert "dies with its daemon" in capsys.readouterr().err
