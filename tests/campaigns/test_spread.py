"""A slice of the comparison of many daemons: all plans are published, those of a killed daemon by the others.

The whole of it: `python -m tests.campaigns.spread --daemons 3 --zones 30`.
"""

import asyncio
from pathlib import Path

import pytest

from tests.campaigns.spread import Options, Phase, faults, kill, load, stage, table
from tests.servers import require

SLICE = Options(daemons=2, zones=3, plans=2, kills=1)


@pytest.mark.campaign
async def test_plans_of_a_killed_daemon_are_published_by_the_others(tmp_path: Path) -> None:
    require("named")
    async with stage(tmp_path, SLICE.daemons, SLICE.zones) as on:
        await asyncio.gather(*(daemon.start() for daemon in on.daemons))
        await on.acquainted()
        phases = [await load(SLICE, on, "one looks first"), await kill(SLICE, on)]
    assert [phase.plans for phase in phases] == [6, 3], table(phases)


def test_refusals_that_the_order_does_not_save_and_delays_are_faults() -> None:
    phases = [Phase("one looks first"), Phase("one is killed"), Phase("all look at once")]
    assert not faults(phases)
    phases[0].refused = 1
    phases[1].published_s.append(60.0)
    assert len(faults(phases)) == 2
