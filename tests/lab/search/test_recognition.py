"""Effects that touch less than they declare, and search by states: both come to the same ends as every order does."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsguard.lab.scheduler.simulation import Scenario, Simulation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import Findings, search
from dnsguard.lab.search.recognition import Recognised
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import Exhaustive, Strategy


@dataclass(frozen=True)
class Swap:
    """If a variable is as low as this, add one to another: a conditional write, refused otherwise."""

    looks_at: str
    at_most: int
    adds_to: str


SWAPS = st.builds(Swap, st.sampled_from("xyz"), st.integers(0, 1), st.sampled_from("xyz"))
PROGRAMS = st.lists(st.lists(SWAPS, min_size=1, max_size=3), min_size=2, max_size=3)
Ends = set[Hashable]


def scenario(programs: Sequence[Sequence[Swap]], ends: Ends, *, narrows: bool = True) -> Scenario:
    def scene(simulation: Simulation) -> None:
        world = dict.fromkeys("xyz", 0)
        told: dict[str, tuple[Any, ...]] = {}

        async def act(name: str, program: Sequence[Swap]) -> None:
            for at, swap in enumerate(program):
                reads, writes = (swap.looks_at,), (swap.adds_to,)
                await simulation.gate.pass_through(f"swap {at}", reads=reads, writes=writes)
                taken = world[swap.looks_at] <= swap.at_most
                if taken:
                    world[swap.adds_to] += 1
                elif narrows:
                    simulation.gate.touched(reads=reads)
                told[name] = (*told.get(name, ()), taken)

        for number, program in enumerate(programs):
            name = f"a{number}"
            simulation.spawn(name, lambda name=name, program=program: act(name, program))  # type: ignore[misc]
        simulation.fingerprint = lambda: (tuple(world.items()), tuple(sorted(told.items())))
        simulation.at_end(lambda: ends.add((tuple(world.items()), tuple(sorted(told.items())))))

    return scene


def explored(programs: Sequence[Sequence[Swap]], strategy: Strategy, *, narrows: bool = True) -> tuple[Ends, Findings]:
    ends: Ends = set()
    findings = search(Simulator(scenario(programs, ends, narrows=narrows)).run, strategy, schedules_max=20_000)
    assert findings.exhausted
    return ends, findings


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS.filter(lambda programs: sum(map(len, programs)) <= 6))
def test_every_exhaustive_search_comes_to_the_same_ends(programs: list[list[Swap]]) -> None:
    every, _ = explored(programs, Exhaustive())
    assert explored(programs, Reduced())[0] == every
    assert explored(programs, Recognised())[0] == every
    assert explored(programs, Reduced(lambda actor, made: -made * int(actor[1:])))[0] == every


LOSERS = [[Swap("x", 0, "x")]] * 4
"""Four race for one place: the first takes it, the others are refused, in any order."""


def test_refused_writes_may_be_swapped() -> None:
    declared, as_declared = explored(LOSERS, Reduced(), narrows=False)
    touched, as_touched = explored(LOSERS, Reduced())
    assert touched == declared
    assert len(touched) == 4
    assert as_touched.schedules < as_declared.schedules == 24


def test_each_state_is_gone_on_from_once() -> None:
    programs = [[Swap("x", 9, "x")] * 2] * 3
    every, plain = explored(programs, Exhaustive())
    ends, once = explored(programs, Recognised())
    assert ends == every
    assert once.states == plain.states
    assert once.schedules < plain.schedules / 2


def test_actors_that_are_alike_may_change_places() -> None:
    def found(alike: tuple[str, ...]) -> Findings:
        def scene(simulation: Simulation) -> None:
            within(simulation)
            look = simulation.fingerprint
            assert look is not None

            def faces() -> Hashable:
                found = look()
                assert isinstance(found, tuple)
                world, told = found
                return world, tuple((name, hash(said)) for name, said in told)

            simulation.fingerprint = faces

        within = scenario(LOSERS, set())
        return search(Simulator(scene).run, Recognised(alike=alike))

    names = tuple(f"a{number}" for number in range(len(LOSERS)))
    apart, alike = found(()), found(names)
    assert apart.exhausted
    assert alike.exhausted
    assert apart.states is not None
    assert alike.states is not None
    assert alike.states < apart.states / 2


@pytest.mark.parametrize("strategy", [Reduced(), Recognised(), Exhaustive()], ids=lambda each: type(each).__name__)
def test_a_search_that_is_over_stays_over(strategy: Strategy) -> None:
    explored(LOSERS[:2], strategy)
    assert not strategy.begin()
