from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from dnsguard.lab.explore.exploring import Exploration
from dnsguard.lab.explore.setting import as_in_october
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.scheduler.moves import Faults, Schedule, ScheduleUnreadable, Step
from dnsguard.lab.scheduler.simulation import Ending, Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import Ended, Findings, replay, search
from dnsguard.lab.search.minimise import cost, minimise
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import Exhaustive, Pct, RandomWalk


def lost_update(simulation: Simulation) -> None:
    """Two increment a counter without a guard; a bystander looks on; a check compares with what the two were told."""
    world = {"count": 0, "told": 0}

    async def increment(times: int) -> None:
        for _ in range(times):
            await simulation.gate.pass_through("read", reads=("count",))
            seen = world["count"]
            await simulation.gate.pass_through("write", reads=("count",), writes=("count",))
            world["count"] = seen + 1
            world["told"] += 1

    async def stand_by() -> None:
        for _ in range(1):
            await simulation.gate.pass_through("look", reads=("count",))

    def check(_: object) -> Violation | None:
        if world["count"] == world["told"]:
            return None
        return Violation("lost update", f"expected {world['told']}, found {world['count']}")

    simulation.spawn("a", lambda: increment(2))
    simulation.spawn("b", lambda: increment(2))
    simulation.spawn("c", stand_by)
    simulation.after_effect(check, reads=("count",))
    simulation.fingerprint = lambda: tuple(world.values())


SHORTEST = (4, 0, 2)
"""a and b read, both write: four moves, no fault, and the turn passes twice."""


def test_the_lost_update_is_found_told_shortly_and_replayed() -> None:
    run = Simulator(lost_update).run
    findings = search(run, Reduced(), stop_at_first=True)
    assert findings.schedules < 20
    assert not findings.exhausted
    found = findings.shortest["lost update"]
    assert cost(found.schedule) == SHORTEST
    assert found.violation.detail == "expected 2, found 1"
    outcome = replay(run, Schedule.from_json(found.schedule.to_json()))
    assert outcome.violations == (found.violation,)
    assert findings.shortest_of_all() == found


@pytest.mark.parametrize("seed", range(5))
def test_a_long_random_story_is_made_as_short_as_any(seed: int) -> None:
    simulator = Simulator(lost_update, faults=Faults(crashes_max=1))
    findings = search(simulator.run, RandomWalk(seed * 1000, 1000), stop_at_first=True)
    assert cost(findings.shortest["lost update"].schedule) == SHORTEST
    assert cost(findings.first["lost update"].schedule) >= SHORTEST


def test_a_search_says_why_it_ended_whatever_it_has_found() -> None:
    run, ticks, asked = Simulator(lost_update).run, count(), count()
    whole = Simulator(lost_update, ends_at_violation=False).run
    ended = {
        Ended.EXHAUSTED: search(whole, Reduced(), minimise_runs_max=0),
        Ended.ALL_TRIED: search(run, RandomWalk(0, 100), minimise_runs_max=0),
        Ended.FOUND: search(run, Reduced(), minimise_runs_max=0, stop_at_first=True),
        Ended.SCHEDULES: search(run, RandomWalk(0), minimise_runs_max=0, schedules_max=100),
        Ended.SECONDS: search(run, RandomWalk(0), minimise_runs_max=0, seconds_max=100.0, clock=lambda: next(ticks)),
        Ended.HALTED: search(run, RandomWalk(0), minimise_runs_max=0, halted=lambda: next(asked) == 100),
        Ended.CUT: search(Simulator(lost_update, moves_max=6).run, Exhaustive(), minimise_runs_max=0),
    }
    assert {why: findings.ended for why, findings in ended.items()} == {why: why for why in ended}
    assert all(findings.violations for findings in ended.values())
    assert [why for why, findings in ended.items() if findings.exhausted] == [Ended.EXHAUSTED]


def test_a_search_on_memories_says_why_it_ended_too() -> None:
    october = Exploration(guards="unguarded")
    setting = october.setting

    def survey(**bounds: Any) -> Ended:
        return Survey(october.recalled(), as_in_october(setting)).search(**bounds).ended

    assert survey(schedules_max=10) is Ended.SCHEDULES
    assert survey(enough=bool) is Ended.FOUND
    assert survey(seconds_max=0.0) is Ended.SECONDS
    assert survey(halted=lambda: True) is Ended.HALTED
    assert survey() is Ended.EXHAUSTED


def test_pct_finds_the_race() -> None:
    findings = search(Simulator(lost_update).run, Pct(0, 200, depth=2, moves=11))
    assert 0 < findings.violations["lost update"] < 200
    assert findings.first["lost update"].where.startswith("seed ")


def test_minimising_stays_within_its_runs() -> None:
    run = Simulator(lost_update).run
    findings = search(run, RandomWalk(3000, 1000), stop_at_first=True, minimise_runs_max=0)
    found = findings.first["lost update"]
    runs = 0

    def counted(chooser: RandomWalk) -> object:
        nonlocal runs
        runs += 1
        return run(chooser)

    violation, schedule = minimise(counted, found.schedule, found.violation, runs_max=7)  # type: ignore[arg-type]
    assert runs <= 7
    assert cost(schedule) <= cost(found.schedule)
    assert violation.name == "lost update"


def test_what_was_found_is_counted() -> None:
    plain = search(Simulator(lost_update, ends_at_violation=False).run, Exhaustive(), minimise_runs_max=0)
    assert plain.exhausted
    assert plain.schedules == 630
    assert plain.moves == 630 * 9
    assert plain.pruned == 0
    assert plain.endings == {Ending.DONE: 630}
    reduced = search(Simulator(lost_update, ends_at_violation=False).run, Reduced(), minimise_runs_max=0)
    assert reduced.exhausted
    assert reduced.schedules < plain.schedules
    assert reduced.states == plain.states
    assert reduced.endings[Ending.DONE] + reduced.pruned == reduced.schedules


def test_runs_cut_at_a_violation_prove_nothing_to_a_reducing_strategy() -> None:
    run = Simulator(lost_update).run
    reduced = search(run, Reduced(), minimise_runs_max=0)
    assert reduced.violations
    assert not reduced.exhausted


def test_a_search_keeps_its_bounds_and_goes_on_where_it_stopped() -> None:
    run = Simulator(lost_update).run
    strategy = Reduced()
    slices: list[Findings] = []
    while not slices or slices[-1].schedules == 10:
        slices.append(search(run, strategy, schedules_max=10, minimise_runs_max=0))
    assert sum(part.schedules for part in slices) == search(run, Reduced(), minimise_runs_max=0).schedules


def test_a_search_ends_when_its_time_is_over() -> None:
    ticks: Iterator[int] = iter(range(1000))
    findings = search(
        Simulator(lost_update).run, RandomWalk(), seconds_max=10, minimise_runs_max=0, clock=lambda: next(ticks)
    )
    assert findings.schedules == 9
    assert findings.schedules_per_second == pytest.approx(9 / findings.seconds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "found no JSON"),
        ("{}", "found dict"),
        ('[{"actor": "a"}]', "as step 1"),
        ('[{"actor": "a", "label": "l", "turn": "gone"}]', "turns are"),
        ('[{"actor": "a", "label": "l", "turn": 1}]', "as step 1"),
        ("[1]", "found 1 as step 1"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, said: str) -> None:
    with pytest.raises(ScheduleUnreadable, match=said):
        Schedule.from_json(text)


@pytest.mark.parametrize("steps", [(), (Step("a", 'größe "x"', "go"), Step("b", "", "lost answer"))])
def test_a_schedule_survives_json(steps: tuple[Step, ...]) -> None:
    schedule = Schedule(steps)
    assert Schedule.from_json(schedule.to_json()) == schedule
