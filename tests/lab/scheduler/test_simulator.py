import asyncio
import gc
import os
import subprocess
import sys
import warnings

import pytest

from dnsguard.lab.scheduler.gate import Turn
from dnsguard.lab.scheduler.loop import SimulatedLoop
from dnsguard.lab.scheduler.moves import Faults, Kind, Move
from dnsguard.lab.scheduler.simulation import Ending, Outcome, Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import search
from dnsguard.lab.search.strategies import Exhaustive, RandomWalk
from tests.lab.scheduler.chosen import Chosen, run_one


def test_a_crashed_actor_does_nothing_any_more() -> None:
    did: list[str] = []

    async def act(simulation: Simulation) -> None:
        gate = simulation.gate
        child = asyncio.create_task(stubborn(simulation, "child"))
        try:
            await gate.pass_through("first")
            did.append("first")
            await gate.pass_through("second")
            did.append("second")
        finally:
            await gate.pass_through("put away")
            did.append("put away")
            await child

    async def stubborn(simulation: Simulation, name: str) -> None:
        try:
            await simulation.pause(10)
        finally:
            # Awaiting while being closed is a protest that nobody hears.
            await simulation.pause(0)
            await simulation.gate.pass_through(f"{name} insists")
            did.append(name)

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: act(simulation))
        simulation.spawn("b", lambda: simulation.gate.pass_through("else"))

    outcome = Simulator(scenario, faults=Faults(crashes_max=1), timed=True).run(
        Chosen(("a", Kind.GO), ("a", Kind.CRASH))
    )
    assert did == ["first"]
    assert [str(move) for move in outcome.moves] == ["a first", "a second (crash)", "b else"]
    assert (outcome.ending, outcome.violations) == (Ending.DONE, ())


def test_a_restarted_actor_begins_from_its_factory_and_the_budget_bounds_crashes() -> None:
    lives: list[str] = []

    async def live(simulation: Simulation, life: str) -> None:
        lives.append(life)
        await simulation.gate.pass_through(life)

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: live(simulation, "first"), restart=lambda: live(simulation, "again"))
        simulation.spawn("b", lambda: live(simulation, "safe"), may_crash=False)

    chooser = Chosen(("a", Kind.CRASH), ("a", Kind.RESTART), ("a", Kind.GO), ("b", Kind.GO))
    outcome = Simulator(scenario, faults=Faults(crashes_max=1)).run(chooser)
    assert lives == ["first", "safe", "again"]
    assert outcome.ending is Ending.DONE
    assert chooser.offered == [
        ["a first", "a first (crash)", "b safe"],
        ["a restart (restart)", "b safe"],
        ["a again", "b safe"],
        ["b safe"],
    ]


@pytest.mark.parametrize(
    ("kind", "turn"),
    [(Kind.GO, Turn.GO), (Kind.LOST_REQUEST, Turn.LOST_REQUEST), (Kind.LOST_ANSWER, Turn.LOST_ANSWER)],
)
def test_the_gate_says_what_became_of_an_effect(kind: Kind, turn: Turn) -> None:
    turns: list[Turn] = []

    async def act(simulation: Simulation) -> None:
        turns.append(await simulation.gate.pass_through("write", losable=True))

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: act(simulation))

    Simulator(scenario, faults=Faults(losses_max=1)).run(Chosen(("a", kind)))
    assert turns == [turn]


def test_losses_stay_within_their_budget_whatever_is_chosen() -> None:
    async def act(simulation: Simulation) -> None:
        for _ in range(4):
            await simulation.gate.pass_through("write", losable=True)

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: act(simulation))

    lost: set[int] = set()

    def count(outcome: Outcome) -> None:
        lost.add(sum(move.kind in {Kind.LOST_REQUEST, Kind.LOST_ANSWER} for move in outcome.moves))

    findings = search(Simulator(scenario, faults=Faults(losses_max=2)).run, Exhaustive(), each=count)
    # No loss, one of two kinds at one of four effects, or two at two of four.
    assert findings.schedules == 1 + 2 * 4 + 4 * 6
    assert lost == {0, 1, 2}


def test_an_actor_that_waits_for_ever_is_a_deadlock() -> None:
    outcome = run_one(lambda _: asyncio.get_running_loop().create_future())
    assert outcome.ending is Ending.DEADLOCK
    assert [violation.name for violation in outcome.violations] == ["deadlock"]
    assert outcome.violations[0].detail.endswith("still waiting: actor")


def test_an_actor_that_may_wait_for_ever_is_none() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    outcome = Simulator(lambda simulation: simulation.spawn("a", wait, may_wait=True)).run(Chosen())
    assert (outcome.ending, outcome.violations) == (Ending.DONE, ())


def test_actors_that_never_end_are_a_livelock() -> None:
    async def act(simulation: Simulation) -> None:
        while True:
            await simulation.gate.pass_through("again")

    outcome = Simulator(lambda simulation: simulation.spawn("a", lambda: act(simulation)), moves_max=50).run(Chosen())
    assert (outcome.ending, len(outcome.moves)) == (Ending.LIVELOCK, 50)
    assert outcome.violations == (Violation("livelock", "no end after 50 moves", 50),)


def test_an_actor_that_spins_without_effects_is_a_livelock() -> None:
    async def act(simulation: Simulation) -> None:
        while True:
            await simulation.pause(0)

    outcome = run_one(act)
    assert outcome.ending is Ending.LIVELOCK
    assert outcome.violations[0].detail == "actor runs for ever without any effect"


@pytest.mark.parametrize("child", [False, True], ids=["itself", "in a task"])
def test_an_error_that_ends_an_actor_is_a_violation(child: bool) -> None:
    async def fail() -> None:
        raise LookupError("no such thing")

    async def act(simulation: Simulation) -> None:
        if child:
            task = asyncio.create_task(fail())
            await simulation.gate.pass_through("effect")
            assert task.done()
        else:
            await fail()

    outcome = run_one(act)
    assert [(v.name, v.detail) for v in outcome.violations] == [("fault", "actor: LookupError: no such thing")]


def test_a_violation_ends_the_run_unless_all_are_wanted() -> None:
    def scenario(simulation: Simulation) -> None:
        done: list[str] = []

        async def act() -> None:
            for number in range(3):
                await simulation.gate.pass_through(f"effect {number}", writes=("done",))
                done.append("x")

        def check(move: Move | None) -> Violation | None:
            return Violation(f"after {move.label}", "") if move is not None and len(done) > 1 else None

        simulation.spawn("a", act)
        simulation.after_effect(check, reads=("done",))

    outcome = Simulator(scenario).run(Chosen())
    assert (outcome.ending, outcome.violations) == (Ending.VIOLATED, (Violation("after effect 1", "", 2),))
    outcome = Simulator(scenario, ends_at_violation=False).run(Chosen())
    assert (outcome.ending, [v.moves for v in outcome.violations]) == (Ending.DONE, [2, 3])


def test_a_run_may_end_when_it_was_enough_and_counts_the_states_it_saw() -> None:
    def scenario(simulation: Simulation) -> None:
        done: list[int] = []

        async def act() -> None:
            for number in range(9):
                await simulation.gate.pass_through("effect")
                done.append(number)

        simulation.spawn("a", act)
        simulation.enough = lambda: len(done) == 4
        simulation.fingerprint = lambda: len(done)

    outcome = Simulator(scenario).run(Chosen())
    assert (outcome.ending, outcome.states) == (Ending.ENOUGH, (1, 2, 3, 4))


def test_the_scene_is_set_and_looked_at_without_moves() -> None:
    async def add(simulation: Simulation, number: int) -> int:
        await simulation.gate.pass_through("add")
        await simulation.pause(1)
        return number + 1

    found: list[int] = []

    def scenario(simulation: Simulation) -> None:
        number = simulation.settle(add(simulation, 1))
        simulation.spawn("a", lambda: add(simulation, number))
        simulation.at_end(lambda: found.append(simulation.settle(add(simulation, number))))
        with pytest.raises(LookupError):
            simulation.settle(fail())

    async def fail() -> None:
        raise LookupError

    outcome = Simulator(scenario).run(Chosen())
    assert [move.label for move in outcome.moves] == ["add", "timer"]
    assert (found, outcome.violations) == ([3], ())


def test_nothing_is_left_behind_whatever_ended_a_run() -> None:
    async def act(simulation: Simulation) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(simulation.pause(10))
            group.create_task(simulation.gate.pass_through("never"))
            await simulation.gate.pass_through("effect", losable=True)

    def scenario(simulation: Simulation) -> None:
        for name in "ab":
            simulation.spawn(name, lambda: act(simulation), restart=lambda: act(simulation))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = search(
            Simulator(scenario, faults=Faults(1, 1), moves_max=6).run, RandomWalk(0, 200), minimise_runs_max=0
        )
        gc.collect()
    assert findings.endings[Ending.LIVELOCK] > 10
    tasks = [task for task in gc.get_objects() if isinstance(task, asyncio.Task)]
    assert not [task for task in tasks if isinstance(task.get_loop(), SimulatedLoop)]


PROGRAM = """
import sys
from dnsguard.lab.scheduler.moves import Faults
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.findings import search
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.strategies import Exhaustive, Pct, RandomWalk

def scenario(simulation):
    names = {"alpha", "beta", "gamma"}
    async def act(name):
        for number in range(2):
            await simulation.gate.pass_through(f"{name} {number}", writes=sorted(names - {name}), losable=True)
    for name in sorted(names):
        simulation.spawn(name, lambda name=name: act(name), restart=lambda name=name: act(name))

run = Simulator(scenario, faults=Faults(1, 1)).run
for strategy in (Exhaustive(), Reduced(), RandomWalk(), Pct(faults=1)):
    search(run, strategy, schedules_max=40, each=lambda outcome: sys.stdout.write(outcome.schedule().to_json()))
"""


def test_the_same_schedules_come_out_whatever_python_hashes_by() -> None:
    traces = set()
    for seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True)
        traces.add(done.stdout)
    assert len(traces) == 1
    assert traces.pop().count(b'"turn": "crash"') > 10
