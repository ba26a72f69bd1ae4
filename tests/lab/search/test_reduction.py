import asyncio
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.moves import Faults, Move
from dnsguard.lab.scheduler.simulation import Outcome, Scenario, Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import Findings, search
from dnsguard.lab.search.reduction import NotReducible, Reduced
from dnsguard.lab.search.strategies import Exhaustive, Strategy

SCHEDULES_MAX = 2000
"""Programs that plain search doesn't exhaust with so many are passed over: they would make the comparison slow."""


@dataclass(frozen=True)
class Op:
    reads: frozenset[str]
    writes: frozenset[str]
    losable: bool = False


Program = tuple[Op, ...]
VARIABLES = st.frozensets(st.sampled_from("xyz"), max_size=2)
OPS = st.builds(Op, VARIABLES, VARIABLES, st.booleans())
WATCHED = st.lists(st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True).map(tuple), max_size=2)


def interleavings(programs: Sequence[Program]) -> int:
    return math.factorial(sum(map(len, programs))) // math.prod(math.factorial(len(program)) for program in programs)


def scenario(
    programs: Sequence[Program], watched: Sequence[tuple[str, ...]], ends: set[Hashable], *, restarts: bool = False
) -> Scenario:
    """Every variable remembers who wrote it and from what; every watched group's contents are a violation's name."""

    def set_up(simulation: Simulation) -> None:
        world: dict[str, str] = dict.fromkeys("xyz", "-")
        remembered: dict[int, list[str]] = {number: [] for number in range(len(programs))}

        async def run(number: int) -> None:
            mine = remembered[number]
            mine.append("begun")
            for at, op in enumerate(programs[number]):
                turn = await simulation.gate.pass_through(
                    f"op{at}", reads=sorted(op.reads), writes=sorted(op.writes), losable=op.losable
                )
                seen = ",".join(world[name] for name in sorted(op.reads))
                if turn is not Turn.LOST_REQUEST:
                    world.update(dict.fromkeys(op.writes, f"{number}.{len(mine)}.{at}"))
                mine.append(seen if turn is Turn.GO else "?")

        for number in range(len(programs)):
            start = lambda number=number: run(number)  # noqa: E731  each actor is one of the programs
            simulation.spawn(f"actor-{number}", start, restart=start if restarts else None)

        def contents(group: tuple[str, ...]) -> Callable[[Move | None], Violation]:
            return lambda _: Violation(str([(name, world[name]) for name in group]), "seen")

        def end() -> None:
            ends.add((str(world), str(remembered)))

        for group in watched:
            simulation.after_effect(contents(group), reads=group)
        simulation.at_end(end)

    return set_up


def explored(
    programs: Sequence[Program],
    watched: Sequence[tuple[str, ...]],
    strategy: Strategy,
    *,
    faults: Faults = Faults(),  # noqa: B008
    restarts: bool = False,
) -> tuple[set[Hashable], Findings]:
    ends: set[Hashable] = set()
    simulator = Simulator(scenario(programs, watched, ends, restarts=restarts), faults=faults, ends_at_violation=False)
    findings = search(simulator.run, strategy, schedules_max=SCHEDULES_MAX, minimise_runs_max=0)
    return ends, findings


def assert_reduction_misses_nothing(
    programs: Sequence[Program],
    watched: Sequence[tuple[str, ...]],
    *,
    faults: Faults = Faults(),  # noqa: B008
    restarts: bool = False,
) -> tuple[Findings, Findings]:
    all_ends, plain = explored(programs, watched, Exhaustive(), faults=faults, restarts=restarts)
    assume(plain.exhausted)
    ends, reduced = explored(programs, watched, Reduced(), faults=faults, restarts=restarts)
    assert reduced.exhausted
    assert ends == all_ends
    assert reduced.violations.keys() == plain.violations.keys()
    assert reduced.schedules <= plain.schedules
    return plain, reduced


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(st.lists(OPS, min_size=1, max_size=4).map(tuple), min_size=2, max_size=3), WATCHED)
def test_reduction_reaches_every_end_and_every_violation_that_plain_search_does(
    programs: Sequence[Program], watched: Sequence[tuple[str, ...]]
) -> None:
    assume(interleavings(programs) <= SCHEDULES_MAX // 3)
    assert_reduction_misses_nothing(programs, watched)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.lists(OPS, min_size=1, max_size=3).map(tuple), min_size=2, max_size=3),
    WATCHED,
    st.builds(Faults, st.integers(0, 2), st.integers(0, 2)),
    st.booleans(),
)
def test_reduction_misses_nothing_among_crashes_restarts_and_losses(
    programs: Sequence[Program],
    watched: Sequence[tuple[str, ...]],
    faults: Faults,
    restarts: bool,
) -> None:
    assume(interleavings(programs) <= 40)
    assert_reduction_misses_nothing(programs, watched, faults=faults, restarts=restarts)


def write(*names: str) -> Op:
    return Op(frozenset(), frozenset(names))


def read(*names: str) -> Op:
    return Op(frozenset(names), frozenset())


def test_actors_that_touch_nothing_in_common_need_one_schedule() -> None:
    programs = [(write("x"),) * 3, (write("y"),) * 3, (write("z"),) * 3]
    _, plain = explored(programs, [], Exhaustive())
    _, reduced = explored(programs, [], Reduced())
    assert plain.schedules == 1680
    assert reduced.schedules == 1


def test_readers_of_one_thing_need_one_schedule() -> None:
    _, reduced = explored([(read("x"),) * 3, (read("x"),) * 3], [], Reduced())
    assert reduced.schedules == 1


def test_writes_to_what_a_check_reads_together_depend_on_each_other() -> None:
    programs = [(write("x"),), (write("y"),)]
    _, apart = explored(programs, [("x",), ("y",)], Reduced())
    _, together = explored(programs, [("x", "y")], Reduced())
    assert (apart.schedules, together.schedules) == (1, 2)


def test_every_order_of_one_write_each_is_tried_once() -> None:
    _, reduced = explored([(write("x"),)] * 4, [], Reduced())
    assert reduced.schedules - reduced.pruned == 24


def test_one_crash_is_tried_before_every_effect_and_never_a_second() -> None:
    programs = [(write("x"), write("x")), (write("y"), write("y"))]
    ends, findings = explored(programs, [], Exhaustive(), faults=Faults(crashes_max=1))
    # Nobody crashes, or one of two before its first or its second effect.
    assert len(ends) == 5
    assert findings.exhausted


def test_an_effect_whose_request_or_answer_is_lost_is_tried_in_both_ways() -> None:
    ends, findings = explored([(Op(frozenset(), frozenset("x"), losable=True),)], [], Exhaustive(), faults=Faults(0, 1))
    assert findings.schedules == 3
    assert len(ends) == 3
    _, findings = explored([(write("x"),)], [], Exhaustive(), faults=Faults(0, 1))
    assert findings.schedules == 1


def test_a_crashed_actor_with_a_factory_begins_anew() -> None:
    turns: set[tuple[str, ...]] = set()

    def note(outcome: Outcome) -> None:
        turns.add(tuple(move.kind.value for move in outcome.moves))

    simulator = Simulator(scenario([(write("x"), write("y"))], [], set(), restarts=True), faults=Faults(crashes_max=1))
    search(simulator.run, Exhaustive(), each=note)
    assert turns == {("go", "go"), ("crash", "restart", "go", "go"), ("go", "crash", "restart", "go", "go")}


def test_reduction_refuses_actors_that_meet_elsewhere_than_at_effects() -> None:
    def meeting(simulation: Simulation) -> None:
        met = asyncio.Event()

        async def wait() -> None:
            await met.wait()

        async def call() -> None:
            await simulation.gate.pass_through("call")
            met.set()

        simulation.spawn("a", wait)
        simulation.spawn("b", call)

    assert search(Simulator(meeting).run, Exhaustive()).exhausted
    with pytest.raises(NotReducible, match="b woke a"):
        search(Simulator(meeting).run, Reduced())


def test_reduction_refuses_a_clock_that_all_share() -> None:
    def sleeping(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: simulation.pause(1))

    with pytest.raises(NotReducible, match="time passed"):
        search(Simulator(sleeping, timed=True).run, Reduced())
