"""A slice of the comparison of many zones: a dead primary keeps no other's zone from publishing, and all heal.

The whole of it: `python -m tests.campaigns.many_zones --zones 300`.
"""

from pathlib import Path

import pytest

from tests.campaigns.many_zones import Options, run, table
from tests.servers import require


@pytest.mark.campaign
async def test_zones_of_other_primaries_publish_while_one_is_silent_or_refuses(tmp_path: Path) -> None:
    require("named")
    phases = await run(Options(zones=9, primaries=3, seconds=3, every_s=1), tmp_path)
    shown = table(phases)
    assert [phase.manner for phase in phases] == ["idle", "alive", "silent", "refusing", "alive again"]
    for phase in phases[1:]:
        assert not phase.failed, f"{phase.failed}\n{shown}"
        # Plans are accepted whatever the primary is like, and those of the others are published.
        assert phase.plans >= 6, shown
        assert phase.accepted_ms, shown
        assert phase.connections <= 2, shown
