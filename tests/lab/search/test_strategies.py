from collections.abc import Callable

import pytest

from dnsguard.lab.scheduler.moves import Faults, Kind, Schedule, Step
from dnsguard.lab.scheduler.simulation import Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import replay, search
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import (
    Exhaustive,
    NotReproducible,
    Pct,
    RandomWalk,
    Replay,
    ScheduleDoesNotFit,
    Strategy,
)


def race(simulation: Simulation) -> None:
    count = [0]

    async def increment() -> None:
        await simulation.gate.pass_through("read", reads=("count",))
        seen = count[0]
        await simulation.gate.pass_through("write", writes=("count",))
        count[0] = seen + 1

    for name in ("a", "b", "c"):
        simulation.spawn(name, increment)
    simulation.at_end(lambda: None if count[0] == 3 else Violation("lost update", f"expected 3, found {count[0]}"))


def schedules(strategy: Strategy, *, faults: Faults = Faults(1, 0)) -> list[str]:  # noqa: B008
    found: list[str] = []
    search(
        Simulator(race, faults=faults).run, strategy, each=lambda outcome: found.append(outcome.schedule().to_json())
    )
    return found


@pytest.mark.parametrize(
    "make", [lambda: RandomWalk(7, 50), lambda: Pct(7, 50, moves=6, faults=1)], ids=["random", "pct"]
)
def test_a_seed_gives_the_same_schedule_again(make: Callable[[], Strategy]) -> None:
    first = schedules(make())
    assert schedules(make()) == first
    assert len(set(first)) > 5


def test_a_later_start_gives_the_same_seeds() -> None:
    assert schedules(RandomWalk(0, 20))[12:] == schedules(RandomWalk(12, 8))


def test_random_draws_faults_by_their_weight() -> None:
    never = schedules(RandomWalk(0, 50, weights={Kind.CRASH: 0.0}))
    assert not any("crash" in schedule for schedule in never)
    often = schedules(RandomWalk(0, 50, weights={Kind.CRASH: 1.0}))
    assert sum("crash" in schedule for schedule in often) > 25


def test_pct_lets_one_actor_run_until_it_falls_behind() -> None:
    for text in schedules(Pct(0, 30, depth=1, moves=6), faults=Faults()):
        assert Schedule.from_json(text).switches() == 2


def test_a_recorded_schedule_replays_to_the_letter() -> None:
    run = Simulator(race, faults=Faults(1, 0)).run
    for text in schedules(RandomWalk(0, 20)):
        schedule = Schedule.from_json(text)
        assert replay(run, schedule).schedule() == schedule


def test_a_schedule_that_no_longer_fits_says_where() -> None:
    run = Simulator(race).run
    with pytest.raises(ScheduleDoesNotFit, match=r"step 2 of the schedule, a erase \(go\).* found a write, b read"):
        replay(run, Schedule((Step("a", "read", "go"), Step("a", "erase", "go"))))
    with pytest.raises(ScheduleDoesNotFit, match=r"step 1 .* a crash"):
        replay(run, Schedule((Step("a", "crash", "crash"),)))


def test_a_schedule_that_goes_on_after_the_end_does_not_fit() -> None:
    run = Simulator(race).run
    whole = Schedule.from_json(schedules(RandomWalk(0, 1), faults=Faults())[0])
    with pytest.raises(ScheduleDoesNotFit, match="step 7"):
        replay(run, Schedule((*whole.steps, Step("a", "read", "go"))))


def test_a_replay_is_one_schedule() -> None:
    findings = search(Simulator(race).run, Replay(Schedule()))
    assert (findings.schedules, findings.exhausted) == (1, False)


@pytest.mark.parametrize("make", [Exhaustive, Reduced])
def test_a_scenario_left_to_chance_is_noticed(make: Callable[[], Strategy]) -> None:
    runs = iter(range(100))

    def fickle(simulation: Simulation) -> None:
        number = next(runs)

        async def act(name: str) -> None:
            await simulation.gate.pass_through(name, writes=("x",))
            await simulation.gate.pass_through(name, writes=("x",))

        simulation.spawn("a", lambda: act(f"effect {number}"))
        simulation.spawn("b", lambda: act("effect"))

    with pytest.raises(NotReproducible, match="expected a effect 0"):
        search(Simulator(fickle).run, make())
