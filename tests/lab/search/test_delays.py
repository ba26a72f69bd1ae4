"""Search by delays: it begins with the fair order, adds one delay at a time, and finds the race without being led."""

import pytest

from dnsguard.lab.explore.exploring import Exploration, explore, gravest
from dnsguard.lab.explore.watch import STALE
from dnsguard.lab.scheduler.simulation import Simulation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.delays import Delayed
from dnsguard.lab.search.findings import search


@pytest.mark.parametrize(
    "exploration",
    [
        Exploration(guards="unguarded"),
        Exploration(guards="unguarded", enactors=3),
        Exploration(guards="unguarded", endpoints=2),
        Exploration(guards="unguarded", layout="inline"),
    ],
    ids=str,
)
def test_an_old_plan_goes_over_a_newer_one_within_20_schedules_and_nobody_has_said_how(
    exploration: Exploration,
) -> None:
    findings = explore(exploration, "delays", schedules_max=20)
    assert STALE in findings.violations


def test_its_story_is_the_same_every_time() -> None:
    exploration = Exploration(guards="unguarded")
    stories = [gravest(exploration, explore(exploration, "delays", schedules_max=20)) for _ in range(2)]
    assert stories[0] is not None
    assert stories[0].violation == STALE
    assert stories[0] == stories[1]


def test_guarded_nothing_is_found() -> None:
    findings = explore(Exploration(enactors=3), "delays", schedules_max=300)
    assert (findings.schedules, findings.violations, findings.exhausted) == (300, {}, False)


def three(simulation: Simulation) -> None:
    async def go() -> None:
        for number in range(2):
            await simulation.gate.pass_through(f"effect {number}", writes=("x",))

    for name in ("a", "b", "c"):
        simulation.spawn(name, go)


def orders(count: int) -> list[str]:
    found: list[str] = []
    search(
        Simulator(three).run,
        Delayed(count),
        minimise_runs_max=0,
        each=lambda outcome: found.append("".join(move.actor for move in outcome.moves)),
    )
    return found


def test_it_begins_with_the_fair_order_and_goes_on_with_one_delay() -> None:
    assert orders(6) == ["abcabc", "bcbcaa", "acacbb", "ababcc", "abcbca", "abcacb"]


def test_it_ends_after_so_many_schedules_or_when_no_delay_is_left() -> None:
    assert len(orders(4)) == 4
    whole = orders(1_000)
    assert 20 < len(set(whole)) <= len(whole) < 1_000
