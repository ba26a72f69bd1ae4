"""Two daemons on one SQLite file and one zone of a real BIND: both publish all that comes, nobody leads."""

import asyncio
from pathlib import Path

import pytest

from dnsguard.core.history import PlanState
from tests.campaigns.crash import all_seen, converge
from tests.campaigns.judge import judge
from tests.campaigns.load import Planners
from tests.campaigns.observe import Observers
from tests.campaigns.scene import ZONE, scene
from tests.campaigns.wishes import Names
from tests.servers import require

SEED = 11
REFUSED_S_MAX = 30.0
PLANS_MIN = 100


@pytest.mark.campaign
async def test_two_daemons_on_one_file_and_one_zone_break_no_invariant(tmp_path: Path) -> None:
    require("named")
    names = Names(ZONE)
    async with scene(tmp_path, "bind", 2) as stage:
        await asyncio.gather(*(daemon.start() for daemon in stage.daemons))
        zone_at_begin = await stage.transfer()
        observers = Observers(ZONE, names.keys, stage.address, SEED)
        planners = Planners(ZONE, names, stage.doors, stage.token, SEED, pace_s=0.005)
        loop = asyncio.get_running_loop()
        async with observers:
            async with planners:
                end = loop.time() + REFUSED_S_MAX
                while loop.time() < end and (stage.refused() == 0 or planners.accepted_count < PLANS_MIN):
                    await planners.accepted.heard(0.5)
                    await asyncio.gather(*(daemon.read_metrics() for daemon in stage.daemons))
                await planners.finish(30)
            newest, converged_s = await converge(stage, observers, asyncio.get_running_loop().time())
        testimony = await all_seen(stage, observers, planners, zone_at_begin, newest, converged_s)
        assert stage.refused() > 0, "no fenced write was refused: the two daemons never met, and nothing was shown"
        assert [await daemon.stop() for daemon in stage.daemons] == [0, 0]
    assert judge(testimony) == []
    assert len(testimony.entries) == planners.accepted_count >= PLANS_MIN
    assert {entry.state for entry in testimony.entries} <= {PlanState.PUBLISHED, PlanState.SUPERSEDED}
