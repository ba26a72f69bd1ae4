"""A slice of the comparison of many zones: a dead primary delays no other's zone, and all heal; and the comparison can
say no.

The whole of it: `python -m tests.campaigns.many_zones --zones 300`.
"""

from pathlib import Path

import pytest

from tests.campaigns.many_zones import Options, run
from tests.campaigns.many_zones_account import AGAIN, ALIVE, IDLE, Phase, table, verdict
from tests.servers import require


@pytest.mark.campaign
async def test_zones_of_other_primaries_publish_while_one_is_silent_or_refuses(tmp_path: Path) -> None:
    require("named")
    phases = await run(Options(zones=9, primaries=3, seconds=3, every_s=1), tmp_path)
    shown = table(phases)
    assert [phase.manner for phase in phases] == ["idle", "alive", "silent", "refusing", "alive again"]
    assert verdict(phases) == [], shown
    for phase in phases[1:]:
        assert phase.connections <= 2, shown


def phases_of(*, alive: float, silent: float, refusing: float, again: float) -> list[Phase]:
    """Return what a run would have seen with these times, in milliseconds."""
    times = {ALIVE: alive, "silent": silent, "refusing": refusing, AGAIN: again}
    return [Phase(IDLE), *(Phase(manner, 9, [each] * 9, [each] * 9, [each] * 9) for manner, each in times.items())]


def test_zones_that_are_not_delayed_are_let_through() -> None:
    assert verdict(phases_of(alive=100, silent=450, refusing=120, again=90)) == []
    assert verdict(phases_of(alive=2, silent=40, refusing=200, again=2)) == []  # nothing but noise
    assert verdict(phases_of(alive=60, silent=900, refusing=120, again=200)) == []  # the machine became slower


@pytest.mark.parametrize("manner", ["silent", "refusing"])
def test_zones_that_wait_for_a_primary_that_is_not_theirs_are_caught(manner: str) -> None:
    times = {"alive": 100.0, "silent": 110.0, "refusing": 105.0, "again": 95.0}
    assert verdict(phases_of(**times)) == []
    against = verdict(phases_of(**{**times, manner: 510.0}))
    assert len(against) == 2
    assert all(f"is {manner}, found 510 ms" in said for said in against)


def test_one_slow_plan_among_many_is_no_delay_and_most_of_them_are() -> None:
    for slow, caught in ((4, False), (5, True)):
        phases = phases_of(alive=100, silent=100, refusing=100, again=100)
        phases[2].published_ms[:slow] = [5_000.0] * slow
        assert bool(verdict(phases)) == caught


def test_a_run_that_failed_or_shows_too_little_is_no_success() -> None:
    phases = phases_of(alive=100, silent=100, refusing=100, again=100)
    phases[2].plans, phases[3].accepted_ms, phases[4].failed = 5, [], ["z001 503"]
    assert [said.split(",")[0] for said in verdict(phases)] == [
        "z001 503",
        "expected at least 6 plans of the others while the last primary is silent",
        "expected plans for the last primary to be accepted while the last primary is refusing",
    ]
