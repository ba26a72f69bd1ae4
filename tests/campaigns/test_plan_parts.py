"""A slice of the cut campaign: what a server takes in one message it takes in parts.

The whole of it: `python -m tests.campaigns.plan_parts --plans 500`.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from dnsguard.core.guards import GUARDED
from tests.campaigns.plan_parts import Webs, run
from tests.wire.primaries import SERVERS


@pytest.mark.campaign
@pytest.mark.parametrize("kind", SERVERS)
async def test_what_is_taken_in_one_message_is_taken_in_parts(kind: str, tmp_path: Path) -> None:
    account = await run(kind, 40, 1, tmp_path)
    assert account.broken == []
    assert account.whole >= 20, account


@pytest.mark.campaign
async def test_in_the_order_of_names_the_campaign_finds_a_plan_that_is_rejected_in_parts_only(tmp_path: Path) -> None:
    account = await run("bind", 40, 1, tmp_path, guards=replace(GUARDED, order=()))
    assert len(account.broken) == 1
    assert "REFUSED" in account.broken[0]


def test_a_seed_makes_the_same_plans_again() -> None:
    one, other = Webs(3), Webs(3)
    for _ in range(20):
        plan = one.plan()
        assert other.plan() == plan
        one.published(plan)
        other.published(plan)
