"""A slice of the noisy-neighbour run, without a judgement of its times, and the verdict, which can say no.

The whole of it: `python -m tests.campaigns.noisy_neighbour --zones 300 --seconds 120`.
"""

from pathlib import Path

import pytest

from tests.campaigns.noisy_neighbour import Options, Phase, run, verdict
from tests.servers import require


@pytest.mark.campaign
async def test_requests_of_others_are_answered_beside_a_noisy_neighbour(tmp_path: Path) -> None:
    require("named")
    alone, beside = await run(Options(zones=6, seconds=2, connections=20), tmp_path)
    assert (alone.failed, beside.failed) == ([], [])
    assert all((alone.plan_ms, alone.ready_ms, beside.plan_ms, beside.ready_ms))
    assert {kind.rpartition(" ")[0] for kind in beside.noise} >= {"list", "plan", "zones"}
    assert "drip" in beside.noise


def phase(name: str, plan_ms: float, ready_ms: float) -> Phase:
    """Return what quiet clients would have seen with these times."""
    return Phase(name, [plan_ms] * 200, [ready_ms] * 200)


def test_noise_that_others_hardly_notice_is_let_through() -> None:
    assert verdict(phase("alone", 10, 2), phase("beside", 49, 49)) == []  # below what anybody notices
    assert verdict(phase("alone", 100, 40), phase("beside", 290, 110)) == []  # below three times as slow


@pytest.mark.parametrize(("plan_ms", "ready_ms", "named"), [(301, 10, "plan"), (100, 51, "ready")])
def test_noise_that_delays_others_is_caught(plan_ms: float, ready_ms: float, named: str) -> None:
    (against,) = verdict(phase("alone", 100, 10), phase("beside", plan_ms, ready_ms))
    assert against.startswith(f"p99 of '{named}' is ")


def test_three_slow_answers_of_two_hundred_are_caught() -> None:
    beside = phase("beside", 10, 2)
    beside.plan_ms[:3] = [5_000.0] * 3
    assert len(verdict(phase("alone", 10, 2), beside)) == 1


def test_a_request_that_failed_or_was_never_answered_is_no_success() -> None:
    beside = phase("beside", 10, 2)
    beside.failed.append("503 too many connections")
    beside.ready_ms.clear()
    assert verdict(phase("alone", 10, 2), beside) == [
        "beside: 503 too many connections",
        "expected answers to 'ready' in both phases, found none",
    ]
